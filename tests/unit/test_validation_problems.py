"""Validation: each problem of a pipeline with its place, code word and advice, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennaker.errors import InvalidInput
from gennaker.loader import read_file
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.validation import check_pipeline, validate, validate_files
from tests.fixtures.sample_plugins import make_registry

SETTINGS = """\
project: shop
environments:
  staging:
    kubernetes: {context: kind-staging, namespace: shop}
    variables: {host: staging.shop.test, replicas: 1}
    secrets: {db_password: {env: DB_PASSWORD}}
secrets: {registry_password: {env: REGISTRY_PASSWORD}}
"""
REGISTRY = make_registry()


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a project with one environment."""
    monkeypatch.chdir(tmp_path)
    Path("gennaker.yaml").write_text(SETTINGS)


def problems_of(text: str, registry: Registry = REGISTRY) -> list[str]:
    """Return the problems of a YAML pipeline as they are shown."""
    Path("p.yaml").write_text(text)
    project = load_project(Path())
    (loaded,) = read_file(Path("p.yaml"), project=project)
    return [str(each) for each in validate(loaded, registry=registry, project=project)]


def problems_of_stages(stages: str, head: str = "") -> list[str]:
    """Return the problems of stages, one line each from line 3, without file and line."""
    return [
        each.partition("p.yaml:")[2] for each in problems_of(f"name: one\n{head}stages:\n{stages}")
    ]


OK = "  ok: {uses: shell, with: {run: echo}}\n"


