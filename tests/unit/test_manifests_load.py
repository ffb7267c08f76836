"""Plain YAML files to a bundle: which files, in which order, with their text, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from gennaker.errors import GennakerError
from gennaker.stage import Succeeded
from gennaker.testing import StageContract
from gennaker_stages.manifests.load_stage import ManifestsLoad
from gennaker_stages.manifests.patterns import find_base, find_files, matches
from tests.fixtures.stage_context import StageContext

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A source with manifests in folders."""
    context = StageContext(tmp_path)
    context.write(
        {
            "k8s/b.yaml": CONFIG % "b",
            "k8s/a.yml": CONFIG % "a",
            "k8s/README.md": "no manifest\n",
            "k8s/.hidden.yaml": CONFIG % "hidden",
            "k8s/more/c.yaml": CONFIG % "c1" + "---\n" + CONFIG % "c2",
            "k8s/more/deep/d.json": '{"apiVersion": "v1", "kind": "ConfigMap",'
            ' "metadata": {"name": "d"}}',
            "k8s/.git/e.yaml": CONFIG % "e",
        }
    )
    return context


def load(context: StageContext, *files: str, **more: Any) -> tuple[str, list[str]]:
    """Run the stage; the bundle's text and the objects' names."""
    outcome = ManifestsLoad().run(ManifestsLoad.Inputs(files=files, **more), context)
    assert isinstance(outcome, Succeeded)
    outputs = dict(outcome.outputs)
    return context.read(outputs["bundle"]).decode(), outputs["objects"]


def refuse(context: StageContext, *files: str) -> str:
    """What the stage says when it ends with an error."""
    with pytest.raises(GennakerError) as caught:
        load(context, *files)
    return str(caught.value)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["k8s/b.yaml"], "b"),
        (["k8s/b.yaml", "k8s/a.yml", "k8s/b.yaml"], "b a"),
        (["k8s"], "a b"),
        (["k8s/"], "a b"),
        (["k8s/*.yaml"], "b"),
        (["k8s/**"], "a b c1 c2 d"),
        (["k8s/**/*.yaml"], "b c1 c2"),
        (["**/deep/*"], "d"),
        (["k8s/[ab].y*ml"], "a b"),
        (["k8s/more/**/*.json", "k8s/?.yml"], "d a"),
        (["k8s/.hidden.yaml", "k8s/.*.yaml", "k8s/.git/**"], "hidden e"),
    ],
)
def test_files_are_found_as_named_each_once(
    context: StageContext, files: list[str], names: str
) -> None:
    """Files, folders and globs, in the order named and then by name; dot files only when named."""
    assert load(context, *files)[1] == [f"ConfigMap/{each}" for each in names.split()]


def test_what_is_excluded_is_left_out(context: StageContext) -> None:
    """Globs of files that a wider glob would take."""
    assert load(context, "k8s/**", exclude=["k8s/more/**", "k8s/b.yaml"])[1] == ["ConfigMap/a"]


def test_documents_keep_their_text(context: StageContext) -> None:
    """Comments and blank lines of a block stay; each document says its file; lists stay lists."""
    written = (
        "# why\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  t: |+\n    a\n\n"
    )
    context.write({"one.yaml": f"--- # first\n{written}---\n---\n# nothing\n---\n{CONFIG % 'z'}"})
    text, names = load(context, "one.yaml")
    assert names == ["ConfigMap/x", "ConfigMap/z"]
    assert text == (
        f"---\n# Source: one.yaml\n# first\n{written}---\n# Source: one.yaml\n{CONFIG % 'z'}"
    )
    assert context.log_text == "ConfigMap/x  (one.yaml)\nConfigMap/z  (one.yaml)"


def test_a_list_is_one_document_of_many_objects(context: StageContext) -> None:
    """Its objects are named, its text is written once."""
    one = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "%s"}}'
    context.write({"all.json": f'{{"kind": "List", "items": [{one % "p"}, {one % "q"}]}}'})
    text, names = load(context, "all.json")
    assert names == ["ConfigMap/p", "ConfigMap/q"]
    assert text.count("# Source") == 1


