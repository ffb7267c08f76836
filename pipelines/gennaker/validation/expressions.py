"""Checks of every expression of a pipeline: what it mentions, its type, and whether it may be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from gennaker.dependencies import list_texts
from gennaker.errors import ExpressionError
from gennaker.expressions import (
    ExpressionProblem,
    Template,
    TypeScope,
    check_expression,
    check_template,
    compile_condition,
    compile_template,
)
from gennaker.expressions.check import find_type
from gennaker.expressions.types import (
    BOOL,
    DYN,
    GIT,
    RUN,
    STRING,
    Type,
    environment_type,
    list_of,
    map_of,
    params_type,
    stages_type,
    type_of,
    type_of_word,
)
from gennaker.expressions.values import shown
from gennaker.model import Matrix, Parameter, StageDefinition
from gennaker.settings import EnvironmentSettings
from gennaker.stage import Stage
from gennaker.suggestions import suggest
from gennaker.validation.findings import Findings, Path
from gennaker.validation.inputs import allows_secret, check_inputs
from gennaker.yamltext.traps import is_cut_off

__all__ = ["check_expressions"]

# While the title is made there is none yet.
_UNTITLED_RUN = map_of(
    {name: kind for name, kind in (RUN.fields or {}).items() if name != "title"}, owner="'run'"
)


def check_expressions(found: Findings) -> None:
    """Add every problem of expressions, and of ``with`` against the inputs of the stage types."""
    _ExpressionCheck(found).check()


class _ExpressionCheck:
    def __init__(self, found: Findings) -> None:
        self.found = found
        self.settings = found.settings

    def check(self) -> None:
        """Check the pipeline's own expressions, then each stage's."""
        definition = self.found.definition
        about = {"params": self.params, "git": GIT, "trigger": DYN}
        if definition.title is not None:
            types = TypeScope({**about, "run": _UNTITLED_RUN})
            self._check_text(definition.title, ("title",), types)
        if definition.concurrency is not None:
            path = ("concurrency", "group")
            self._check_text(definition.concurrency.group, path, TypeScope(about))
        for identifier, (stage, final) in self.found.stages.items():
            self._check_stage(identifier, stage, final=final)

    # What is known of the variables -------------------------------------------------------------

    @cached_property
    def params(self) -> Type:
        """The type of ``params``."""
        unread = any(
            each.location is not None and each.location == self.found.loaded.at("parameters")
            for each in self.found.loaded.problems
        )
        if unread and not self.found.definition.parameters:
            return DYN
        return params_type(
            {name: _parameter_type(each) for name, each in self.found.definition.parameters.items()}
        )

    @cached_property
    def stages(self) -> Type:
        """The type of ``stages``."""
        outputs: dict[str, Mapping[str, Type] | None] = {}
        matrix = []
        for identifier, (stage, _final) in self.found.stages.items():
            outputs[identifier] = _declare_outputs(self.found.type_of(stage), stage)
            if stage.matrix is not None:
                matrix.append(identifier)
        return stages_type(outputs, matrix=matrix)

    @cached_property
    def roots(self) -> Mapping[str, Type]:
        """The variables that every expression of a stage has."""
        return {
            "params": self.params,
            "stages": self.stages,
            "run": RUN,
            "git": GIT,
            "trigger": DYN,
        }

    @cached_property
    def every_secret(self) -> frozenset[str]:
        """The names of all secrets of the project, whatever the environment."""
        names = set(self.settings.secrets)
        for environment in self.settings.environments.values():
            names |= set(environment.secrets)
        return frozenset(names)

    # One stage ----------------------------------------------------------------------------------

    def _check_stage(self, identifier: str, stage: StageDefinition, *, final: bool) -> None:
        path = self.found.path_of(identifier)
        stage_type = self._check_type(stage, path)
        environment = self._check_environment(stage, path)
        self._check_target(stage, stage_type, environment, path)
        roots = dict(self.roots)
        if stage.environment is not None:
            roots["environment"] = _environment_type(None if self.found.unsure else environment)
        secrets: frozenset[str] | None = self.every_secret
        if self.found.unsure:
            secrets = None
        elif environment is not None or stage.environment is None:
            own = environment.secrets if environment is not None else {}
            secrets = frozenset((*self.settings.secrets, *own))
        if isinstance(stage.if_, str):
            self._check_condition(
                stage.if_,
                (*path, "if"),
                TypeScope(roots, allows_status=True, allows_any_stage=final, expected=BOOL),
            )
        if stage.matrix is not None:
            self._check_matrix(stage, path, final=final)
            roots["matrix"] = _matrix_type(stage.matrix)
        plain = TypeScope(roots, secrets=secrets, allows_any_stage=final)
        secret = TypeScope(roots, secrets=secrets, allows_any_stage=final, allows_secrets=True)
        scripts = stage_type.scripts if stage_type is not None else frozenset()
        for where, text in list_texts(stage):
            script = where[0] == "with" and where[1] in scripts
            if script:
                self._check_comment(text, (*path, *where), script=True)
            if where[0] in ("matrix", "environment") or "${{" not in text:
                continue
            if script:
                self._refuse_script(text, (*path, *where))
                continue
            allowed = where[0] == "with" and allows_secret(stage_type, where[1:])
            self._check_text(text, (*path, *where), secret if allowed else plain)
        if stage_type is not None:
            check_inputs(
                self.found,
                identifier,
                stage_type,
                find_kind=lambda template: _find_kind(template, secret),
            )

    def _check_type(self, stage: StageDefinition, path: Path) -> type[Stage] | None:
        known = self.found.types.get(stage.uses)
        if known is None or isinstance(known, type):
            return known
        self.found.tell(known.code, known.message, (*path, "uses"), known.hint)
        return None

    def _check_environment(self, stage: StageDefinition, path: Path) -> EnvironmentSettings | None:
        """Return the environment of a stage when it is known which one it is."""
        name = stage.environment
        if name is None:
            return None
        place = (*path, "environment")
        if "${{" in name:
            matrix = {} if stage.matrix is None else {"matrix": _matrix_type(stage.matrix)}
            types = TypeScope({"params": self.params, **matrix}, expected=STRING)
            self._check_text(name, place, types)
            return None
        known = self.settings.environments
        if name not in known and (known or not self.found.unsure):
            self.found.tell(
                "unknown-environment",
                f"there is no environment {name!r}",
                place,
                suggest(name, known, otherwise=None if known else "gennaker.yaml defines none"),
            )
        return known.get(name)

    def _check_target(
        self,
        stage: StageDefinition,
        stage_type: type[Stage] | None,
        environment: EnvironmentSettings | None,
        path: Path,
    ) -> None:
        """Refuse a stage that could only err, when all before it is done."""
        wanted = None if stage_type is None else stage_type.target
        if wanted is None or (stage.environment is not None and environment is None):
            return
        if environment is None or environment.target != wanted:
            self.found.tell(
                "no-target",
                f"{stage.uses} needs an environment with a {wanted!r} target",
                (*path, "uses" if environment is None else "environment"),
                f"give the stage 'environment:', and that environment '{wanted}:' in gennaker.yaml",
            )

    def _check_matrix(self, stage: StageDefinition, path: Path, *, final: bool) -> None:
        types = TypeScope(self.roots, allows_any_stage=final)
        listed = TypeScope(self.roots, allows_any_stage=final, expected=list_of(DYN))
        for where, text in list_texts(stage):
            if where[0] == "matrix" and "${{" in text:
                whole = len(where) == 2
                self._check_text(text, (*path, *where), listed if whole else types)

    # One expression -----------------------------------------------------------------------------

    def _check_condition(self, text: str, path: Path, types: TypeScope) -> None:
        try:
            problems: Iterable[ExpressionProblem] = check_expression(compile_condition(text), types)
        except ExpressionError as error:
            self._tell(error, path)
            return
        self._tell_all(problems, path)
        self._check_comment(text, path)

    def _check_text(self, text: str, path: Path, types: TypeScope) -> None:
        if "${{" not in text:
            return
        try:
            template = compile_template(text)
        except ExpressionError as error:
            self._tell(error, path)
            return
        self._tell_all(check_template(template, types), path)
        self._check_comment(text, path)

    def _check_comment(self, text: str, path: Path, *, script: bool = False) -> None:
        comment = self.found.loaded.places.find_comment(path)
        if is_cut_off(text, comment, script=script):
            self.found.tell(
                "yaml-trap",
                f"{shown(comment)} begins a comment and is no part of the value",
                path,
                "put the whole value in quotes, or a space after the '#' of a comment",
                severity="warning",
            )

    def _tell(self, error: ExpressionError, path: Path) -> None:
        hint = error.hint
        if self.found.loaded.places.find_comment(path):
            hint = "' #' begins a comment and may have cut it off: put the whole value in quotes"
        self.found.tell(error.code, error.message, path, hint)

    def _tell_all(self, problems: Iterable[ExpressionProblem], path: Path) -> None:
        for each in problems:
            self.found.tell(each.code, each.message, path, each.hint)

    def _refuse_script(self, text: str, path: Path) -> None:
        name = "VALUE"
        source = "…"
        try:
            template = compile_template(text)
        except ExpressionError:
            pass
        else:
            if template.is_literal:
                return
            source = template.expressions[0].expression.source
            if template.references:
                last = template.references[0]
                words = (last.path or (last.root,))[-1]
                name = "".join(c if c.isalnum() and c.isascii() else "_" for c in words).upper()
        self.found.tell(
            "expression-in-script",
            f"{path[-1] if isinstance(path[-1], str) else path[-2]!r} is a script, "
            "in which '${{' would be a way to run anything",
            path,
            f"pass it as a variable: 'env: {{{name}: \"${{{{ {source} }}}}\"}}', "
            f'and write "${name}" in the script',
        )


def _parameter_type(parameter: Parameter) -> Type:
    optional = parameter.default is None and not parameter.required
    return DYN if optional else type_of_word(parameter.type)


def _declare_outputs(
    stage_type: type[Stage] | None, stage: StageDefinition
) -> Mapping[str, Type] | None:
    if stage_type is None:
        return None
    try:
        declared = stage_type.declare_outputs(stage.with_)
    except Exception:  # noqa: BLE001  a plugin's own code, given what is not checked yet
        return None
    return {name: type_of_word(word) for name, word in declared.items()}


def _environment_type(environment: EnvironmentSettings | None) -> Type:
    if environment is None:
        return environment_type(None)
    return environment_type({name: type_of(each) for name, each in environment.variables.items()})


def _matrix_type(matrix: Matrix) -> Type:
    fields: dict[str, Type] = {}
    for name, values in matrix.axes.items():
        fields[name] = _common_type(values) if isinstance(values, list) else DYN
    if isinstance(matrix.include, str):
        return Type("map", DYN)
    for entry in matrix.include or ():
        for name, value in entry.items():
            fields[name] = (
                fields.get(name, DYN) if _literal_type(value) == fields.get(name) else DYN
            )
    return map_of(fields, noun="axis")


def _common_type(values: list[Any]) -> Type:
    found = {_literal_type(each).kind for each in values}
    return _literal_type(values[0]) if len(found) == 1 else DYN


def _literal_type(value: Any) -> Type:
    return DYN if "${{" in repr(value) or isinstance(value, dict | list) else type_of(value)


def _find_kind(template: Template, types: TypeScope) -> str:
    return find_type(template.expressions[0].expression, types).kind