def test_sound_pipeline() -> None:
    """A pipeline that uses everything rightly has no problem."""
    text = """\
name: shop
title: "Deploy ${{ params.version }} by ${{ run.actor }}"
parameters:
  version: {default: "1.4.0", pattern: '[0-9.]+'}
  count: {type: integer, default: 3, minimum: 1}
  regions: {default: "a,b"}
concurrency: {group: "shop-${{ git.branch }}", policy: supersede}
defaults: {timeout: 10m, retry: 1}
stages:
  image:
    uses: docker.build
    with:
      context: app
      tags: ["registry.test/shop:${{ params.version }}"]
      attempts: ${{ params.count }}
      push: ${{ params.count > 1 }}
      password: ${{ secrets.registry_password }}
  test:
    uses: shell
    name: Test ${{ matrix.region }}
    matrix: {region: [eu, us], exclude: [{region: us}], include: [{region: de}]}
    with:
      run: ["echo", "$HOST"]
      env: {REF: "${{ stages.image.outputs.reference }}", R: "${{ matrix.region }}"}
      outputs: {count: integer}
  dynamic:
    uses: shell
    matrix: {region: "${{ params.regions.split(',') }}"}
    with: {run: echo}
  manifests:
    uses: helm.template
    environment: staging
    with:
      chart: deploy
      set: {host: "${{ environment.variables.host }}", image: "${{ stages.image.outputs.digest }}"}
  go:
    uses: approval
    needs: [manifests, test]
  staging:
    uses: kubernetes.deploy
    needs: go
    environment: staging
    if: success() && stages.test.outputs.count.exists(c, c > 0)
    with:
      bundle: ${{ stages.manifests.outputs.bundle }}
      secrets: {db: {password: "${{ secrets.db_password }}"}}
finally:
  report:
    uses: shell
    if: failure()
    with: {run: echo, env: {OUTCOME: "${{ stages.staging.outcome }}"}}
  last: {uses: shell, needs: report, with: {run: echo}}
"""
    assert problems_of(text) == []


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (
            "  a: {uses: shel, with: {run: x}}\n",
            ["3:13: unknown-plugin: 'shel' is not an installed stage type; did you mean 'shell'?"],
        ),
        (
            OK + "  a: {uses: shell, needs: okk, with: {run: x}}\n",
            ["4:27: unknown-stage: stage 'a' needs 'okk', which is no stage; did you mean 'ok'?"],
        ),
        (
            "  a: {uses: shell, needs: a, with: {run: x}}\n",
            ["3:27: self-need: stage 'a' needs itself"],
        ),
        (
            "  a: {uses: shell, with: {run: x, env: {A: '${{ stages.a.outcome }}'}}}\n",
            ["3:44: self-need: stage 'a' mentions itself"],
        ),
        (
            "  a: {uses: shell, needs: c, with: {run: x}}\n"
            "  b: {uses: shell, with: {run: x, env: {A: '${{ stages.a.outcome }}'}}}\n"
            "  c: {uses: shell, if: stages.b.outcome == 'failed', with: {run: x}}\n"
            "  d: {uses: shell, needs: e, with: {run: x}}\n"
            "  e: {uses: shell, needs: d, with: {run: x}}\n",
            [
                "3:27: cycle: stages depend on each other in a circle: a → c → b → a; "
                "each depends on the next; remove one of these dependencies",
                "6:27: cycle: stages depend on each other in a circle: d → e → d; "
                "each depends on the next; remove one of these dependencies",
            ],
        ),
        (
            OK.replace("ok", "a-b") + OK.replace("ok", "a_b"),
            [
                "4:3: duplicate-id: stage ids 'a-b' and 'a_b' differ only in '-' and '_'; "
                "rename one of them"
            ],
        ),
        (
            OK.replace("ok", "Build"),
            [
                "3:3: invalid-name: stage id 'Build' is not a name; "
                "use lower-case letters and digits, with single '-' or '_' between, up to 63"
            ],
        ),
        (
            OK.replace("ok", "a-12"),
            [
                "3:3: invalid-name: stage id 'a-12' ends in a part of digits only, as the id of a "
                "run does; add a letter to it"
            ],
        ),
        (
            OK.replace("ok", "a" * 64),
            [f"3:3: invalid-name: stage id '{'a' * 64}' is longer than 63 characters; shorten it"],
        ),
        (
            "  a: {uses: approval, on_failure: ignore}\n  b: {uses: shell, needs: a, with: {run: x}}\n",
            [
                "3:35: approval-ignored: the failure of an approval ('a') cannot be ignored; "
                "nobody would have approved; remove it"
            ],
        ),
        (
            OK + "  a: {uses: shell, on_failure: undo, with: {run: x}}\n",
            [
                "4:32: undo: stage 'a' cannot be put back: 'shell' does not say how; "
                "name stages whose type can, such as 'kubernetes.deploy'"
            ],
        ),
        (
            OK + "  a: {uses: shell, on_failure: {undo: [okk, '${{ run.id }}']}, with: {run: x}}\n",
            [
                "4:40: unknown-stage: stage 'a' wants 'okk' put back, which is no stage outside "
                "'finally'; did you mean 'ok'?",
                "4:45: expression-misplaced: 'on_failure' takes no expressions",
            ],
        ),
        (
            OK
            + "  a: {uses: shell, on_failure: {undo: [b]}, with: {run: x}}\n"
            + "  b: {uses: acme.release}\nfinally:\n"
            + "  c: {uses: acme.release, on_failure: undo}\n",
            [
                "4:40: undo: stage 'a' wants 'b' put back, which it does not depend on; "
                "let 'a' need 'b', directly or through others",
                "7:39: undo: stage 'c' of 'finally' cannot have anything put back; "
                "undo in the stages before; 'finally' runs after them",
            ],
        ),
        (
            "  a: {uses: '${{ params.x }}'}\n",
            ["3:13: expression-misplaced: 'uses' takes no expressions"],
        ),
        (
            OK + "  a: {uses: shell, needs: ['${{ run.id }}'], with: {run: x}}\n",
            ["4:28: expression-misplaced: 'needs' takes no expressions"],
        ),
        (
            OK + "  a: {uses: shell, needs: t, with: {run: x}}\nfinally:\n" + OK.replace("ok", "t"),
            [
                "4:27: needs-finally: stage 'a' depends on 't' of 'finally', which runs after all "
                "others; move 'a' to 'finally', or 't' out of it"
            ],
        ),
        (
            OK + "finally:\n" + OK,
            [
                "5:3: duplicate-id: 'ok' is the id of a stage and of a stage of 'finally'; "
                "they share the ids; rename one of them"
            ],
        ),
        (
            "  a: {uses: shell, environment: stagin, with: {run: x}}\n",
            [
                "3:33: unknown-environment: there is no environment 'stagin'; did you mean 'staging'?"
            ],
        ),
        (
            "  a: {uses: shell, environment: '${{ stages.b.outcome }}', with: {run: x}}\n"
            + OK.replace("ok", "b"),
            ["3:33: unknown-variable: 'stages' has no value here; here are: params"],
        ),
    ],
)
def test_references(stages: str, expected: list[str]) -> None:
    """References between stages, names and plugins are checked."""
    assert problems_of_stages(stages) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "contxt: x",
            ["unknown-field: 'contxt' is not an input of 'docker.build'; did you mean 'context'?"],
        ),
        (
            "context: x, on_failure: stop",
            [
                "unknown-field: 'on_failure' is not an input of 'docker.build'; "
                "it is a field of the stage: write it beside 'with'"
            ],
        ),
        (
            "context: x, tags: a",
            ["wrong-type: 'tags' must be a list, not 'a'; write it as a list: '[…]'"],
        ),
        (
            "context: 5",
            ["wrong-type: 'context' must be a string, not the number 5; put it in quotes"],
        ),
        (
            "context: x, attempts: many",
            ["wrong-type: 'attempts' must be an integer, not 'many'"],
        ),
        (
            "context: x, pull: alwys",
            [
                "invalid-value: 'pull' must be 'always' or 'missing', not 'alwys'; "
                "did you mean 'always'?"
            ],
        ),
        ("tags: [a]", ["missing-field: 'docker.build' needs 'context'; add 'context: …'"]),
        (
            "context: '${{ params.count }}'",
            ["wrong-type: 'context' must be a string, but '${{ params.count }}' is an integer"],
        ),
        (
            "context: x, tags: '${{ params.name }}'",
            ["wrong-type: 'tags' must be a list, but '${{ params.name }}' is a string"],
        ),
        (
            "context: x, tags: ['${{ [1, 2] }}']",
            ["wrong-type: 'tags[0]' must be a string, but '${{ [1, 2] }}' is a list"],
        ),
    ],
)
def test_inputs(written: str, expected: list[str]) -> None:
    """``with`` is checked against the inputs of the type, expressions by their static type."""
    head = "parameters: {count: {type: integer, default: 1}, name: {default: x}}\n"
    stages = f"  a: {{uses: docker.build, with: {{{written}}}}}\n"
    found = problems_of_stages(stages, head)
    assert [each.partition(": ")[2] for each in found] == expected
    assert all(each.startswith("4:") for each in found)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "k8s",
            "not 'k8s'; it is an output of another stage: '${{ stages.ID.outputs.NAME }}'",
        ),
        ("'${{ [1] }}'", "but '${{ [1] }}' is a list"),
    ],
)
def test_an_artifact_is_asked_for_by_name(written: str, expected: str) -> None:
    """What takes an artifact says so, and where one is from."""
    found = problems_of_stages(f"  a: {{uses: kubernetes.deploy, with: {{bundle: {written}}}}}\n")
    assert [each.partition(": ")[2] for each in found] == [
        f"wrong-type: 'bundle' must be an artifact, {expected}"
    ]


