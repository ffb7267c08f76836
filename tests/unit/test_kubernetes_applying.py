"""Fields and their owners, rules for conflicts, inventories and what is pruned; no cluster."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_stages.kubernetes.applying.adoption import take_over
from gennaker_stages.kubernetes.applying.conflicts import find_conflicts, keep_yielded
from gennaker_stages.kubernetes.applying.fields import (
    MISSING,
    find_value,
    list_paths,
    remove_value,
)
from gennaker_stages.kubernetes.applying.fieldsets import remove_fields, unite
from gennaker_stages.kubernetes.applying.rules import ConflictRules
from gennaker_stages.kubernetes.inventory.applyset import ApplySet, make_id
from gennaker_stages.kubernetes.inventory.owners import find_owner
from gennaker_stages.kubernetes.inventory.prune import PruneRules, find_prunable
from gennaker_stages.kubernetes.planning.quantities import is_quantity, same_quantity

WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "web",
        "namespace": "n",
        "annotations": {"example.test/a.b": "1"},
        "finalizers": ["a/b", "c/d"],
    },
    "spec": {
        "replicas": 2,
        "containers": [
            {"name": "web", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"name": "side", "resources": {"limits": {"cpu": "1"}}},
        ],
    },
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".spec.replicas", 2),
        ('.spec.containers[name="web"].image', "i"),
        (".spec.containers[name=web].image", "i"),
        ('.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].protocol', "TCP"),
        (".metadata.annotations.example.test/a.b", "1"),
        ('.metadata.finalizers[="c/d"]', "c/d"),
        (".spec.nothing", MISSING),
        (".spec.containers[name=other].image", MISSING),
        (".spec.replicas.deeper", MISSING),
        (".spec.containers[name=web", MISSING),
    ],
)
def test_paths_lead_where_the_server_says(path: str, value: Any) -> None:
    """Names with dots, items by several keys and items of sets are found; the rest is missing."""
    assert find_value(WEB, path) == value or (value is MISSING and find_value(WEB, path) is value)


def test_what_is_taken_out_leaves_nothing_empty() -> None:
    """A mapping that gets empty goes too: to apply it would claim it."""
    smaller = remove_value(WEB, ".spec.containers[name=side].resources.limits.cpu")
    assert smaller["spec"]["containers"][1] == {"name": "side"}
    assert WEB["spec"]["containers"][1]["resources"] == {"limits": {"cpu": "1"}}
    assert remove_value(WEB, ".spec.nothing") == WEB
    kept = remove_value(WEB, '.metadata.finalizers[="a/b"]')
    assert kept["metadata"]["finalizers"] == ["c/d"]


def test_owned_fields_are_spelled_as_in_conflicts() -> None:
    """Fields, items by keys in order, items of sets."""
    fields = {
        "f:spec": {
            "f:replicas": {},
            "f:ports": {
                ".": {},
                'k:{"protocol":"TCP","containerPort":80}': {".": {}, "f:containerPort": {}},
            },
        },
        "f:metadata": {"f:finalizers": {'v:"a/b"': {}}},
    }
    assert list(list_paths(fields)) == [
        ".spec.replicas",
        '.spec.ports[containerPort=80,protocol="TCP"].containerPort',
        '.metadata.finalizers[="a/b"]',
    ]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (0.5, "500m", True),
        ("1024Mi", "1Gi", True),
        ("1e3", "1k", True),
        ("0.1", "100m", True),
        (1, "1", True),
        ("1G", "1Gi", False),
        ("", "0", False),
        ("x", "x1", False),
        ("1Qi", "1", False),
    ],
)
def test_quantities_are_compared_as_amounts(one: Any, two: Any, same: bool) -> None:
    """However the server writes an amount, it is the same amount; what is none equals nothing."""
    assert same_quantity(one, two) is same


def test_only_the_servers_own_kinds_have_quantities() -> None:
    """In a custom kind a text is a text."""
    place = ("spec", "resources", "limits", "cpu")
    assert is_quantity(("apps/v1", *place)) and is_quantity(("batch.k8s.io/v1", *place))
    assert not is_quantity(("example.test/v1", *place))
    assert not is_quantity(("v1", "data", "cpu"))


def live_with(*entries: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """WEB as it is in a cluster, with managed fields."""
    metadata = {**WEB["metadata"], "managedFields": list(entries), "resourceVersion": "1"}
    return {**WEB, "metadata": metadata, "spec": {**WEB["spec"], **spec}}


def entry(manager: str, operation: str = "Update", **fields: Any) -> dict[str, Any]:
    """A manager's entry that owns fields of the spec."""
    owned = {"f:spec": {f"f:{name}": {} for name in fields}}
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "fieldsV1": owned,
    }


def test_rules_are_asked_in_order() -> None:
    """The first rule that fits counts; kind, name and manager narrow it; then the policy."""
    rules = ConflictRules.model_validate(
        {
            "policy": "take",
            "fields": [
                {"path": "spec.replicas", "kind": "StatefulSet", "policy": "fail"},
                {"path": ".spec.replicas", "manager": "hpa", "policy": "yield"},
                {"path": "spec", "name": "web", "policy": "fail"},
            ],
        }
    )
    assert rules.decide(WEB, ".spec.replicas", "hpa") == "yield"
    assert rules.decide(WEB, ".spec.replicas", "other") == "fail"
    assert rules.decide(WEB, ".specific", "other") == "take"
    assert rules.decide(WEB, ".spec.replicas", "kubectl-client-side-apply") == "take"


