"""The paths of the API: which request is which operation. One :class:`Api` serves one cluster.

Called by :mod:`.server` with parsed requests; raises ApiProblem for what cannot be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import discovery, openapi, scale
from .operations import Operations, WriteOptions
from .problems import ApiProblem, Cause, bad_request, invalid, not_offered
from .queries import Queries, Watch
from .requests import Answer, Request, parse_body
from .resources import Resource
from .tables import to_table

__all__ = ["FOREIGN_GROUPS", "FOREIGN_RESOURCES", "FOREIGN_VERSIONS", "Api"]

Object = dict[str, Any]
_NO_PAGE = "404 page not found\n"
# What Kubernetes has and the sandbox answers 501; docs/reference/sandbox.md lists it.
FOREIGN_GROUPS = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "metrics.k8s.io",
        "node.k8s.io",
        "resource.k8s.io",
        "storagemigration.k8s.io",
    }
)
FOREIGN_VERSIONS = frozenset({("autoscaling", "v1")})
FOREIGN_RESOURCES = frozenset(
    {
        "bindings",
        "componentstatuses",
        "csidrivers",
        "csinodes",
        "csistoragecapacities",
        "ipaddresses",
        "podtemplates",
        "replicationcontrollers",
        "servicecidrs",
        "volumeattachments",
        "volumeattributesclasses",
    }
)
_FORMS = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
    "application/apply-patch+json": "apply",
}


class Api:
    """Routes requests of one cluster to its operations."""

    def __init__(self, operations: Operations, logs: Any = None, ended: Any = None) -> None:
        self.operations = operations
        self.registry = operations.registry
        self.queries = Queries(operations)
        self._read_log, self._has_ended = logs, ended

    def handle(self, request: Request) -> Answer:
        """Answer one request; raises ApiProblem."""
        parts = request.parts
        if not parts:
            return Answer(
                content={"paths": ["/api", "/apis", "/healthz", "/openapi/v3", "/version"]}
            )
        if parts[0] == "api":
            if len(parts) == 1:
                return Answer(content=discovery.list_versions(request.headers.get("host", "")))
            return self._handle_group(request, "", parts[1], parts[2:])
        if parts[0] == "apis":
            if len(parts) == 1:
                return Answer(content=discovery.list_groups(self.registry))
            if len(parts) == 2:
                return self._found(discovery.list_groups(self.registry, parts[1]), parts[1])
            return self._handle_group(request, parts[1], parts[2], parts[3:])
        if parts == ("version",):
            return Answer(content=discovery.VERSION)
        if parts[0] in ("healthz", "livez", "readyz"):
            return Answer(text="ok")
        if parts[:2] == ("openapi", "v3"):
            return self._found(openapi.describe(self.registry, parts[2:]), "")
        if parts[0] in ("openapi", "metrics", "logs", ".well-known", "openid"):
            raise not_offered(f"/{'/'.join(parts)}")
        return Answer(404, text=_NO_PAGE)

    @staticmethod
    def _found(content: Object | None, group: str) -> Answer:
        if content is None:
            if group in FOREIGN_GROUPS:
                raise not_offered(f"the API group {group!r}")
            return Answer(404, text=_NO_PAGE)
        return Answer(content=content)

    def _handle_group(
        self, request: Request, group: str, version: str, rest: tuple[str, ...]
    ) -> Answer:
        if not rest:
            return self._found(discovery.list_resources(self.registry, group, version), group)
        namespace, plural, name, sub = _split(rest)
        resource = self.registry.find(group, version, plural)
        if resource is None:
            foreign = group in FOREIGN_GROUPS or (group, version) in FOREIGN_VERSIONS
            if foreign or plural in FOREIGN_RESOURCES:
                raise not_offered(f"{plural!r} of {group or 'core'}/{version}")
            if version in self.registry.groups().get(group, ()):
                text = "the server could not find the requested resource"
                raise ApiProblem(404, "NotFound", text, details={})
            return Answer(404, text=_NO_PAGE)
        if resource.namespaced and namespace is None and (name or request.method == "POST"):
            raise (
                bad_request("an empty namespace may not be set during creation")
                if (request.method == "POST")
                else bad_request(f"{plural} are namespaced")
            )
        if sub:
            return self._handle_subresource(request, resource, namespace or "", name, sub)
        if name:
            return self._handle_object(request, resource, namespace or "", name)
        return self._handle_collection(request, resource, namespace)

    def _handle_collection(
        self, request: Request, resource: Resource, namespace: str | None
    ) -> Answer:
        if request.method == "GET":
            if request.query.get("watch") in ("true", "1"):
                return Answer(watch=Watch(self.queries, resource, namespace, request.query))
            found = self.queries.list(resource, namespace, request.query)
            return Answer(content=self.shape(request, resource, found))
        if request.method == "POST":
            options = _options(request)
            body = _read_object(request)
            created = self.operations.create(resource, namespace or "", body, options)
            shaped = self.shape(request, resource, created)
            return Answer(201, content=shaped, warnings=options.warnings)
        if request.method == "DELETE":
            return self._delete_collection(request, resource, namespace)
        raise _bad_method(request.method)

    def _delete_collection(
        self, request: Request, resource: Resource, namespace: str | None
    ) -> Answer:
        wishes = _wishes(request)
        found = self.queries.list(resource, namespace, request.query)
        for obj in found["items"]:
            metadata = obj["metadata"]
            home = metadata.get("namespace", "")
            dry_run = _dry_run(request, wishes)
            self.operations.delete(resource, home, metadata["name"], wishes, dry_run=dry_run)
        return Answer(content=found)

    def _handle_object(
        self, request: Request, resource: Resource, namespace: str, name: str
    ) -> Answer:
        if request.method == "GET":
            if request.query.get("watch") in ("true", "1"):
                query = {**request.query, "fieldSelector": f"metadata.name={name}"}
                return Answer(watch=Watch(self.queries, resource, namespace, query))
            obj = self.operations.get(resource, namespace, name)
            return Answer(content=self.shape(request, resource, obj))
        if request.method == "DELETE":
            return self._delete_object(request, resource, namespace, name)
        return self._write(request, resource, namespace, name, "")

    def _delete_object(
        self, request: Request, resource: Resource, namespace: str, name: str
    ) -> Answer:
        wishes = _wishes(request)
        dry_run = _dry_run(request, wishes)
        obj, gone = self.operations.delete(resource, namespace, name, wishes, dry_run=dry_run)
        if not gone or resource.answered_when_deleted:
            return Answer(content=self.operations.present(resource, obj))
        details = {"name": name, "kind": resource.plural, "uid": obj["metadata"]["uid"]}
        if resource.group:
            details["group"] = resource.group
        status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
        return Answer(content=status | {"status": "Success", "details": details})

    def _write(
        self, request: Request, resource: Resource, namespace: str, name: str, sub: str
    ) -> Answer:
        options = _options(request)
        options.subresource = sub
        created = False
        if request.method == "PUT":
            body = _read_object(request)
            obj, created = self.operations.update(resource, namespace, name, body, options)
        elif request.method == "PATCH":
            form = _FORMS.get(request.content_type)
            if form is None or (form == "strategic" and resource.custom is not None):
                raise _bad_media_type(form)
            if form == "apply":
                _require_manager(request)
                body = _read_object(request)
                obj, created = self.operations.apply(resource, namespace, name, body, options)
            else:
                patch = parse_body(request.body, request.content_type)
                obj = self.operations.patch(
                    resource, namespace, name, patch, form=form, options=options
                )
        else:
            raise _bad_method(request.method)
        shaped = self.shape(request, resource, obj)
        return Answer(201 if created else 200, content=shaped, warnings=options.warnings)

    def _handle_subresource(
        self, request: Request, resource: Resource, namespace: str, name: str, sub: str
    ) -> Answer:
        if sub not in resource.subresources:
            raise not_offered(f"the subresource {resource.plural}/{sub}")
        if sub == "status":
            if request.method == "GET":
                return self._handle_object(request, resource, namespace, name)
            return self._write(request, resource, namespace, name, "status")
        if sub == "log":
            return self._answer_log(request, namespace, name)
        if sub == "scale":
            return self._handle_scale(request, resource, namespace, name)
        # What is left is a namespace's finalize: the sandbox empties namespaces by itself.
        raise not_offered(f"the subresource {resource.plural}/{sub}")

    def _answer_log(self, request: Request, namespace: str, name: str) -> Answer:
        resource = self.registry.find("", "v1", "pods")
        assert resource is not None
        pod = self.operations.get(resource, namespace, name)
        text = self._read_log(pod, request.query)
        if request.query.get("follow") != "true" or self._has_ended(pod, request.query):
            return Answer(text=text)

        def follow() -> Iterator[str]:
            said = ""
            while True:
                live = self.operations.store.get(resource.storage, namespace, name)
                if live is None or live["metadata"]["uid"] != pod["metadata"]["uid"]:
                    return
                ended = self._has_ended(live, request.query)
                text = self._read_log(live, request.query)
                yield text.removeprefix(said)
                if ended:
                    return
                said = text

        return Answer(lines=follow())

    def _handle_scale(
        self, request: Request, resource: Resource, namespace: str, name: str
    ) -> Answer:
        live = self.operations.get(resource, namespace, name)
        if request.method == "GET":
            return Answer(content=scale.describe(resource, live))
        if request.method == "PATCH" and "apply" in request.content_type:
            raise not_offered("server-side apply of a scale")
        body = parse_body(request.body, request.content_type)
        function = scale.change(resource, live, body, _FORMS.get(request.content_type, "put"))
        options = _options(request)
        obj = self.operations.change(resource, namespace, name, function, options)
        return Answer(content=scale.describe(resource, obj))

    def shape(self, request: Request, resource: Resource, obj: Object) -> Object:
        """Return an object or list in the form the client asked for."""
        listed = "items" in obj and obj.get("kind", "").endswith("List")
        if request.wants_table:
            items = obj["items"] if listed else [obj]
            metadata = obj["metadata"] if listed else {
                "resourceVersion": obj["metadata"].get("resourceVersion", "")
            }  # fmt: skip
            now = self.operations.clock.now()
            return to_table(resource, items, now, metadata=metadata)
        if request.wants_metadata:
            version = "meta.k8s.io/v1"
            if not listed:
                return {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": version,
                    "metadata": obj["metadata"],
                }
            items = [
                {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": version,
                    "metadata": each["metadata"],
                }
                for each in obj["items"]
            ]
            head = {"kind": "PartialObjectMetadataList", "apiVersion": version}
            return {**head, "metadata": obj["metadata"], "items": items}
        return obj


def _bad_media_type(form: str | None) -> ApiProblem:
    if form is None:
        return ApiProblem(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
    text = (
        "the body of the request was in an unknown format - accepted media types include:"
        " application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )
    return ApiProblem(415, "UnsupportedMediaType", text)


def _split(rest: tuple[str, ...]) -> tuple[str | None, str, str, str]:
    """Return namespace, plural, name and subresource of a path below the version."""
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, sub = (*rest, "", "")[:3]
    if len(rest) > 3:
        raise not_offered(f"the path {'/'.join(rest)}")
    return namespace, plural, name, sub


def _options(request: Request) -> WriteOptions:
    agent = request.headers.get("user-agent", "unknown").partition("/")[0]
    validation = request.query.get("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        text = f'Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"'
        raise ApiProblem(422, "Invalid", f"fieldValidation: {text}")
    return WriteOptions(
        manager=request.query.get("fieldManager") or agent,
        dry_run=_dry_run(request, {}),
        force=request.query.get("force") in ("true", "1"),
        field_validation=validation,
    )


def _dry_run(request: Request, wishes: Object) -> bool:
    asked = request.query.get("dryRun") or (wishes.get("dryRun") or [""])[0]
    if asked not in ("", "All"):
        words = {"POST": "Create", "PUT": "Update", "PATCH": "Patch"}
        kind = f"{words.get(request.method, 'Delete')}Options"
        cause = Cause.unsupported("dryRun", [asked], ["All"])
        raise invalid(kind, "meta.k8s.io", "", [cause])
    return asked == "All"


def _wishes(request: Request) -> Object:
    wishes = parse_body(request.body, request.content_type) if request.body.strip() else {}
    for name in ("propagationPolicy", "gracePeriodSeconds", "orphanDependents"):
        if name in request.query:
            value = request.query[name]
            wishes[name] = int(value) if value.isdigit() else (value == "true" or value)
    policy = wishes.get("propagationPolicy")
    if policy and policy not in ("Foreground", "Background", "Orphan"):
        # In the order in which the real server lists them.
        text = f'Unsupported value: "{policy}": supported values: "Foreground", "Background", "Orphan", "nil"'
        cause = Cause("FieldValueNotSupported", "propagationPolicy", text)
        raise invalid("DeleteOptions", "meta.k8s.io", "", [cause])
    return dict(wishes)


def _require_manager(request: Request) -> None:
    if not request.query.get("fieldManager"):
        text = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
        causes = [
            {
                "reason": "FieldValueRequired",
                "message": "Required value: is required for apply patch",
                "field": "fieldManager",
            }
        ]
        details = {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": causes}
        raise ApiProblem(422, "Invalid", text, details=details)


def _read_object(request: Request) -> Object:
    body = parse_body(request.body, request.content_type)
    if not isinstance(body, dict):
        raise bad_request("the body is not an object")
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise bad_request("metadata is not an object")
    return body


def _bad_method(method: str) -> ApiProblem:
    text = "the server does not allow this method on the requested resource"
    return ApiProblem(405, "MethodNotAllowed", f"{text}: {method}")
