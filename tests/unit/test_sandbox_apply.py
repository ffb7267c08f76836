"""Server-side apply of the sandbox, without HTTP: ownership, removal, conflicts, dry runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker_stages.kubernetes.sandbox import VirtualClock
from gennaker_stages.kubernetes.sandbox.cluster import Cluster
from gennaker_stages.kubernetes.sandbox.fieldset import FieldSet, format_path
from gennaker_stages.kubernetes.sandbox.operations import WriteOptions
from gennaker_stages.kubernetes.sandbox.problems import ApiProblem
from gennaker_stages.kubernetes.sandbox.structured import collect, compare, merge

Object = dict[str, Any]


@pytest.fixture
def cluster() -> Cluster:
    """A cluster in memory, on virtual time."""
    return Cluster(clock=VirtualClock())


def apply(
    cluster: Cluster, body: Object, manager: str, *, force: bool = False, dry_run: bool = False
) -> Object:
    """Apply an object into the default namespace."""
    resource = cluster.registry.find_kind(body["apiVersion"], body["kind"])
    assert resource is not None
    options = WriteOptions(manager=manager, force=force, dry_run=dry_run)
    name = body["metadata"]["name"]
    copy = {**body, "metadata": dict(body["metadata"])}
    return cluster.operations.apply(resource, "default", name, copy, options)[0]


def config_map(**data: str) -> Object:
    """A ConfigMap ``c``."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


def deployment(*containers: Object, **spec: Any) -> Object:
    """A Deployment ``web``."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": list(containers)}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    return {
        **body,
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def owners(obj: Object) -> dict[str, Object]:
    """Manager → what it owns."""
    return {each["manager"]: each["fieldsV1"] for each in obj["metadata"]["managedFields"]}


def test_first_apply_creates_and_owns_what_it_names(cluster: Cluster) -> None:
    """Defaults are filled in, and belong to nobody."""
    made = apply(cluster, deployment({"name": "web", "image": "i:1"}), "one")
    spec = owners(made)["one"]["f:spec"]
    container = spec["f:template"]["f:spec"]["f:containers"]['k:{"name":"web"}']
    assert made["spec"]["replicas"] == 1
    assert container == {".": {}, "f:name": {}, "f:image": {}}
    assert "f:replicas" not in spec


def test_same_apply_changes_nothing(cluster: Cluster) -> None:
    """Nothing new means no new version, later too."""
    first = apply(cluster, config_map(a="1"), "one")
    cluster.clock.advance(60)  # type: ignore[attr-defined]
    assert apply(cluster, config_map(a="1"), "one") == first


def test_field_left_out_is_removed(cluster: Cluster) -> None:
    """What an applier names no more, and nobody else does, goes away."""
    apply(cluster, config_map(a="1", b="2"), "one")
    assert apply(cluster, config_map(a="1"), "one")["data"] == {"a": "1"}


def test_shared_field_stays_until_its_last_owner_leaves(cluster: Cluster) -> None:
    """Two appliers of one value own it together."""
    apply(cluster, config_map(a="1", b="2"), "one")
    apply(cluster, config_map(b="2"), "two")
    shared = apply(cluster, config_map(a="1"), "one")
    left = apply(cluster, config_map(), "two")
    assert shared["data"] == {"a": "1", "b": "2"}
    assert left["data"] == {"a": "1"}


def test_conflict_names_every_manager_and_field(cluster: Cluster) -> None:
    """The message and causes have the real server's words."""
    apply(cluster, config_map(a="1", b="2"), "one")
    with pytest.raises(ApiProblem) as caught:
        apply(cluster, config_map(a="9", b="9"), "two")
    expected = 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\n- .data.b'
    assert (caught.value.code, caught.value.message) == (409, expected)
    fields = [each["field"] for each in caught.value.to_status()["details"]["causes"]]
    assert fields == [".data.a", ".data.b"]


def test_force_takes_the_field(cluster: Cluster) -> None:
    """The former owner keeps the rest."""
    apply(cluster, config_map(a="1", b="2"), "one")
    taken = apply(cluster, config_map(a="9"), "two", force=True)
    assert taken["data"] == {"a": "9", "b": "2"}
    assert owners(taken) == {"one": {"f:data": {"f:b": {}}}, "two": {"f:data": {"f:a": {}}}}


def test_list_items_merge_by_their_keys(cluster: Cluster) -> None:
    """Two managers own variables of one container, and each removes its own only."""
    one = {"name": "web", "image": "i:1", "env": [{"name": "A", "value": "1"}]}
    two = {"name": "web", "env": [{"name": "B", "value": "2"}]}
    apply(cluster, deployment(one), "one")
    both = apply(cluster, deployment(two), "two")
    alone = apply(cluster, deployment({"name": "web"}), "two")

    def names(obj: Object) -> list[str]:
        container = obj["spec"]["template"]["spec"]["containers"][0]
        return [each["name"] for each in container["env"]]

    assert names(both) == ["A", "B"]
    assert names(alone) == ["A"]