def test_json_may_say_a_character_by_two_escapes(context: StageContext) -> None:
    """As every JSON writer does for what is beyond 16 bits; a YAML text that shows one is left alone."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    data = {"a": "🎉 é", "b": "\\ud83c\\udf89"}
    shown = "data:\n  a: |\n    {text: \\ud83c\\udf89}\n"
    context.write(
        {"x.json": json.dumps({**body, "data": data}), "y.yaml": CONFIG % "z" + shown},
    )
    text, _ = load(context, "x.json")
    assert yaml.safe_load(text)["data"] == data
    text, _ = load(context, "y.yaml")
    assert text.endswith(shown)


def test_checklist_38_the_same_files_give_the_same_bytes(context: StageContext) -> None:
    """Two loads store one artifact."""
    assert load(context, "k8s/**") == load(context, "k8s/**")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("no.yaml", "manifests-missing: there is no file 'no.yaml' in the source; paths are"),
        ("no/**", "manifests-missing: there is no file 'no/**' in the source; paths are"),
        ("../x.yaml", "path-outside: path '../x.yaml' has '..' in it; write a path"),
        ("/etc/*", "path-outside: path '/etc' is not relative; write a path"),
    ],
)
def test_what_is_not_there_is_told(context: StageContext, file: str, message: str) -> None:
    """A file that is missing, and one that is elsewhere."""
    assert refuse(context, file).startswith(message)


def test_all_that_is_not_there_is_told_at_once(context: StageContext) -> None:
    """In the order in which it is named; what is there does not matter."""
    told = "manifests-missing: there is no file 'no.yaml', 'gone' in the source; paths are"
    assert refuse(context, "k8s/**", "no.yaml", "gone").startswith(told)


def test_checklist_32_a_link_out_of_the_source_is_refused(context: StageContext) -> None:
    """Also when a glob finds it."""
    (context.source / "k8s" / "out.yaml").symlink_to("/etc/hostname")
    assert refuse(context, "k8s/**").startswith("path-outside: path 'k8s/out.yaml' leads out of")


def test_a_template_is_told_from_a_manifest(context: StageContext) -> None:
    """Whoever loads the templates of a chart learns what to do instead."""
    context.write({"t.yaml": "apiVersion: v1\nkind: ConfigMap\ndata: {a: {{ .Values.a }}}\n"})
    assert refuse(context, "t.yaml") == (
        "t.yaml:3:12: yaml-key: a key is not a string; "
        "'{{ … }}' is of a template: render it first, a chart with 'helm.template'"
    )


def test_every_problem_of_a_file_is_told(context: StageContext) -> None:
    """One with its place; of several the log has each."""
    context.write({"bad.yaml": "kind: ConfigMap\n"})
    assert refuse(context, "bad.yaml") == (
        "bad.yaml:1:1: bundle-object: ConfigMap/None has no apiVersion; give it 'apiVersion'"
    )
    context.write({"bad.yaml": "kind: ConfigMap\n---\n- 1\n---\na: [\n"})
    assert refuse(context, "bad.yaml").startswith("bundle: the bundle has 3 problems")
    assert "bad.yaml:3:1" in context.log_text
    assert "bad.yaml:5:5" in context.log_text


def test_checklist_33_too_large_files_are_refused(context: StageContext) -> None:
    """More than a bundle may have is not read."""
    context.write({"big.yaml": CONFIG % "x" + "# " + "x" * (10 << 20)})
    assert refuse(context, "k8s", "big.yaml") == (
        "bundle-size: the files have more than 10 MiB together, with 'big.yaml'; "
        "load and deploy them in parts"
    )


def test_the_plan_gives_the_bundle_and_hides_secrets(context: StageContext) -> None:
    """Later plans read what the run will make; the values of Secrets are not kept."""
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: value-of-it}\n"
    context.write({"secret.yaml": secret})
    plan = ManifestsLoad().plan(ManifestsLoad.Inputs(files=("secret.yaml",)), context)
    assert plan.outputs["bundle"]["digest"].startswith("sha256:")
    assert plan.desired["objects"][0]["stringData"] == {"key": "***"}
    assert [(each.what, each.detail) for each in plan.changes] == [("load secret.yaml", "Secret/s")]


def test_sources_are_the_files_and_the_folders_of_globs() -> None:
    """What a retry compares."""
    inputs = ManifestsLoad.Inputs(files=("k8s/a.yaml", "k8s/**/*.yaml", "*.yaml", "k8s"))
    assert ManifestsLoad().list_sources(inputs) == ["k8s/a.yaml", "k8s", ".", "k8s"]
    assert find_base("a/b*/c") == "a"


def test_a_pattern_with_many_stars_ends_soon(tmp_path: Path) -> None:
    """Each part of the pattern is tried once for each part of the path."""
    assert not matches("/".join("a" * 200), "/".join(["**", "a"] * 50 + ["b"]))
    assert matches("/".join("a" * 200 + "b"), "/".join(["**", "a"] * 50 + ["**", "b"]))
    assert find_files(tmp_path, "**/**/**/x") == []


class TestManifestsLoadContract(StageContract):
    """The contract of all stage types."""

    stage = ManifestsLoad
    inputs: ClassVar[dict[str, Any]] = {"files": ["k8s"]}

    def make_context(self, folder: Path) -> StageContext:
        """With a manifest in its source."""
        context = StageContext(folder / "context")
        context.write({"k8s/a.yaml": CONFIG % "a"})
        return context
