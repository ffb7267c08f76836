"""Fields that an environment ignores, and the namespace it makes; no cluster."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gennaker_stages.kubernetes.applying.fitting import fit_object
from gennaker_stages.kubernetes.applying.home import describe_home
from gennaker_stages.kubernetes.applying.ignoring import leave_ignored
from gennaker_stages.kubernetes.applying.paths import expand_path
from gennaker_stages.kubernetes.applying.rules import IgnoreRule
from gennaker_stages.kubernetes.settings import KubernetesSettings


def web(replicas: int | None = 2, image: str = "i:1", **more: Any) -> dict[str, Any]:
    """A workload as it is desired."""
    spec: dict[str, Any] = {"containers": [{"name": "web", "image": image}, {"name": "side"}]}
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": spec,
        **more,
    }


def live(body: dict[str, Any], **managers: dict[str, Any]) -> dict[str, Any]:
    """The same as a live object whose fields have these managers."""
    entries = [
        {
            "manager": name,
            "operation": "Apply" if name == "gennaker" else "Update",
            "fieldsV1": fields,
        }
        for name, fields in managers.items()
    ]
    return {**body, "metadata": {**body["metadata"], "managedFields": entries}}


REPLICAS = {"f:spec": {"f:replicas": {}}}
IMAGE = {"f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}}


def leave(body: dict[str, Any], now: dict[str, Any] | None, **rule: Any) -> dict[str, Any]:
    """What is desired in sight of what is there, with one rule."""
    return leave_ignored(body, now, [IgnoreRule(**rule)])


def test_a_field_of_another_manager_is_left_out() -> None:
    """What somebody else changed is not asked for any more; who owns it keeps it."""
    now = live(web(5), gennaker=IMAGE, hpa=REPLICAS)
    assert leave(web(2), now, paths=["spec.replicas"]) == web(None)
    assert leave(web(2), now, managers=["hpa"]) == web(None)
    assert leave(web(2), now, managers=["other"]) == web(2)
    assert leave(web(5), now, paths=["spec.replicas"]) == web(5)


def test_a_field_of_ours_keeps_its_live_value() -> None:
    """Leaving it out would remove it from the live object."""
    now = live(web(5), gennaker=REPLICAS)
    assert leave(web(2), now, paths=[".spec.replicas"]) == web(5)


def test_what_was_removed_stays_removed() -> None:
    """A field that somebody took out of the live object is not put back."""
    assert leave(web(2), live(web(None)), paths=["spec.replicas"]) == web(None)


def test_items_are_found_by_their_names() -> None:
    """One item, or all of a list; kinds and names narrow a rule."""
    now = live(web(2, "i:9"), other=IMAGE)
    without = web()
    del without["spec"]["containers"][0]["image"]
    for path in (
        "spec.containers[name=web].image",
        'spec.containers[name="web"].image',
        "spec.containers[web].image",
        "spec.containers[*].image",
    ):
        assert leave(web(), now, paths=[path]) == without
    assert leave(web(), now, paths=["spec.containers[name=side].image"]) == web()
    assert leave(web(), now, paths=["spec.containers[*].image"], kind="StatefulSet") == web()
    assert leave(web(), now, paths=["spec.containers[*].image"], name="other") == web()


def test_a_field_that_is_taken_over_keeps_its_live_value() -> None:
    """Left out it would be removed once it is ours: three Pods would become one."""
    now = live(web(3), **{"kubectl-client-side-apply": {"f:spec": {"f:replicas": {}}}})
    for rule in ({"paths": ["spec.replicas"]}, {"managers": ["kubectl-client-side-apply"]}):
        assert leave(web(1), now, **rule) == web(3)
    other = live(web(3), other={"f:spec": {"f:replicas": {}}})
    assert leave(web(1), other, paths=["spec.replicas"]) == web(None)


def test_a_field_that_left_the_bundle_keeps_its_live_value() -> None:
    """Who hands the replicas to an autoscaler takes them out of the manifest: they must not go."""
    now = live(web(5), gennaker=REPLICAS)
    assert leave(web(None), now, paths=["spec.replicas"]) == web(5)
    assert leave(web(None), live(web(5), hpa=REPLICAS), paths=["spec.replicas"]) == web(None)
    marks = {"name": "web", "annotations": {"a": "1", "b": "2"}}
    fields = {"f:metadata": {"f:annotations": {"f:a": {}}}}
    kept = leave(web(), live(web(metadata=marks), gennaker=fields), paths=["metadata.annotations"])
    assert kept["metadata"] == {"name": "web", "annotations": {"a": "1"}}
    body = web()
    del body["spec"]["containers"][0]["image"]
    now = live(web(), gennaker=IMAGE)
    assert leave(body, now, paths=["spec.containers[*].image"]) == web()


def test_whose_an_object_is_cannot_be_ignored() -> None:
    """An object whose labels are all ignored belongs to the deploy's set nevertheless."""
    mark = {"applyset.kubernetes.io/part-of": "applyset-x-v1"}
    body = web(metadata={"name": "web", "labels": {"app": "new", **mark}})
    now = live(web(metadata={"name": "web", "labels": {"app": "old"}}))
    settings = KubernetesSettings.model_validate(
        {"namespace": "x", "ignore": [{"paths": ["metadata.labels"]}]}
    )
    assert fit_object(body, now, settings)["metadata"]["labels"] == mark