@pytest.mark.parametrize(
    "written",
    [
        "context: x, attempts: '${{ params.name }}'",
        "context: x, pull: '${{ params.name }}'",
        "context: x, push: '${{ params.name }}'",
        "context: '${{ stages.ok.outputs.anything }}'",
        "context: '${{ trigger.x }}', tags: '${{ trigger.y }}', attempts: '${{ trigger.z }}'",
        "context: 'a ${{ params.count }}'",
        "context: x, tags: ['${{ params.name }}', b]",
    ],
)
def test_never_wrongly_refused(written: str) -> None:
    """What could be right once the values are known is not refused."""
    head = "parameters: {count: {type: integer, default: 1}, name: {default: x}}\n"
    ok = "  ok: {uses: shell, with: {run: echo, outputs: [anything]}}\n"
    assert problems_of_stages(f"{ok}  a: {{uses: docker.build, with: {{{written}}}}}\n", head) == []


def test_unions() -> None:
    """A value of several forms is refused only when it fits none."""
    assert problems_of_stages("  a: {uses: shell, with: {run: {x: 1}}}\n") == [
        "3:32: wrong-type: 'run' must be a string or a list, not a mapping"
    ]
    assert problems_of_stages("  a: {uses: shell, with: {run: [a, 5]}}\n") == [
        "3:36: wrong-type: 'run[1]' must be a string, not the number 5; put it in quotes"
    ]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (
            "with: {run: 'echo ${{ params.v }}'}",
            "expression-in-script: 'run' is a script, in which '${{' would be a way to run "
            "anything; pass it as a variable: 'env: {V: \"${{ params.v }}\"}', "
            'and write "$V" in the script',
        ),
        (
            "with: {run: [echo, '${{ params.v }}']}",
            "expression-in-script: 'run' is a script, in which '${{' would be a way to run "
            "anything; pass it as a variable: 'env: {V: \"${{ params.v }}\"}', "
            'and write "$V" in the script',
        ),
        (
            "if: params.v, with: {run: x}",
            "expression-type: 'params.v' is string, but must be bool; "
            "compare it with something, as in x != ''",
        ),
        (
            "if: params.w == 'x', with: {run: x}",
            "unknown-parameter: unknown parameter 'w'; known: 'v'",
        ),
        (
            "name: '${{ success() }}', with: {run: x}",
            "status-outside-if: success(), failure(), always() and aborted() have no meaning here; "
            "use them in 'if'",
        ),
        (
            "name: '${{ secrets.registry_password }}', with: {run: x}",
            "secret-misplaced: the secret 'registry_password' may not stand here; "
            "use it in an input declared secret, or in a value of 'env'",
        ),
        (
            "with: {run: x, env: {A: '${{ secrets.registry_pasword }}'}}",
            "unknown-secret: unknown secret 'registry_pasword'; did you mean 'registry_password'?",
        ),
        (
            "with: {run: x, env: {A: '${{ secrets.db_password }}'}}",
            "unknown-secret: unknown secret 'db_password'; did you mean 'registry_password'?",
        ),
        (
            "with: {run: x, env: {A: '${{ secrets.registry_password.size() }}'}}",
            "secret-in-expression: a secret may only stand alone or be joined with '+'; "
            "write it like 'postgres://app:' + secrets.db_password + '@db'",
        ),
        (
            "with: {run: x, env: {A: '${{ environment.name }}'}}",
            "unknown-variable: 'environment' has no value here; "
            "here are: git, params, run, stages, trigger",
        ),
        (
            "environment: staging, with: {run: x, env: {A: '${{ environment.variables.hots }}'}}",
            "unknown-variable: unknown variable 'hots' of the environment; did you mean 'host'?",
        ),
        (
            "with: {run: x, env: {A: '${{ matrix.region }}'}}",
            "unknown-variable: 'matrix' has no value here; "
            "here are: git, params, run, stages, trigger",
        ),
        (
            "with: {run: x, env: {A: '${{ stages[params.v].outcome }}'}}",
            "computed-stage: a stage is named by a constant here; "
            "write stages.ID; only stages of 'finally' may look at all of them",
        ),
        (
            "with: {run: x, env: {A: '${{ stages.load-test.outcome }}'}}",
            "hyphenated-name: a hyphen is minus in an expression; write stages['load-test']",
        ),
        (
            "with: {run: x, env: {A: '${{ stages[\"load-test\"].outputs.nope }}'}}",
            "unknown-output: unknown output 'nope' of stage 'load-test'; "
            "known: 'digest', 'reference'",
        ),
        (
            "with: {run: x, env: {A: '${{ 1 + }}'}}",
            None,
        ),
    ],
)
def test_expressions(stage: str, expected: str | None) -> None:
    """What an expression mentions, where it stands and what it gives is checked."""
    head = "parameters: {v: {default: x}}\n"
    stages = (
        f"  a: {{uses: shell, {stage}}}\n"
        "  load-test: {uses: docker.build, with: {context: x}}\n"
    )
    found = problems_of_stages(stages, head)
    assert len(found) == 1
    assert found[0].startswith("4:")
    if expected is not None:
        assert found[0].partition(": ")[2] == expected


