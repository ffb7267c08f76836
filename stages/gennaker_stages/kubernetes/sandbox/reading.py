"""Reading what a client sent: is it this kind, are its fields known and of the right type.

Gives objects in stored form with defaults. Called by :mod:`.operations` at the start of every write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .decode import Findings, decode, empty
from .defaults import set_defaults
from .gotext import find_unrestorable, show_value
from .problems import ApiProblem, Cause, bad_request, invalid
from .resources import Resource
from .strategy import check_base64, fold_string_data
from .structured import find_mistakes

__all__ = ["WriteOptions", "check_config", "make_blank", "read_object"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch that is being applied: its form and what it says.

    The form is ``json``, ``merge``, ``strategic`` or ``apply``; of the last, ``content`` is how messages
    name the object. ``live`` is what it is applied to.
    """

    form: str
    content: Any
    live: Any = None

    def refuse(self, why: str, patched: Object) -> ApiProblem:
        """Return the answer to a patch that does not give an object of its kind."""
        if self.form == "apply":
            kind = self.content.rpartition("; ")[2]
            text = (
                f"failed to convert new object ({self.content}) to proper version: unable to convert"
                f" unstructured object to {kind}: error decoding from json: {why}"
            )
            return ApiProblem(500, "", text)
        if self.form == "strategic":
            shown = show_value(_drop_nulls(self.content, self.live))
        else:
            shown = json.dumps(patched, separators=(",", ":"))
        return invalid("", "", "", [Cause.wrong("patch", shown, why)])


def _drop_nulls(patch: Any, live: Any) -> Any:
    """Return a patch as the server prints it: without the nulls of maps that were not there."""
    if not isinstance(patch, dict):
        return patch
    there = live if isinstance(live, dict) else {}
    return {
        key: _drop_nulls(value, there.get(key))
        for key, value in patch.items()
        if value is not None or live is there
    }


@dataclass(slots=True)
class WriteOptions:
    """Options of one write; ``warnings`` is filled by it.

    ``field_validation`` is ``Strict``, ``Warn`` or ``Ignore``; ``patch`` is the patch that is being
    applied, for messages.
    """

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    field_validation: str = "Warn"
    subresource: str = ""
    patch: Patch | None = None
    warnings: list[str] = field(default_factory=list)


def check_config(resource: Resource, namespace: str, name: str, config: Object) -> Patch:
    """Refuse an apply's config that is not of the kind, name and namespace of the path, or mistyped."""
    metadata = config.setdefault("metadata", {})
    given = (config.get("apiVersion") or "", config.get("kind") or "")
    if given != (resource.api_version, resource.kind):
        if not all(given):
            group, _, version = given[0].rpartition("/")
            raise bad_request(f"invalid object type: {group}/{version}, Kind={given[1]}")
        raise bad_request(
            f"the API version in the data ({config['apiVersion']}, {config['kind']}) does not"
            f" match the expected API version ({resource.api_version}, {resource.kind})"
        )
    if "managedFields" in metadata and metadata["managedFields"] is not None:
        raise bad_request("metadata.managedFields must be nil")
    metadata.setdefault("name", name)
    if metadata["name"] != name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    home = metadata.get("namespace", "")
    if namespace and metadata.setdefault("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    version = f"{resource.group}/{resource.version}, Kind={resource.kind}"
    place = f"{home}/{name}; {version}"
    mistakes = find_mistakes(config, resource.type)
    if mistakes:
        told = (
            mistakes[0]
            if len(mistakes) == 1
            else "errors:\n" + "\n".join(f"  {each}" for each in mistakes)
        )
        raise ApiProblem(500, "", f"failed to create typed patch object ({place}): {told}")
    return Patch("apply", place)


def read_object(resource: Resource, body: Object, options: WriteOptions) -> Object:
    """Return a body in stored form with defaults, or refuse it."""
    _check_kind(resource, body)
    findings = Findings()
    obj: Object = decode(body, resource.type, findings)
    prefix = (
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}:'
    )
    secret = resource.kind == "Secret"
    if secret and not findings.wrong:
        check_base64(obj, findings)
    if findings.wrong:
        why = findings.wrong[0]
        if options.patch is None:
            raise bad_request(f"{prefix} {why}")
        if options.patch.form == "strategic":
            wrong = find_unrestorable(body, resource.type, secret=secret)
            why = wrong or f"error decoding from json: {why}"
        raise options.patch.refuse(why, body)
    if findings.unknown and options.field_validation != "Ignore":
        told = [f'unknown field "{path}"' for path in findings.unknown]
        if options.field_validation == "Strict":
            text = ", ".join(told)
            if options.patch is not None:
                raise options.patch.refuse(f"strict decoding error: {text}", body)
            raise bad_request(f"{prefix} strict decoding error: {text}")
        options.warnings += told
    ordered: Object = {"apiVersion": resource.api_version, "kind": resource.kind}
    obj.pop("apiVersion", None)
    obj.pop("kind", None)
    ordered["metadata"] = obj.pop("metadata", None) or {}
    ordered |= obj
    if resource.kind == "Secret":
        fold_string_data(ordered)
    if resource.custom is None:
        set_defaults(resource.kind, ordered)
    return ordered


def _check_kind(resource: Resource, body: Object) -> None:
    version, kind = body.get("apiVersion") or resource.api_version, body.get("kind")
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version"
            f" ({resource.api_version})"
        )
    if kind and kind != resource.kind:
        group = resource.group.partition(".")[0] or "core"
        raise bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}:'
            f" converting ({resource.version}.{kind}) to ({group}.{resource.kind}): unknown"
            " conversion"
        )


def make_blank(resource: Resource) -> Object:
    """Return an object of this kind in which nothing is set."""
    blank: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
    if resource.custom is None:
        blank |= empty(resource.type)
    return blank | {"apiVersion": resource.api_version, "kind": resource.kind}