def test_an_object_that_is_not_there_is_made_as_written() -> None:
    """Rules are about live values."""
    assert leave(web(), None, paths=["spec.replicas"]) == web()


@pytest.mark.parametrize("path", ["", "spec..replicas", "spec.containers[", "spec.", "a[]", "[a]"])
def test_a_path_is_one(path: str) -> None:
    """What no field could have is told, with how a path is written."""
    with pytest.raises(ValidationError) as found:
        KubernetesSettings.model_validate({"ignore": [{"paths": [path]}]})
    assert (
        f"{path!r} is no path of a field; write it as a plan shows it: spec.replicas, "
        "spec.template.spec.containers[web].image"
    ) in str(found.value)


def test_paths_are_spelled_as_the_server_does() -> None:
    """Items of lists by all that names them, names with dots as they are."""
    ports = [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]
    body = {
        "metadata": {"annotations": {"acme.test/night": "true"}},
        "spec": {"containers": [{"name": "web", "ports": ports}, {"name": "side"}]},
    }
    http = '.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"]'
    dns = '.spec.containers[name="web"].ports[containerPort=53,protocol="UDP"]'
    for path, expected in {
        "spec.containers[web].ports[80].name": [f"{http}.name"],
        "spec.containers[*].ports[53/UDP]": [dns],
        "spec.containers[web].ports[*]": [http, dns],
        "spec.containers[nope].ports": [],
        "metadata.annotations[acme.test/night]": [".metadata.annotations.acme.test/night"],
        "metadata.annotations.acme.test/night": [".metadata.annotations.acme.test/night"],
    }.items():
        assert list(expand_path(path, body)) == expected, path


def test_a_rule_says_something() -> None:
    """A rule without paths and managers would ignore nothing."""
    with pytest.raises(ValidationError, match="a rule needs 'paths' or 'managers'"):
        KubernetesSettings.model_validate({"ignore": [{"kind": "Deployment"}]})


def test_the_namespace_has_its_marks() -> None:
    """None unless it is to be made; the bundle's own counts; labels and annotations as written."""
    assert describe_home(KubernetesSettings(namespace="shop"), []) is None
    plain = KubernetesSettings.model_validate({"namespace": "shop", "create_namespace": True})
    assert describe_home(plain, [web()]) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop"},
    }
    marks = {"labels": {"team": "shop"}, "annotations": {"a": "b"}}
    marked = KubernetesSettings.model_validate({"namespace": "shop", "create_namespace": marks})
    home = describe_home(marked, [])
    assert home is not None and home["metadata"] == {"name": "shop", **marks}
    assert describe_home(marked, [home]) is None