def test_conflicts_are_seen_in_the_managed_fields() -> None:
    """Only where another manager owns a desired field that has another value."""
    live = live_with(entry("hpa", replicas=5), entry("gennaker", "Apply", replicas=5), replicas=5)
    assert list(find_conflicts(WEB, live)) == [(".spec.replicas", "hpa")]
    assert list(find_conflicts(WEB, live_with(entry("hpa", replicas=2)))) == []
    rules = ConflictRules.model_validate({"policy": "yield"})
    assert "replicas" not in keep_yielded(WEB, live, rules)["spec"]
    assert keep_yielded(WEB, live, ConflictRules()) == WEB


def test_client_side_apply_is_taken_over() -> None:
    """Its fields become ours beside what we had; others keep theirs; twice is once."""
    live = live_with(
        entry("kubectl-client-side-apply", replicas=1), entry("hpa", paused=1), replicas=1
    )
    entries = take_over(live)
    assert entries is not None
    assert [(each["manager"], each["operation"]) for each in entries] == [
        ("gennaker", "Apply"),
        ("hpa", "Update"),
    ]
    live["metadata"]["managedFields"].append(entry("gennaker", "Apply", image=1))
    united = take_over(live)
    assert united is not None
    assert united[-1]["fieldsV1"] == {"f:spec": {"f:image": {}, "f:replicas": {}}}
    assert take_over(live_with(entry("hpa", replicas=1))) is None


def member(name: str, kind: str = "ConfigMap", **annotations: Any) -> dict[str, Any]:
    """A member of a set."""
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "n", "annotations": annotations or None},
    }


def test_taking_over_removes_what_nobody_else_has() -> None:
    """A container goes whole, defaults with it, unless something of it, or the item itself, is kept."""
    mine = {"f:spec": {"f:list": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:x": {}}}}}
    theirs = {
        "f:spec": {
            "f:list": {
                'k:{"name":"a"}': {".": {}, "f:name": {}, "f:x": {}, "f:y": {}},
                'k:{"name":"b"}': {".": {}, "f:name": {}},
                'k:{"name":"c"}': {".": {}, "f:name": {}, "f:x": {}},
            },
            "f:set": {'v:"one"': {}, 'v:"two"': {}},
            "f:deep": {"f:in": {"f:it": {}}},
        }
    }
    list_of_others = {'k:{"name":"b"}': {"f:default": {}}, 'k:{"name":"c"}': {".": {}, "f:y": {}}}
    others = {"f:spec": {"f:list": list_of_others, "f:set": {'v:"two"': {}}}}
    theirs = {**theirs, "f:metadata": {"f:labels": {"f:a": {}}}}
    value = {
        "metadata": {"name": "it", "labels": {"a": "1"}},
        "spec": {
            "list": [
                {"name": "a", "x": 1, "y": 2, "default": 3},
                {"name": "b", "default": 3},
                {"name": "c", "x": 1, "y": 2},
            ],
            "set": ["one", "two", "three"],
            "deep": {"in": {"it": 1, "default": 2}},
            "other": 1,
        },
    }
    assert remove_fields(value, theirs, unite(mine, others)) == {
        "metadata": {"name": "it"},
        "spec": {
            "list": [{"name": "a", "x": 1, "default": 3}, {"name": "c", "y": 2}],
            "set": ["two", "three"],
            "other": 1,
        },
    }


def test_a_prune_is_old_minus_new() -> None:
    """What is desired stays, marks protect, malformed ones do not, what others need goes last."""
    applyset = ApplySet("p", "n", "title")
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    members = [
        member("kept"),
        member("gone"),
        member("job", "Pod"),
        member("marked", **{"gennaker.dev/prune": "False"}),
        member("odd", **{"gennaker.dev/prune": "perhaps", "helm.sh/resource-policy": "x"}),
        home,
    ]
    found = find_prunable(applyset, members, [member("kept")], PruneRules())
    assert [each["metadata"]["name"] for each in found.delete] == ["job", "gone", "odd"]
    assert [(each["metadata"]["name"], why) for each, why in found.keep] == [
        ("marked", "gennaker.dev/prune: false"),
        ("n", "it is the namespace of the environment"),
    ]


def test_the_inventory_is_spelled_as_kubectl_does() -> None:
    """The id is that of KEP-3659; kinds and namespaces are sorted lists."""
    expected = "applyset-cH6yId20fa7Ak8MtKIBN1H8OMqIef-Q9TNkI3Rl_ufo-v1"
    assert make_id("my-set", "my-ns") == expected
    applyset = ApplySet("p", "n", "title").cover([WEB, member("c")])
    metadata = applyset.describe()["metadata"]
    kinds = "applyset.kubernetes.io/contains-group-kinds"
    assert metadata["annotations"][kinds] == "ConfigMap,Deployment.apps"
    labelled = applyset.label(WEB)
    assert labelled["metadata"]["labels"] == {"applyset.kubernetes.io/part-of": applyset.id}
    assert "labels" not in WEB["metadata"]


def test_marks_that_were_copied_are_nobodys() -> None:
    """Argo CD's tracking id counts for the object that it names only."""
    mark = "argocd.argoproj.io/tracking-id"
    theirs = member("a", **{mark: "shop:/ConfigMap:n/a"})
    assert find_owner(theirs) == "Argo CD application 'shop'"
    assert find_owner(member("b", **{mark: "shop:/ConfigMap:n/a"})) is None
    assert find_owner(member("b", **{mark: 3})) is None