def test_computed_stage_in_finally() -> None:
    """Stages of ``finally`` may look at all stages."""
    stages = OK + (
        "finally:\n  r: {uses: shell, with: {run: x, env: {A: '${{ stages[params.v].outcome }}'}}}\n"
    )
    assert problems_of_stages(stages, "parameters: {v: {default: x}}\n") == []


def test_condition_cut_by_a_comment() -> None:
    """A condition that a comment cut off is told why."""
    found = problems_of_stages(
        "  a:\n    uses: shell\n    if: run.id == 'a #b'\n    with: {run: x}\n"
    )
    assert len(found) == 1
    assert found[0].endswith(
        "' #' begins a comment and may have cut it off: put the whole value in quotes"
    )


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ("{region: []}", "matrix: axis 'region' is an empty list; remove the stage"),
        ("{region: [a, b, a]}", "matrix: axis 'region' has 'a' twice"),
        (
            "{region: eu}",
            "matrix: axis 'region' must be a list or an expression, not 'eu'; write 'region: [eu]'",
        ),
        (
            "{max_paralel: '2', r: [1]}",
            "matrix: axis 'max_paralel' must be a list or an expression, "
            "not '2'; did you mean 'max_parallel'?",
        ),
        ("{max_parallel: 2}", "matrix: a matrix needs an axis; add one, like 'region: [eu, us]'"),
        ("{r: [1, 2], exclude: [{r: 3}]}", "matrix: 'exclude' matches no instance"),
        ("{r: [1, 2], exclude: [{s: 3}]}", "matrix: 'exclude' names 's', which is no axis"),
        ("{r: [1], exclude: [{r: 1}]}", "matrix: 'exclude' leaves nothing of the matrix"),
        ("{r: [1], include: [{r: 1}]}", "matrix: 'include' adds an instance that is there already"),
        (
            "{r-x: [1]}",
            "matrix: 'r-x' is not a name of an axis; "
            "use letters, digits and '_', beginning with a letter",
        ),
        (
            f"{{a: {list(range(20))}, b: {list(range(13))}}}",
            "matrix: the matrix has 260 instances, more than 256",
        ),
        ("{fail_fast: [true, false]}", "wrong-type: 'fail_fast' must be true or false, not a list"),
        (
            "{region: [eu], x: '${{ matrix.region }}'}",
            "unknown-variable: 'matrix' has no value here; here are: git, params, run, stages, trigger",
        ),
        (
            "{x: '${{ run.id }}'}",
            "expression-type: 'run.id' is string, but must be list",
        ),
    ],
)
def test_checklist_12_a_matrix_that_contradicts_itself(matrix: str, expected: str) -> None:
    """A matrix is checked as far as it is literal."""
    found = problems_of_stages(f"  a: {{uses: shell, matrix: {matrix}, with: {{run: x}}}}\n")
    assert [each.partition(": ")[2] for each in found][:1] == [expected]


