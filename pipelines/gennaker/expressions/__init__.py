"""Expressions: a subset of CEL in ``${{ }}`` and in ``if``; the one evaluator of Gennaker.

Compile once (cached), look at ``references``, check against declared types, evaluate over a
:class:`Scope`. Everything is bounded (:class:`Limits`) and fails with ``ExpressionError`` only.
"""

from __future__ import annotations

from gennaker.expressions.analysis import Reference
from gennaker.expressions.check import ExpressionProblem, check_expression, check_template
from gennaker.expressions.expression import Expression, compile_expression
from gennaker.expressions.limits import Limits
from gennaker.expressions.scope import Scope, Status
from gennaker.expressions.template import (
    Placed,
    Template,
    compile_condition,
    compile_template,
    literal_text,
)
from gennaker.expressions.types import Type, TypeScope
from gennaker.expressions.values import (
    NoOutputs,
    SecretRef,
    SecretText,
    Unknown,
    UnknownText,
    from_json,
    to_json,
)

__all__ = [
    "Expression",
    "ExpressionProblem",
    "Limits",
    "NoOutputs",
    "Placed",
    "Reference",
    "Scope",
    "SecretRef",
    "SecretText",
    "Status",
    "Template",
    "Type",
    "TypeScope",
    "Unknown",
    "UnknownText",
    "check_expression",
    "check_template",
    "compile_condition",
    "compile_expression",
    "compile_template",
    "from_json",
    "literal_text",
    "to_json",
]
