"""Expressions: a subset of CEL in ``${{ }}`` and in ``if``; the one evaluator of Gennaker.

Compile once (cached), look at ``references``, check against declared types, evaluate over a
:class:`Scope`. Everything is bounded (:class:`Limits`) and fails with ``ExpressionError`` only.
A name is loaded with its module on first use, so that who needs a token pays for no evaluator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gennaker.expressions.analysis import Reference as Reference
    from gennaker.expressions.check import ExpressionProblem as ExpressionProblem
    from gennaker.expressions.check import check_expression as check_expression
    from gennaker.expressions.check import check_template as check_template
    from gennaker.expressions.expression import Expression as Expression
    from gennaker.expressions.expression import compile_expression as compile_expression
    from gennaker.expressions.limits import Limits as Limits
    from gennaker.expressions.scope import Scope as Scope
    from gennaker.expressions.scope import Status as Status
    from gennaker.expressions.template import Placed as Placed
    from gennaker.expressions.template import Template as Template
    from gennaker.expressions.template import compile_condition as compile_condition
    from gennaker.expressions.template import compile_template as compile_template
    from gennaker.expressions.template import literal_text as literal_text
    from gennaker.expressions.template import reference_text as reference_text
    from gennaker.expressions.types import Type as Type
    from gennaker.expressions.types import TypeScope as TypeScope
    from gennaker.expressions.values import NoOutputs as NoOutputs
    from gennaker.expressions.values import SecretRef as SecretRef
    from gennaker.expressions.values import SecretText as SecretText
    from gennaker.expressions.values import Unknown as Unknown
    from gennaker.expressions.values import UnknownText as UnknownText
    from gennaker.expressions.values import from_json as from_json
    from gennaker.expressions.values import to_json as to_json

_HOMES = {
    "analysis": ("Reference",),
    "check": ("ExpressionProblem", "check_expression", "check_template"),
    "expression": ("Expression", "compile_expression"),
    "limits": ("Limits",),
    "scope": ("Scope", "Status"),
    "template": (
        "Placed",
        "Template",
        "compile_condition",
        "compile_template",
        "literal_text",
        "reference_text",
    ),
    "types": ("Type", "TypeScope"),
    "values": (
        "NoOutputs",
        "SecretRef",
        "SecretText",
        "Unknown",
        "UnknownText",
        "from_json",
        "to_json",
    ),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found
