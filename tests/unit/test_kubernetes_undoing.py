"""How one object gets back to what it was, without a server."""

from __future__ import annotations

from typing import Any

from gennaker_stages.kubernetes.undoing.restoring import make_restoration

MARK = "meta.helm.sh/release-name"


def write(data: dict[str, str], *entries: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """A ConfigMap with these managed fields."""
    metadata = {"name": "c", "namespace": "n", "annotations": annotations}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**metadata, "managedFields": list(entries)},
        "data": data,
    }


def own(manager: str, operation: str, fields: dict[str, Any]) -> dict[str, Any]:
    """An entry of managed fields."""
    kept = {"manager": manager, "operation": operation, "apiVersion": "v1"}
    return {**kept, "fieldsType": "FieldsV1", "fieldsV1": fields}


def test_what_was_taken_over_from_helm_is_its_own_again() -> None:
    """Also the fields and the mark that the deploy took out, which nobody owns since."""
    fields = {
        "f:metadata": {"f:annotations": {".": {}, f"f:{MARK}": {}}},
        "f:data": {".": {}, "f:a": {}, "f:gone": {}},
    }
    before = write({"a": "1", "gone": "1"}, own("helm", "Update", fields), **{MARK: "web"})
    live = write({"a": "2"}, own("gennaker", "Apply", {"f:data": {"f:a": {}}}))
    way = make_restoration(before, live)
    assert way.body["data"] == {"a": "1", "gone": "1"}
    assert way.body["metadata"]["annotations"] == {MARK: "web"}
    applied = {
        "f:metadata": {"f:annotations": {f"f:{MARK}": {}}},
        "f:data": {"f:a": {}, "f:gone": {}},
    }
    written = write(way.body["data"], own("gennaker", "Apply", applied), **{MARK: "web"})
    assert way.return_fields(written) == before["metadata"]["managedFields"]
    assert make_restoration(before, before).there


def test_what_helm_still_has_is_not_touched() -> None:
    """Of an object that was not taken over only our own fields are put back."""
    theirs = own("helm", "Update", {"f:metadata": {"f:annotations": {f"f:{MARK}": {}}}})
    mine = own("gennaker", "Apply", {"f:data": {"f:a": {}}})
    before = write({"a": "1"}, theirs, mine, **{MARK: "web"})
    way = make_restoration(before, write({"a": "2"}, theirs, mine, **{MARK: "web"}))
    assert "annotations" not in way.body["metadata"]
    assert way.body["data"] == {"a": "1"}


def test_what_was_set_to_nothing_stays_where_another_has_set_it() -> None:
    """An empty field of ours is named, so that it is ours again; not one that got a value of theirs."""
    fields: dict[str, Any] = {"f:spec": {"f:a": {}, "f:b": {}, "f:c": {}, "f:d": {}}}
    before = {**write({}, own("gennaker", "Apply", fields)), "spec": {"d": 1}}
    theirs = own("other", "Update", {"f:spec": {"f:b": {}, "f:c": {"f:x": {}}}})
    held = own("gennaker", "Apply", {"f:spec": {"f:a": {}, "f:d": {}}})
    live = {**write({}, theirs, held), "spec": {"a": "2", "b": "3", "c": {"x": "4"}, "d": 2}}
    assert make_restoration(before, live).body["spec"] == {"a": None, "d": 1}
    assert make_restoration(before, None).body["spec"] == {"a": None, "b": None, "c": None, "d": 1}
    custom = {**before, "apiVersion": "acme.test/v1"}
    assert make_restoration(custom, live).body["spec"] == {"d": 1}
