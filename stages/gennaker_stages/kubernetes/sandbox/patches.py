"""JSON patch, merge patch and strategic merge patch. Pure; called by :mod:`.operations`."""

from __future__ import annotations

from typing import Any

from .decode import clone
from .gotext import show_type, show_value
from .problems import ApiProblem, bad_request
from .shapes import Type

__all__ = ["apply_json_patch", "merge_patch", "strategic_merge"]


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` after an RFC 7386 merge patch."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def apply_json_patch(target: Any, operations: Any) -> Any:
    """Return ``target`` after an RFC 6902 patch.

    Raises:
        ApiProblem: 400 for a malformed patch, 422 for one that does not fit the object.
    """
    if not isinstance(operations, list):
        got = show_type(operations).partition("[")[0].replace("map", "object")
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {got} into Go value of type"
            " []handlers.jsonPatchOp"
        )
    document = clone(target)
    for operation in operations:
        document = _apply_one(document, operation)
    return document


def _apply_one(document: Any, operation: Any) -> Any:
    name, path = operation.get("op"), operation.get("path", "")
    if name in ("move", "copy"):
        value = clone(_resolve(document, _split(operation["from"])))
        if name == "move":
            _edit(document, _split(operation["from"]), "remove", None)
        _edit(document, _split(path), "add", value)
    elif name == "test":
        try:
            found = _resolve(document, _split(path))
        except ApiProblem:
            found = None
        if found != operation.get("value"):
            raise _unprocessable()
    elif name in ("add", "replace", "remove"):
        if not path and name != "remove":
            return clone(operation.get("value"))
        _edit(document, _split(path), name, clone(operation.get("value")))
    else:
        raise _unprocessable()
    return document


def _split(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _resolve(document: Any, parts: list[str]) -> Any:
    for part in parts:
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise _unprocessable() from None
    return document


def _edit(document: Any, parts: list[str], name: str, value: Any) -> None:
    *parents, last = parts
    place = _resolve(document, parents)
    if isinstance(place, list):
        if name == "add":
            index = len(place) if last == "-" else _index(last, len(place))
            place.insert(index, value)
            return
        index = _index(last, len(place) - 1)
        if name == "remove":
            del place[index]
        else:
            place[index] = value
    elif isinstance(place, dict):
        # The server's library lets a member be replaced that is not there.
        if name == "remove" and last not in place:
            raise _unprocessable()
        if name == "remove":
            del place[last]
        else:
            place[last] = value
    else:
        raise _unprocessable()


def _index(text: str, most: int) -> int:
    if not text.isdigit() or int(text) > most:
        raise _unprocessable()
    return int(text)


def _unprocessable() -> ApiProblem:
    # Word for word what the real server says of a patch that does not fit, which is not much.
    message = "the server rejected our request due to an error in our request"
    return ApiProblem(422, "Invalid", message, details={})


def strategic_merge(target: Any, patch: Any, kind: Type) -> Any:
    """Return ``target`` after a strategic merge patch, by the merge keys of its type.

    Raises:
        ApiProblem: 500 when an item lacks its merge key, as the real server does.
    """
    if not isinstance(patch, dict):
        return clone(patch)
    if patch.get("$patch") == "replace":
        return {key: clone(value) for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    retained = patch.get("$retainKeys")
    if retained is not None:
        merged = {key: value for key, value in merged.items() if key in retained}
    for key, value in patch.items():
        if key in ("$patch", "$retainKeys"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [each for each in merged.get(name, []) if each not in value]
        elif key.startswith("$setElementOrder/"):
            continue
        elif value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(merged.get(key), value, kind.child(key))
    for key, order in patch.items():
        if key.startswith("$setElementOrder/"):
            name = key.partition("/")[2]
            if isinstance(merged.get(name), list):
                before = target.get(name) if isinstance(target, dict) else None
                merged[name] = _arrange(merged[name], order, before or [], kind.child(name))
    return merged


def _merge_value(target: Any, patch: Any, kind: Type) -> Any:
    if isinstance(patch, dict):
        return strategic_merge(target, patch, kind)
    if isinstance(patch, list) and kind.kind == "list" and kind.patch_key:
        live = list(target or [])
        if kind.patch_key == "-":
            merged = live + [clone(each) for each in patch if each not in live]
            return _arrange(merged, patch, live, kind)
        return _arrange(_merge_list(live, patch, kind), patch, live, kind)
    return clone(patch)


def _merge_list(target: list[Any], patch: list[Any], kind: Type) -> list[Any]:
    key = kind.patch_key or ""
    merged = target
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [clone(item) for item in patch if "$patch" not in item]
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            text = f"map: {show_value(item)} does not contain declared merge key: {key}"
            raise ApiProblem(500, "", text)
        place = next((i for i, each in enumerate(merged) if each.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [each for each in merged if each.get(key) != item[key]]
        elif place is None:
            merged = [*merged, strategic_merge({}, item, kind.element or kind)]
        else:
            changed = strategic_merge(merged[place], item, kind.element or kind)
            merged = [*merged[:place], changed, *merged[place + 1 :]]
    return merged


def _arrange(items: list[Any], order: list[Any], live: list[Any], kind: Type) -> list[Any]:
    """Sort a merged list: what is in ``order`` as it stands there, the rest around it.

    An item that only the live list has stays before those it was before there; all new ones come first.
    """
    wanted = _number(order, kind)
    before = _number(live, kind)
    named = sorted(
        (each for each in items if _identify(each, kind) in wanted),
        key=lambda each: wanted[_identify(each, kind)],
    )
    rest = sorted(
        (each for each in items if _identify(each, kind) not in wanted),
        key=lambda each: before.get(_identify(each, kind), -1),
    )
    arranged: list[Any] = []
    while named and rest:
        place = before.get(_identify(named[0], kind), -1)
        first = before.get(_identify(rest[0], kind), -1) < place
        arranged.append((rest if first else named).pop(0))
    return arranged + named + rest


def _number(items: list[Any], kind: Type) -> dict[str, int]:
    return {_identify(item, kind): index for index, item in reversed(list(enumerate(items)))}


def _identify(item: Any, kind: Type) -> str:
    return str(item.get(kind.patch_key) if isinstance(item, dict) else item)