def test_matrix_axis_in_expressions() -> None:
    """An axis that is not there is told where it is used."""
    stages = (
        "  a: {uses: shell, name: '${{ matrix.regoin }}', matrix: {region: [a]}, with: {run: x}}\n"
    )
    assert problems_of_stages(stages) == [
        "3:26: unknown-axis: unknown axis 'regoin'; did you mean 'region'?"
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            "parameters: {v: {default: 5}}\n",
            "2:27: parameter: parameter 'v': 'default' must be a string, not the number 5",
        ),
        (
            "parameters: {1st: {default: x}}\n",
            "2:14: invalid-name: '1st' is not a name of a parameter; "
            "use letters, digits, '_' and '-', beginning with a letter",
        ),
        (
            "triggers: [{git: {}}]\n",
            "2:13: unknown-plugin: 'git' is not an installed trigger; "
            "'gennaker plugins' lists what is installed",
        ),
        (
            "notifications: [{slack: {}}]\n",
            "2:18: unknown-plugin: 'slack' is not an installed notifier; "
            "'gennaker plugins' lists what is installed",
        ),
        (
            'title: "${{ stages.ok.outcome }}"\n',
            "2:8: unknown-variable: 'stages' has no value here; here are: git, params, run, trigger",
        ),
        (
            'title: "${{ run.title }}"\n',
            "2:8: unknown-field: unknown field 'title' of 'run'; "
            "known: 'actor', 'id', 'number', 'pipeline', 'started_at'",
        ),
        (
            'concurrency: {group: "${{ params.nope }}"}\n',
            "2:22: unknown-parameter: unknown parameter 'nope'; there is no parameter at all",
        ),
    ],
)
def test_head(head: str, expected: str) -> None:
    """The pipeline's own keys are checked."""
    assert problems_of_stages(OK, head) == [expected]


