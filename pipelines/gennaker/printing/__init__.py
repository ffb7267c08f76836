"""Printing a definition: as YAML, JSON or the Python a person would write.

What is printed loads back to the same digest. ``gennaker show`` is the caller.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gennaker.model import PipelineDefinition
    from gennaker.plugins import Registry

__all__ = ["to_json", "to_python", "to_yaml"]


def to_yaml(definition: PipelineDefinition) -> str:
    """Return the definition as a pipeline file."""
    from gennaker.printing.yaml_text import print_yaml

    return print_yaml(definition.to_data())


def to_json(definition: PipelineDefinition) -> str:
    """Return versioned JSON: ``{apiVersion, kind: Pipeline, digest, definition}``."""
    data = {
        "apiVersion": "gennaker.dev/v1",
        "kind": "Pipeline",
        "digest": definition.digest,
        "definition": definition.to_data(),
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def to_python(definition: PipelineDefinition, registry: Registry) -> str:
    """Return the definition as a Python file; ``registry`` tells built-in types from others."""
    from gennaker.printing.python_text import print_python

    builtin = {
        each.name
        for each in registry.list()
        if each.group == "stages" and each.value.startswith("gennaker_stages.")
    }
    return print_python(definition, builtin)
