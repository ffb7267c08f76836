"""JSON Schema (draft-07) of pipeline files and of ``gennaker.yaml``, for editors.

Built from the models and the installed plugins, so that an editor completes the inputs of every
stage type. Editors only: what is valid is decided by :mod:`gennaker.validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from gennaker.errors import InvalidInput
from gennaker.model import PipelineDefinition
from gennaker.names import NAME_PATTERN
from gennaker.plugins import PluginGroup, Registry
from gennaker.settings import ApprovalRule
from gennaker.stage import Stage

__all__ = ["build_schema", "build_settings_schema"]

DRAFT = "http://json-schema.org/draft-07/schema#"

_DURATION = {
    "type": "string",
    "pattern": r"^([0-9]+(ms|d|h|m|s))+$",
    "description": "a duration like 90s, 5m, 1h30m or 2d",
}
_EXPRESSION = {
    "type": "string",
    "pattern": r"\$\{\{",
    "description": "an expression: ${{ … }}",
}
_EXPRESSION_REF = {"$ref": "#/definitions/expression"}
_STAGE_MAP = {
    "type": "object",
    "propertyNames": {"pattern": NAME_PATTERN, "maxLength": 63},
    "additionalProperties": {"$ref": "#/definitions/stage"},
}
_NAMES = {
    "StageDefinition": "stage",
    "Parameter": "parameter",
    "Concurrency": "concurrency",
    "Defaults": "defaults",
    "Matrix": "matrix",
    "RetryPolicy": "retry",
}


def build_schema(registry: Registry) -> dict[str, Any]:
    """Return the schema of pipeline files, with the inputs of every stage type that can be loaded."""
    generated = PipelineDefinition.model_json_schema(
        by_alias=True, ref_template="#/definitions/{model}"
    )
    definitions = {
        _NAMES.get(name, name): _convert(each) for name, each in generated.pop("$defs").items()
    }
    schema = _convert(generated)
    _complete_pipeline(schema)
    _complete_definitions(definitions)
    definitions["expression"] = _EXPRESSION
    definitions["duration"] = _DURATION
    names: list[str] = []
    rules: list[dict[str, Any]] = []
    for name, stage_type in _load(registry, "stages").items():
        names.append(name)
        inputs, inner = _describe_inputs(name, stage_type)
        definitions.update(inner)
        definitions[f"inputs.{name}"] = inputs
        then: dict[str, Any] = {"properties": {"with": {"$ref": f"#/definitions/inputs.{name}"}}}
        if inputs.get("required"):
            then["required"] = ["with"]
        rules.append(
            {"if": {"properties": {"uses": {"const": name}}, "required": ["uses"]}, "then": then}
        )
    stage = definitions["stage"]
    stage["properties"]["uses"] = {"enum": names} if names else {"type": "string"}
    if rules:
        stage["allOf"] = rules
    return {
        "$schema": DRAFT,
        "title": "Gennaker pipeline",
        **_rename_refs(schema),
        "definitions": {name: _rename_refs(each) for name, each in definitions.items()},
    }


_RETENTION = {
    "type": "object",
    "properties": {
        "keep": {"type": "integer", "minimum": 0},
        "older_than": {"$ref": "#/definitions/duration"},
        "deploys": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": False,
}


def build_settings_schema(registry: Registry) -> dict[str, Any]:
    """Return the schema of ``gennaker.yaml``, with the settings of every target."""
    definitions: dict[str, Any] = {"duration": _DURATION}
    approval = _convert(ApprovalRule.model_json_schema(by_alias=True))
    approval["properties"]["expires"] = {"$ref": "#/definitions/duration"}
    targets: dict[str, Any] = {}
    for name, target in _load(registry, "targets").items():
        settings, inner = _describe_model(f"target.{name}", target.Settings)
        definitions.update(inner)
        definitions[f"target.{name}"] = settings
        targets[name] = {"$ref": f"#/definitions/target.{name}"}
    providers = registry.names("secrets")
    definitions["secrets"] = {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {name: {} for name in providers},
            "additionalProperties": not providers,
        },
    }
    definitions["environment"] = {
        "type": "object",
        "properties": {
            **targets,
            "variables": {"type": "object"},
            "secrets": {"$ref": "#/definitions/secrets"},
            "url": {"type": "string"},
            "approval": approval,
        },
        "additionalProperties": False,
    }
    texts = {"type": "array", "items": {"type": "string"}}
    return {
        "$schema": DRAFT,
        "title": "Gennaker project settings",
        "type": "object",
        "properties": {
            "project": {"type": "string", "pattern": NAME_PATTERN, "maxLength": 63},
            "pipelines": texts,
            "state": {"type": "string"},
            "environments": {
                "type": "object",
                "propertyNames": {"pattern": NAME_PATTERN, "maxLength": 63},
                "additionalProperties": {"$ref": "#/definitions/environment"},
            },
            "secrets": {"$ref": "#/definitions/secrets"},
            "source": {
                "type": "object",
                "properties": {"exclude": texts},
                "additionalProperties": False,
            },
            "groups": {"type": "object", "additionalProperties": texts},
            "retention": _RETENTION,
        },
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "definitions": definitions,
    }


def _load(registry: Registry, group: PluginGroup) -> dict[str, Any]:
    """Return the plugins of a group that can be loaded, by name."""
    found: dict[str, Any] = {}
    for name in registry.names(group):
        try:
            found[name] = registry.stage(name) if group == "stages" else registry.target(name)
        except InvalidInput:
            continue  # 'gennaker plugins' says why; an editor cannot help with it
    return found


def _complete_pipeline(schema: dict[str, Any]) -> None:
    """Add what the model's validators accept and pydantic cannot tell."""
    properties = schema["properties"]
    schema["patternProperties"] = {"^x-": {}}
    properties["name"] = {"type": "string", "pattern": NAME_PATTERN, "maxLength": 63}
    properties["timeout"] = {"$ref": "#/definitions/duration"}
    properties["stages"] = {**_STAGE_MAP, "minProperties": 1}
    properties["finally"] = _STAGE_MAP
    properties.pop("functions", None)


