"""Values of Helm: merging, single keys, and how files of them are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennaker.errors import InvalidInput, PermanentError
from gennaker_stages.helm.keys import merge_values, set_value, split_key
from gennaker_stages.helm.layers import read_layer


def test_merge_goes_into_mappings_and_replaces_everything_else() -> None:
    """Mappings are merged key by key; lists and scalars are replaced as a whole."""
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    above = {"a": {"c": [3]}, "d": {"e": 2}}
    assert merge_values(below, above) == {"a": {"b": 1, "c": [3]}, "d": {"e": 2}}
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_merge_keeps_a_null() -> None:
    """A null is Helm's order to remove the chart's default, so it goes to Helm."""
    assert merge_values({"a": 1}, {"a": None}) == {"a": None}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a", {"a": 9, "l": [{"n": 1}]}),
        ("b.c", {"a": 1, "l": [{"n": 1}], "b": {"c": 9}}),
        ("l[0].n", {"a": 1, "l": [{"n": 9}]}),
        ("l[2]", {"a": 1, "l": [{"n": 1}, None, 9]}),
        (r"x\.y/z", {"a": 1, "l": [{"n": 1}], "x.y/z": 9}),
        ("a.b", {"a": {"b": 9}, "l": [{"n": 1}]}),
    ],
)
def test_set_writes_one_place(key: str, expected: dict[str, object]) -> None:
    """A key names a place through mappings, lists and escaped dots."""
    assert set_value({"a": 1, "l": [{"n": 1}]}, split_key(key), 9) == expected


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", "a[x]", "a[1", "a]"])
def test_set_refuses_what_is_no_key(key: str) -> None:
    """A key that cannot be read is refused with the form it should have."""
    with pytest.raises(InvalidInput) as caught:
        split_key(key)
    assert (caught.value.code, caught.value.hint) == ("helm-key", "write 'a.b[0]'")


def test_checklist_33_set_refuses_a_huge_index() -> None:
    """An index cannot be used to make a list that fills the memory."""
    with pytest.raises(InvalidInput) as caught:
        split_key("a[9999]")
    assert caught.value.message == "the index in 'a[9999]' is above 1000"


def test_values_files_are_read_as_helm_reads_them(tmp_path: Path) -> None:
    """YAML 1.1: `on` and `yes` are booleans; an empty file is no values."""
    (tmp_path / "v.yaml").write_text("a: on\nb: 012\n")
    (tmp_path / "empty.yaml").write_text("\n")
    assert read_layer(tmp_path, "v.yaml", 0).data == {"a": True, "b": 10}
    assert read_layer(tmp_path, "empty.yaml", 0).data == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no values file 'v.yaml'"),
        ("- 1\n", "'v.yaml' is not a mapping"),
        ("a: [\n", "v.yaml:1:5: yaml-syntax"),
    ],
)
def test_bad_values_files_are_told(tmp_path: Path, content: str | None, message: str) -> None:
    """A missing file, a list and broken YAML each say which file it is."""
    if content is not None:
        (tmp_path / "v.yaml").write_text(content)
    with pytest.raises(PermanentError) as caught:
        read_layer(tmp_path, "v.yaml", 0)
    assert caught.value.code == "helm-values"
    assert message in caught.value.message