def test_port_without_protocol_is_the_tcp_port(cluster: Cluster) -> None:
    """The default of a merge key is part of the key."""
    web = {"name": "web", "image": "i:1", "ports": [{"containerPort": 80}]}
    apply(cluster, deployment(web), "one")
    named = {"name": "web", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}]}
    ports = apply(cluster, deployment(named), "two")["spec"]["template"]["spec"]["containers"][0][
        "ports"
    ]
    assert ports == [{"containerPort": 80, "protocol": "TCP", "name": "http"}]


def test_dry_run_leaves_no_trace(cluster: Cluster) -> None:
    """The answer is as if; the object, the history and the version are as before."""
    before = apply(cluster, config_map(a="1"), "one")
    version = cluster.store.version
    tried = apply(cluster, config_map(a="2"), "one", dry_run=True)
    new = {**config_map(x="1"), "metadata": {"name": "new"}}
    created = apply(cluster, new, "one", dry_run=True)
    assert tried["data"] == {"a": "2"}
    assert created["data"] == {"x": "1"}
    assert cluster.store.get("configmaps", "default", "c") == before
    assert cluster.store.get("configmaps", "default", "new") is None
    assert cluster.store.version == version


def test_unknown_field_is_refused_with_its_path(cluster: Cluster) -> None:
    """Server-side apply knows the fields of the built-in kinds."""
    with pytest.raises(ApiProblem) as caught:
        apply(cluster, deployment({"name": "web", "imge": "i"}), "one")
    expected = (
        "failed to create typed patch object (/web; apps/v1, Kind=Deployment):"
        ' .spec.template.spec.containers[name="web"].imge: field not declared in schema'
    )
    assert caught.value.message == expected


def test_updater_and_applier_of_one_name_are_two_managers(cluster: Cluster) -> None:
    """A create is tracked as an Update; applying another value over it conflicts."""
    resource = cluster.registry.find_kind("v1", "ConfigMap")
    assert resource is not None
    options = WriteOptions(manager="one")
    cluster.operations.create(resource, "default", config_map(a="1"), options)
    with pytest.raises(ApiProblem, match=r'conflict with "one" using v1: \.data\.a'):
        apply(cluster, config_map(a="2"), "one")


def test_quantities_have_one_spelling(cluster: Cluster) -> None:
    """What is stored is canonical, so applying the same again changes nothing."""
    limits = {"cpu": "0.5", "memory": "1024Mi"}
    web = {"name": "web", "image": "i:1", "resources": {"limits": limits}}
    first = apply(cluster, deployment(web), "one")
    stored = first["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert stored == {"cpu": "500m", "memory": "1Gi"}
    assert (
        apply(cluster, deployment(web), "one")["metadata"]["resourceVersion"]
        == (first["metadata"]["resourceVersion"])
    )


def test_paths_read_as_kubernetes_writes_them() -> None:
    """Fields, merge keys and values of sets."""
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', 'v:"x"')
    assert format_path(path) == '.spec[containerPort=80,protocol="TCP"][="x"]'


names = st.sampled_from("abcd")
elements = names.map(lambda name: f"f:{name}")
sets = st.recursive(
    st.builds(FieldSet, st.sets(elements, max_size=3)),
    lambda inner: st.builds(
        FieldSet, st.sets(elements, max_size=3), st.dictionaries(elements, inner, max_size=3)
    ),
    max_leaves=6,
)


@given(sets, sets)
def test_sets_keep_the_laws_of_sets(one: FieldSet, other: FieldSet) -> None:
    """What is in both and what is only in one make up the one; the wire form is faithful."""
    assert one.intersection(other).union(one.difference(other)) == one
    assert one.union(other) == other.union(one)
    assert FieldSet.decode(one.encode()) == one


data = st.dictionaries(names, st.sampled_from(["1", "2"]), max_size=4)


@given(data, data)
def test_merge_keeps_all_and_prefers_the_config(
    live: dict[str, str], config: dict[str, str]
) -> None:
    """Nothing is removed by a merge, and what it adds or modifies is what the config says."""
    from gennaker_stages.kubernetes.sandbox.shapes import named

    kind = named("core.v1.ConfigMap")
    before, wanted = {"data": live}, {"data": config}
    merged = merge(before, wanted, kind)
    changed = compare(before, merged, kind)
    assert merged["data"] == {**live, **config}
    assert not changed.removed
    assert not changed.modified.union(changed.added).difference(collect(wanted, kind)).children