def test_pipeline_name() -> None:
    """A pipeline is named by the rule of names."""
    assert problems_of(f"name: shop-42\nstages:\n{OK}") == [
        "p.yaml:1:7: invalid-name: pipeline name 'shop-42' ends in a part of digits only, "
        "as the id of a run does; add a letter to it"
    ]


def test_approval_covers_nothing() -> None:
    """An approval after which nothing is known is warned of; one that binds something is not."""
    render = (
        "  render: {{uses: helm.template, {0}with: {{chart: c}}}}\n"
        "  go: {{uses: approval, {1}with: {{}}}}\n"
        "  deploy: {{uses: kubernetes.deploy, needs: go, environment: staging, "
        "with: {{bundle: '${{{{ stages.render.outputs.bundle }}}}'}}}}\n"
    )
    assert problems_of_stages(render.format("needs: go, ", "")) == []
    assert problems_of_stages(render.format("", "needs: render, ")) == []
    assert problems_of_stages(render.format("", "")) == [
        "4:3: warning: approval-covers-nothing: approval 'go' covers nothing: no stage after it has "
        "inputs that are known when it asks; render before you ask, and let the stage that changes "
        "something need the approval"
    ]


def test_checklist_11_large_graphs_are_refused() -> None:
    """A pipeline has at most 1,000 stages and 5,000 dependencies."""
    stages = "".join(f"  s{i}x: {{uses: shell, with: {{run: x}}}}\n" for i in range(1001))
    assert problems_of_stages(stages) == [
        "2:1: pipeline-limit: the pipeline has 1001 stages, more than 1000; "
        "split it, or use a matrix"
    ]
    dense = "".join(
        f"  s{i}x: {{uses: shell, needs: [{', '.join(f's{j}x' for j in range(i))}], "
        "with: {run: x}}\n"
        for i in range(102)
    )
    assert problems_of_stages(dense) == [
        "2:1: pipeline-limit: the stages have 5151 dependencies, more than 5000; "
        "let fewer stages depend on everything, through one stage between"
    ]


def test_form_and_meaning_at_once() -> None:
    """Problems of form and of meaning are told together, without follow-ups of the former."""
    found = problems_of_stages(
        "  a: {uses: shell, tmeout: 5m, with: {run: x}}\n"
        "  b: {usess: shell, needs: a}\n"
        "  c: {uses: shell, needs: [b, nope], with: {run: x}}\n"
        "  d: hello\n"
        "  e: {uses: shell, if: stages.d.outputs.x == 1, with: {run: x}}\n"
    )
    assert [each.partition(": ")[2].partition(":")[0] for each in found] == [
        "unknown-field",
        "unknown-field",
        "unknown-stage",
        "wrong-type",
    ]


def test_broken_settings_do_not_hide_the_pipeline() -> None:
    """A pipeline is checked also when the project's settings are wrong."""
    Path("gennaker.yaml").write_text("nope: 1\n")
    assert problems_of_stages("  a: {uses: shel}\n") == [
        "3:13: unknown-plugin: 'shel' is not an installed stage type; did you mean 'shell'?"
    ]


