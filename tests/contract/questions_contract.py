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

    def test_what_stands_is_told_rather_than_what_came_to_nothing(self, desk: Desk) -> None:
        """After a deploy that wrote nothing and after a rollback: the deploy that is there, and those."""
        desk.run()
        desk.type("rollback", "web-1")
        (found,) = desk.ask("environments")["items"]
        assert (found["run"], found["stands"], found["last"]) == ("web-2", False, None)
        assert desk.type("diff", "staging") == (
            "staging  put back by web-2, and none of the last deploys stands before it\n"
        )
        assert IMAGE.partition("@")[2][:10] not in desk.type("environments")
        desk.run()
        desk.run(greeting="bye")
        desk.type("rollback", "web-4")
        (found,) = desk.ask("environments")["items"]
        assert (found["run"], found["last"]["run"]) == ("web-3", "web-5")
        assert found["params"]["greeting"] == "hello"
        assert " put back by web-5 " in desk.type("environments")
        mine = {"data": {"greeting": "mine"}}
        desk.patch("staging", "ConfigMap", "web", mine, by="kubectl-edit")
        desk.type("run", "web", "-pgreeting=ciao", code=7)
        (found,) = desk.ask("environments")["items"]
        assert (found["run"], found["stands"]) == ("web-3", True)
        assert (found["last"]["run"], found["last"]["outcome"]) == ("web-6", "errored")
        assert "succeeded; web-6 errored " in desk.type("environments")

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
        told = "cannot be compared: kubeconfig: there is no kubeconfig "
        assert told in desk.type("diff", "staging", code=7)
        text = desk.type(*words, code=7)  # what is declared can still be compared
        assert "Deployment/web spec.replicas  staging: 1  production: 2\n" in text
        assert "cannot be compared: production: production: kubeconfig: " in text

    def test_who_set_it(self, desk: Desk) -> None:
        """Of ours the run that first had the value, with its commit and approver; of others who and when."""
        desk.run()
        desk.run(greeting="bye")
        desk.patch("staging", "Deployment", "web", {"spec": {"replicas": 3}}, by="kubectl-edit")
        fields = self.blame(desk, "staging", "cm/web")
        assert fields["data.greeting"][:3] == ("bye", "web-2", "value")
        assert fields["data.url"] == (f"http://web.{desk.name}-staging.svc", "web-1", "value", [])
        fields = self.blame(desk, "staging", "deployments.apps/web", "spec")
        assert fields["spec.replicas"] == (3, None, None, ["kubectl-edit"])
        assert fields[f"{CONTAINER}.image"] == (IMAGE, "web-1", "value", [])
        assert fields[f"{CONTAINER}.args"][:2] == (["--port", "80"], "web-1")
        assert fields["spec.revisionHistoryLimit"] == (10, None, None, [])  # a default
        (row,) = desk.type("blame", "staging", "Secret/web", "data").splitlines()[1:]
        assert row.split()[:3] == ["data.password", "(secret)", "web-2"]
        desk.run("production")
        text = desk.type("blame", "production", "Deployment/web", "spec.replicas")
        assert text.splitlines()[1].split()[:4] == ["spec.replicas", "2", "web-3", "production"]
        assert ", approved by local:" in text

    def blame(self, desk: Desk, *words: str) -> dict[str, Any]:
        """Value, run, how that is known, and the other managers of each field."""
        found = {}
        for each in desk.ask("blame", *words)["fields"]:
            others = [one["name"] for one in each["managers"] if one["name"] != "gennaker"]
            assert all(_TIME.fullmatch(one["at"]) for one in each["managers"])
            run = each.get("deploy", {}).get("run")
            found[each["path"]] = each["value"], run, each.get("known_by"), others
        return found

    def test_what_is_not_there_has_nobody_to_blame(self, desk: Desk) -> None:
        """Nothing deployed, no such kind, thing or field, deleted since: each with what to do."""
        told = "not-found: nothing was deployed to 'staging'; see what was deployed where: "
        assert told in desk.type("blame", "staging", "Deployment/web", code=2)
        desk.run()
        words = "blame", "staging"
        told = (
            "unknown-kind: the cluster does not know kind 'Deploymnt'; did you mean 'Deployment'?\n"
        )
        assert desk.type(*words, "Deploymnt/web", code=2) == told
        place = f"in namespace '{desk.name}-staging'"
        told = f"unknown-thing: there is no Deployment 'wep' {place}; did you mean 'web'?\n"
        assert desk.type(*words, "deploy/wep", code=2) == told
        told = "unknown-field: Deployment/web has no field 'spec.replica'; did you mean 'spec.replicas'?\n"
        assert desk.type(*words, "deploy/web", "spec.replica", code=2) == told
        assert (
            desk.type(*words, "web", code=2)
            == "usage: 'web' is not KIND/NAME; write Deployment/web\n"
        )
        desk.delete("staging", "ConfigMap", "web")
        told = (
            "unknown-thing: ConfigMap/web is not there any more; web-1 deployed it; see what else "
        )
        assert desk.type(*words, "cm/web", code=2).startswith(told)
        alone = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "alone"}}
        desk.apply("staging", {**alone, "data": {"a": "b"}}, by="somebody")
        text = desk.type(*words, "cm/alone")
        assert text.splitlines()[1].split()[:3] == ["data.a", '"b"', "somebody"]
        assert text.endswith("no deploy set any of it\n")
