"""What people ask of environments, on any API server: what is where, what moved, who set it."""

from __future__ import annotations

import re
from typing import Any

from tests.contract.questions_parts import IMAGE, Desk, QuestionsParts

__all__ = ["QuestionsContract"]

CONTAINER = "spec.template.spec.containers[web]"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def list_changes(found: Any) -> dict[str, Any]:
    """The changes of the one stage of a diff, by what they are about."""
    (stage,) = found["stages"]
    return {each["what"]: each for each in stage["changes"]}


class QuestionsContract(QuestionsParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def test_what_is_where_and_nothing_moved(self, desk: Desk) -> None:
        """Each environment with its version and history; a field that others added is no difference."""
        desk.run()
        desk.run(greeting="bye")
        assert desk.type("diff", "staging") == "staging  deployed by web-2  as deployed\n"
        added = {"metadata": {"annotations": {"example.test/note": "x"}}}
        desk.patch("staging", "Deployment", "web", added, by="somebody")
        assert list_changes(desk.ask("diff", "staging")) == {}
        (found,) = desk.ask("environments")["items"]
        assert (found["environment"], found["run"], found["outcome"]) == (
            "staging",
            "web-2",
            "succeeded",
        )
        assert found["images"] == [IMAGE]
        assert f"web@sha256:{'a' * 12} " in desk.type("environments")
        rows = desk.ask("history", "staging")["items"]
        assert [(each["run"], each["params"]["greeting"]) for each in rows] == [
            ("web-2", "bye"),
            ("web-1", "hello"),
        ]

    def test_what_has_moved(self, desk: Desk) -> None:
        """Edited by whom, deleted, and what is in the set but not of the deploy; secrets masked."""
        desk.run()
        edited = {"name": "web", "env": [{"name": "A", "value": "2"}]}
        body = {"spec": {"replicas": 3, "template": {"spec": {"containers": [edited]}}}}
        live = desk.patch("staging", "Deployment", "web", body, by="kubectl-edit")
        desk.patch("staging", "Secret", "web", {"stringData": {"password": "x"}}, by="thief")
        desk.delete("staging", "ConfigMap", "web")
        set_of = "applyset.kubernetes.io/part-of"
        labels = {set_of: live["metadata"]["labels"][set_of]}
        extra = {"metadata": {"name": "extra", "labels": labels}}
        desk.apply("staging", {"apiVersion": "v1", "kind": "ConfigMap", **extra})
        text = _TIME.sub("TIME", desk.type("diff", "staging", code=1))
        assert text.splitlines() == [
            "staging  deployed by web-1",
            "    change Secret/web",
            "      data.password: another value (secret)  (set by thief at TIME)",
            "    create ConfigMap/web  it is not there",
            "    change Deployment/web",
            "      spec.replicas: 3 → 1  (set by kubectl-edit at TIME)",
            f'      {CONTAINER}.env[A].value: "2" → "1"  (set by kubectl-edit at TIME)',
            "    prune ConfigMap/extra  not of this deploy, but of its set",
        ]
        changes = list_changes(desk.ask("diff", "staging", code=1))
        field = changes["Deployment/web"]["fields"][0]
        assert (field["before"], field["after"], field["owner"]["name"]) == (3, 1, "kubectl-edit")
        plan = desk.type("plan", "web", code=1)
        assert "refuse Deployment/web  field-conflict: " in plan  # a deploy would not take it

    def test_two_environments(self, desk: Desk) -> None:
        """What differs by intent of the pipeline, not by the namespaces; secrets are compared unseen."""
        desk.run()
        desk.run("production", greeting="bye")
        words = ("environments", "diff", "staging", "production")
        assert desk.type(*words, code=1).splitlines() == [
            'ConfigMap/web data.greeting  staging: "hello"  production: "bye"',
            "Deployment/web spec.replicas  staging: 1  production: 2",
            "Secret/web data.password  another value (secret)",
        ]
        desk.delete("production", "ConfigMap", "web")
        found = desk.ask(*words, code=1)
        assert found["differences"][2] == {
            "what": "Secret/web",
            "path": "data.password",
            "left": "***",
            "right": "***",
            "hidden": True,
        }
        assert [each["changes"] for each in found["drift"]["staging"]] == [[]]
        assert (
            list_changes({"stages": found["drift"]["production"]})["ConfigMap/web"]["action"]
            == "create"
        )
        desk.kubeconfig.rename(desk.kubeconfig.with_name("elsewhere"))
        told = "cannot be compared: kubeconfig: there is no usable kubeconfig: "
        assert told in desk.type("diff", "staging", code=7)
        text = desk.type(*words, code=7)  # what is declared can still be compared
        assert "Deployment/web spec.replicas  staging: 1  production: 2\n" in text
        assert "cannot be compared: production: production: kubeconfig: " in text