def test_validate_files() -> None:
    """Every problem of every file and of the settings is told at once."""
    Path("gennaker.yaml").write_text(SETTINGS.replace("kubernetes", "kubernets"))
    Path("pipelines").mkdir()
    Path("pipelines/a.yaml").write_text(f"name: one\nstages:\n{OK}")
    Path("pipelines/b.yaml").write_text("name: one\nstages: {a: {uses: shel}}\n")
    Path("pipelines/c.yaml").write_text("name: [\n")
    project = load_project(Path())
    assert [str(each) for each in validate_files(project, registry=REGISTRY)] == [
        "gennaker.yaml:4:5: unknown-plugin: 'kubernets' is not an installed target; "
        "did you mean 'kubernetes'?",
        "pipelines/b.yaml:2:20: unknown-plugin: 'shel' is not an installed stage type; "
        "did you mean 'shell'?",
        "pipelines/c.yaml:1:8: yaml-syntax: did not find expected node content",
        "pipelines/b.yaml:1:7: ambiguous-pipeline: pipeline 'one' is defined twice, "
        "at pipelines/a.yaml:1:7 and here; rename one of them",
    ]


def test_settings_and_pipelines_in_one_round() -> None:
    """Settings that are wrong in their form hide neither wrong folders nor a wrong pipeline."""
    Path("gennaker.yaml").write_text(
        "projct: shop\npipelines: [nope, pipelines, ../up]\n"
        "environments: {staging: text, live: {secrets: {db: x}}}\n"
    )
    Path("pipelines").mkdir()
    # What of the environments cannot be read is not told again as missing.
    with_secret = (
        "with: {run: x, env: {P: '${{ secrets.db }}', V: '${{ environment.variables.v }}'}}"
    )
    Path("pipelines/a.yaml").write_text(
        "name: one\nstages:\n"
        f"  a: {{uses: shell, environment: staging, {with_secret}}}\n"
        f"  b: {{uses: shel, environment: live, {with_secret}}}\n"
        "  c: {uses: shell, environment: liv, with: {run: x}}\n"
    )
    project = load_project(Path())
    assert [str(each) for each in validate_files(project, registry=REGISTRY)] == [
        "gennaker.yaml:1:1: unknown-field: 'projct' is not a field of gennaker.yaml; "
        "did you mean 'project'?",
        "gennaker.yaml:2:13: no-folder: there is no file or folder 'nope'",
        "gennaker.yaml:2:30: path-outside: path '../up' has '..' in it; "
        "write a path relative to the folder, with '/' and without '..'",
        "gennaker.yaml:3:25: wrong-type: 'staging' must be a mapping, not 'text'",
        "gennaker.yaml:3:52: wrong-type: 'db' must be a mapping, not 'x'",
        "pipelines/a.yaml:4:13: unknown-plugin: 'shel' is not an installed stage type; "
        "did you mean 'shell'?",
        "pipelines/a.yaml:5:33: unknown-environment: there is no environment 'liv'; "
        "did you mean 'live'?",
    ]
    Path("gennaker.yaml").write_text("enviroments: {staging: {}}\n")
    staged = OK.replace("shell", "shell, environment: staging")
    Path("pipelines/a.yaml").write_text(f"name: one\nstages:\n{staged}")
    (told,) = validate_files(project, registry=REGISTRY)
    assert told.code == "unknown-field"


def test_names_that_differ_in_their_dashes() -> None:
    """`a-b` beside `a_b` is refused for pipelines as it is for stages."""
    Path("pipelines").mkdir()
    Path("pipelines/a.yaml").write_text(f"name: one-two\nstages:\n{OK}")
    Path("pipelines/b.yaml").write_text(f"name: one_two\nstages:\n{OK}")
    project = load_project(Path())
    assert [str(each) for each in validate_files(project, registry=REGISTRY)] == [
        "pipelines/b.yaml:1:7: ambiguous-pipeline: pipeline names 'one-two' and 'one_two' differ "
        "only in '-' and '_'; the other is at pipelines/a.yaml:1:7; rename one of them"
    ]