def _complete_definitions(definitions: dict[str, Any]) -> None:
    duration = {"$ref": "#/definitions/duration"}
    retry = {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/definitions/retry"}]}
    stage = definitions["stage"]["properties"]
    stage["needs"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "stages that end before this one, beside those it mentions",
    }
    stage["if"] = {"type": ["string", "boolean"], "description": "an expression, without ${{ }}"}
    for each in (stage, definitions["defaults"]["properties"]):
        each["timeout"] = duration
        each["retry"] = retry
    definitions["retry"]["properties"].update(delay=duration, max_delay=duration)
    definitions["matrix"]["additionalProperties"] = {
        "anyOf": [{"type": "array", "minItems": 1}, _EXPRESSION_REF]
    }


def _describe_inputs(name: str, stage_type: type[Stage]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of ``with`` and the definitions it refers to, expressions allowed in both."""
    schema, inner = _describe_model(f"inputs.{name}", stage_type.Inputs)
    allowed = {
        key: each if key in stage_type.scripts else _allow_expression(each)
        for key, each in schema.get("properties", {}).items()
    }
    schema["properties"] = allowed
    return schema, {key: _allow_inside(each) for key, each in inner.items()}


def _describe_model(name: str, model: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    from pydantic.errors import PydanticInvalidForJsonSchema

    template = f"#/definitions/{name}.{{model}}"
    try:
        schema = model.model_json_schema(by_alias=True, ref_template=template)
    except PydanticInvalidForJsonSchema:
        # An input of a type that JSON Schema has no word for: the plugin still works.
        return {"type": "object"}, {}
    inner = {
        f"{name}.{key}": _convert(each, keep_null=True)
        for key, each in schema.pop("$defs", {}).items()
    }
    return _convert(schema, keep_null=True), inner


def _allow_expression(schema: Any) -> Any:
    """Return a schema that takes an expression too, wherever a value stands."""
    inside = _allow_inside(schema)
    if inside in ({}, True) or (
        isinstance(inside, Mapping)
        and inside.get("type") == "string"
        and not {"pattern", "enum", "const", "maxLength", "format"} & set(inside)
    ):
        return inside
    moved = {key: inside.pop(key) for key in ("description", "default", "title") if key in inside}
    return {**moved, "anyOf": [inside, _EXPRESSION_REF]}


def _allow_inside(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in found:
            found[key] = {name: _allow_expression(each) for name, each in found[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _allow_expression(found[key])
        elif isinstance(found.get(key), list):
            found[key] = [_allow_expression(each) for each in found[key]]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in found:
            found[key] = [_allow_inside(each) for each in found[key]]
    return found


def _convert(schema: Any, *, keep_null: bool = False) -> Any:
    """Return a schema of pydantic's dialect (2020-12) in draft-07.

    Args:
        schema: what pydantic generated.
        keep_null: whether null is a value; outside ``with`` it is not.
    """
    if isinstance(schema, list):
        return [_convert(each, keep_null=keep_null) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _convert(each, keep_null=keep_null) for key, each in schema.items()}
    if "prefixItems" in found:
        found["items"] = found.pop("prefixItems")
    if not keep_null and isinstance(found.get("anyOf"), list):
        rest = [each for each in found["anyOf"] if each != {"type": "null"}]
        if len(rest) < len(found["anyOf"]) and found.get("default", 0) is None:
            del found["default"]
        if len(rest) == 1:
            del found["anyOf"]
            found = {**found, **rest[0]}
        else:
            found["anyOf"] = rest
    if "$ref" in found and len(found) > 1:
        # Draft-07 ignores what stands beside a reference.
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    if isinstance(found.get("title"), str):
        del found["title"]
    return found


def _rename_refs(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_rename_refs(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _rename_refs(each) for key, each in schema.items()}
    reference = found.get("$ref")
    if isinstance(reference, str):
        prefix, _, name = reference.rpartition("/")
        found["$ref"] = f"{prefix}/{_NAMES.get(name, name)}"
    return found
