"""What would change, field by field; and when nothing would."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker.stage import ABSENT, FieldChange
from gennaker_stages.kubernetes.planning.difference import find_differences
from gennaker_stages.kubernetes.planning.unchanged import is_unchanged

WEB = {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}]}
SIDE = {"name": "side", "image": "side:1"}


def pods(*containers: dict[str, Any]) -> dict[str, Any]:
    """A Deployment with these containers."""
    return {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [*containers]}}}}


def paths(live: dict[str, Any] | None, wanted: dict[str, Any]) -> list[str]:
    """The paths in which two objects differ."""
    return [each.path for each in find_differences(live, wanted)]


def test_what_the_server_writes_is_no_difference() -> None:
    """Status, the server's metadata and kubectl's copy do not count; a field is named by its path."""
    copy = "kubectl.kubernetes.io/last-applied-configuration"
    live = {
        "metadata": {"resourceVersion": "1", "uid": "u", "annotations": {copy: "{}"}},
        "spec": {"a": True, "n": None},
        "status": {"x": 1},
    }
    wanted = {"metadata": {"labels": {"a.b/c": "v"}}, "spec": {"a": 1, "n": None}}
    assert find_differences(live, wanted) == [
        FieldChange("metadata", ABSENT, {"labels": {"a.b/c": "v"}}),
        FieldChange("spec.a", True, 1),
    ]
    live["metadata"] = {"labels": {"x": "y"}}
    assert paths(live, wanted) == ["metadata.labels[a.b/c]", "metadata.labels.x", "spec.a"]


def test_items_are_told_apart_by_what_names_them() -> None:
    """A container before the others moves none of them; a field of one is named by the container."""
    changed = {
        **WEB,
        "image": "web:2",
        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
    }
    where = "spec.template.spec.containers"
    assert find_differences(pods(WEB), pods(SIDE, changed)) == [
        FieldChange(f"{where}[side]", ABSENT, SIDE),
        FieldChange(f"{where}[web].env[B]", ABSENT, {"name": "B", "value": "2"}),
        FieldChange(f"{where}[web].image", "web:1", "web:2"),
    ]


def test_another_order_is_one_difference() -> None:
    """Items that only changed places are told once, by their names."""
    found = find_differences(pods(WEB, SIDE), pods(SIDE, WEB))
    assert found == [
        FieldChange("spec.template.spec.containers (order)", ["web", "side"], ["side", "web"])
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(
            [{"port": 53, "protocol": "UDP"}, {"port": 53}],
            [{"port": 53, "protocol": "UDP", "x": 1}, {"port": 53, "protocol": "TCP"}],
            ["l[53/UDP].x", "l[53].protocol"],
            id="one port for two protocols",
        ),
        pytest.param(
            [{"mountPath": "/a", "name": "v"}, {"mountPath": "/b", "name": "v"}],
            [{"mountPath": "/b", "name": "v"}],
            ["l[/a]"],
            id="one volume mounted twice",
        ),
        pytest.param(
            [{"verbs": ["get"]}, {"verbs": ["list"]}],
            [{"verbs": ["watch"]}, {"verbs": ["get"]}, {"verbs": ["list", "get"]}],
            ["l[0]", "l[2].verbs"],
            id="items without names",
        ),
        pytest.param([1, 2], [1, 3], ["l"], id="plain values"),
        pytest.param([{"a": 1}], [1], ["l"], id="mixed"),
    ],
)
def test_lists(before: list[Any], after: list[Any], expected: list[str]) -> None:
    """Ports, mounts, rules without a name, and lists of plain values."""
    assert paths({"l": before}, {"l": after}) == expected


def test_values_of_secrets_are_hidden() -> None:
    """That a key is added, changed or taken out is told; no value is."""
    head = {"apiVersion": "v1", "kind": "Secret"}
    live = {**head, "data": {"changed": "b2xk", "gone": "b2xk", "same": "c2FtZQ=="}, "type": "a"}
    wanted = {**head, "data": {"changed": "bmV3", "new": "bmV3", "same": "c2FtZQ=="}, "type": "b"}
    found = find_differences(live, wanted)
    assert found == [
        FieldChange("data.changed", "***", "***", hidden=True),
        FieldChange("data.gone", "***", ABSENT, hidden=True),
        FieldChange("data.new", ABSENT, "***", hidden=True),
        FieldChange("type", "a", "b"),
    ]
    (made,) = [each for each in find_differences(None, wanted) if each.path == "data.new"]
    assert made == FieldChange("data.new", ABSENT, "***", hidden=True)
    assert "bmV3" not in repr(find_differences({**head, "data": None}, wanted))


def manage(desired: dict[str, Any], fields: dict[str, Any], **live: Any) -> dict[str, Any]:
    """A live object that ``gennaker`` applied, owning ``fields``."""
    entry = {
        "manager": "gennaker",
        "operation": "Apply",
        "apiVersion": desired["apiVersion"],
        "fieldsV1": fields,
    }
    metadata = {**desired["metadata"], "managedFields": [entry], "uid": "u"}
    return {**desired, **live, "metadata": metadata}


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": "web"}},
}
FIELDS = {
    "f:metadata": {"f:labels": {"f:app": {}}},
    "f:spec": {
        "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}},
        "f:selector": {},
    },
}
LIVE_SPEC = {
    "clusterIP": "10.0.0.1",
    "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}],
    "selector": {"app": "web"},
}


def test_an_object_that_has_all_we_set_and_no_more_of_ours_is_unchanged() -> None:
    """Defaults of the server and fields of others do not count."""
    assert is_unchanged(manage(SERVICE, FIELDS, spec=LIVE_SPEC), SERVICE, "gennaker")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spec": {**SERVICE["spec"], "selector": {"app": "x"}}}, "another value"),  # type: ignore[dict-item]
        ({"spec": {"ports": SERVICE["spec"]["ports"]}}, "a field of ours taken out"),  # type: ignore[index]
        ({"spec": {**SERVICE["spec"], "type": "ClusterIP"}}, "one more field"),  # type: ignore[dict-item]
        ({"spec": {**SERVICE["spec"], "ports": []}}, "an item taken out"),  # type: ignore[dict-item]
        ({"apiVersion": "v2"}, "another version"),
        ({"metadata": {"name": "web", "namespace": "shop"}}, "no labels"),
        ({"status": {}}, "a status, which nobody applies"),
    ],
)
def test_whatever_an_apply_would_write_is_no_unchanged_object(
    change: dict[str, Any], why: str
) -> None:
    """Another value, a field more or less, another version: a dry run has to say it."""
    assert why
    live = manage(SERVICE, FIELDS, spec=LIVE_SPEC)
    assert not is_unchanged(live, {**SERVICE, **change}, "gennaker")


def test_only_our_own_entry_counts() -> None:
    """What another manager applied, or we wrote in another way, is not ours; nor what goes away."""
    live = manage(SERVICE, FIELDS, spec=LIVE_SPEC)
    assert not is_unchanged(live, SERVICE, "other")
    for key, value in (("operation", "Update"), ("subresource", "status")):
        live = manage(SERVICE, FIELDS, spec=LIVE_SPEC)
        live["metadata"]["managedFields"][0][key] = value
        assert not is_unchanged(live, SERVICE, "gennaker")
    live = manage(SERVICE, FIELDS, spec=LIVE_SPEC)
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_unchanged(live, SERVICE, "gennaker")


@pytest.mark.parametrize("empty", [None, {}, [], "", 0, False])
def test_what_the_server_leaves_out_is_unchanged(empty: Any) -> None:
    """An empty value that is ours and not there is what an apply made; of a custom kind only null is."""
    fields = {**FIELDS, "f:spec": {**FIELDS["f:spec"], "f:more": {}}}  # type: ignore[dict-item]
    desired = {**SERVICE, "spec": {**SERVICE["spec"], "more": empty}}  # type: ignore[dict-item]
    live = manage(desired, fields, spec=LIVE_SPEC)
    assert is_unchanged(live, desired, "gennaker")
    # Of a list that is merged by keys the server keeps whose its items are, and there are none.
    unmarked = is_unchanged(manage(desired, FIELDS, spec=LIVE_SPEC), desired, "gennaker")
    assert unmarked is (empty == [])
    custom = {"apiVersion": "example.com/v1"}
    live["metadata"]["managedFields"][0].update(custom)
    found = is_unchanged({**live, **custom}, {**desired, **custom}, "gennaker")
    assert found is (empty is None)


def test_an_empty_list_is_a_change_where_others_have_put_something() -> None:
    """What would be a conflict, or a list that is there, is found out by the server."""
    desired = {**SERVICE, "spec": {**SERVICE["spec"], "more": []}}  # type: ignore[dict-item]
    live = manage(desired, FIELDS, spec={**LIVE_SPEC, "more": ["x"]})
    assert not is_unchanged(live, desired, "gennaker")


def test_empty_annotations_of_ours_leave_room_for_those_of_others() -> None:
    """Nothing of them is ours; an empty selector that got something in it is a change."""
    head = {"apiVersion": "apps/v1", "kind": "Deployment"}
    desired: dict[str, Any] = {
        **head,
        "metadata": {"name": "web", "annotations": {}},
        "spec": {"selector": {}},
    }
    fields: dict[str, Any] = {
        "f:metadata": {"f:annotations": {}},
        "f:spec": {"f:selector": {}},
    }
    live = manage(desired, fields)
    live["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    assert is_unchanged(live, desired, "gennaker")
    assert not is_unchanged({**live, "spec": {"selector": {"a": "b"}}}, desired, "gennaker")
    # Whoever writes the first annotation takes the mark of the empty mapping away.
    live["metadata"]["labels"] = desired["metadata"]["labels"] = {"app": "web"}
    live["metadata"]["managedFields"][0]["fieldsV1"] = {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:selector": {}},
    }
    assert is_unchanged(live, desired, "gennaker")


CLAIM = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1024Mi"}}}}
LIVE_CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"creationTimestamp": None, "name": "data"},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"},
    "status": {"phase": "Pending"},
}


@pytest.mark.parametrize(
    ("version", "field", "desired", "live"),
    [
        ("apps/v1", "volumeClaimTemplates", CLAIM, LIVE_CLAIM),
        (
            "admissionregistration.k8s.io/v1",
            "rules",
            {"apiGroups": ["a"], "resources": ["b"]},
            {"apiGroups": ["a"], "resources": ["b"], "scope": "*"},
        ),
        (
            "networking.k8s.io/v1",
            "ingress",
            {"from": [], "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]},
            {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
        ),
    ],
)
def test_defaults_inside_of_what_is_owned_whole_are_no_change(
    version: str, field: str, desired: dict[str, Any], live: dict[str, Any]
) -> None:
    """What the server fills in, and no other value, and nothing that is not there any more."""
    head = {"apiVersion": version, "kind": "X", "metadata": {"name": "x"}}
    wanted = {**head, "spec": {field: [desired]}}
    fields: dict[str, Any] = {"f:spec": {f"f:{field}": {}}}
    assert is_unchanged(manage(wanted, fields, spec={field: [live]}), wanted, "gennaker")
    for other in ({**live, "more": 1}, {**live, next(iter(live)): "other"}):
        moved = manage(wanted, fields, spec={field: [other]})
        assert not is_unchanged(moved, wanted, "gennaker"), other
    custom = {**wanted, "apiVersion": "example.com/v1"}
    assert not is_unchanged(manage(custom, fields, spec={field: [live]}), custom, "gennaker")


def test_true_is_not_one_and_sets_and_orders_count() -> None:
    """JSON's equality, the members of a set, and the order of a list's items."""
    head = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}}
    desired = {**head, "flag": True, "set": ["a", "b"], "items": [{"name": "1"}, {"name": "2"}]}
    fields = {
        "f:flag": {},
        "f:set": {'v:"a"': {}, 'v:"b"': {}},
        "f:items": {each: {".": {}, "f:name": {}} for each in ('k:{"name":"1"}', 'k:{"name":"2"}')},
    }
    assert is_unchanged(manage(desired, fields, set=["z", "a", "b"]), desired, "gennaker")
    for other in (
        {"flag": 1},
        {"set": ["a", "c"]},
        {"set": ["b", "a"]},
        {"items": [{"name": "2"}, {"name": "1"}]},
    ):
        assert not is_unchanged(manage(desired, fields), {**desired, **other}, "gennaker"), other