def test_check_pipeline() -> None:
    """A pipeline with errors raises them all; one with warnings gives them back."""
    project = load_project(Path())
    Path("p.yaml").write_text("name: one\nstages:\n  a: {uses: approval}\n")
    (loaded,) = read_file(Path("p.yaml"), project=project)
    (warning,) = check_pipeline(loaded, registry=REGISTRY, project=project)
    assert warning.code == "approval-covers-nothing"
    Path("p.yaml").write_text("name: one\nstages:\n  a: {uses: approva, tmeout: 1}\n")
    (loaded,) = read_file(Path("p.yaml"), project=project)
    with pytest.raises(InvalidInput) as caught:
        check_pipeline(loaded, registry=REGISTRY, project=project)
    assert [each.code for each in caught.value.problems] == ["unknown-plugin", "unknown-field"]


def test_a_comma_that_ends_a_value_is_explained() -> None:
    """What follows a comma in an unquoted script is not only called unknown: quotes are advised."""
    (problem,) = problems_of_stages('  a: {uses: shell, with: {run: echo "one, two"}}\n')
    assert problem == (
        "3:43: unknown-field: 'two\"' is not an input of 'shell';"
        " inside '{ }' a comma ends an unquoted value; put the whole value in quotes"
    )


CUT = (
    "begins a comment and is no part of the value; put the whole value in quotes, or a space after"
)


@pytest.mark.parametrize(
    ("value", "comment"),
    [
        ("with: {run: x}\n    name: at ${{ params.v }} #${{ run.number }}", "#${{ run.number }}"),
        ("if: run.id == params.v #2\n    with: {run: x}", "#2"),
        ("with:\n      run: echo #hello", "#hello"),
        ("with:\n      run: git log --format \\# x #1  # note", "#1  # note"),
        ('with:\n      run: echo "see # 1"', '# 1"'),
        ("with:\n      run: echo it's # x'", "# x'"),
        ("with:\n      run:\n        - echo\n        - say #hello", "#hello"),
    ],
)
def test_a_comment_that_cuts_a_script_or_an_expression_is_told(value: str, comment: str) -> None:
    """'#' without a space after it, or inside quotes of a script, was meant as part of the value."""
    found = problems_of_stages(
        f"  a:\n    uses: shell\n    {value}\n", "parameters: {v: {default: x}}\n"
    )
    assert [each.partition(": ")[2] for each in found] == [
        f"warning: yaml-trap: {comment!r} {CUT} the '#' of a comment"
    ]


@pytest.mark.parametrize(
    "value",
    [
        "name: at ${{ params.v }} # note\n    with: {run: x}",
        "name: one #2\n    with: {run: x}",
        "if: run.id == params.v  ## 2 ##\n    with: {run: x}",
        "with:\n      run: make test  # all of it",
        'with:\n      run: echo "it\'s" # x',
        "with:\n      run: echo don\\'t # x",
        "with:\n      run: |\n        echo #hello",
        "with:\n      run: 'echo #hello'",
        "with: {run: x} #hello",
    ],
)
def test_an_ordinary_comment_is_no_problem(value: str) -> None:
    """A comment with a space, after plain text, or after what is closed or quoted."""
    head = "parameters: {v: {default: x}}\n"
    assert problems_of_stages(f"  a:\n    uses: shell\n    {value}\n", head) == []


def test_an_empty_type_is_told() -> None:
    """A stage names its type."""
    assert problems_of_stages("  a: {uses: ''}\n") == [
        "3:13: missing-field: 'uses' is empty; name a stage type; 'gennaker stages' lists them"
    ]


def test_text_that_does_not_fit_is_told_with_how_it_is_written() -> None:
    """The pattern it must fit, and the words of the field, which have an example."""
    stage = "uses: kubernetes.delete, environment: staging, with: {objects: [Deployment/web, web]}"
    found = problems_of(f"name: one\nstages:\n  d: {{{stage}}}\n", Registry.installed())
    assert found == [
        "p.yaml:3:87: invalid-value: 'objects[1]' is 'web', which does not fit "
        "'^[A-Z][A-Za-z0-9]*/[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$'; The objects: [Deployment/web, Service/web]"
    ]
