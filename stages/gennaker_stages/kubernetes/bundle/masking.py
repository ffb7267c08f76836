"""Values of Secret objects, taken out before an object is shown, compared for people, or recorded."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from gennaker.masking import MIN_SECRET, Masker
from gennaker_stages.kubernetes.bundle.objects import Object

__all__ = ["LAST_APPLIED", "SECRET_FIELDS", "hide_secret", "is_secret", "mask_secrets"]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation with a whole copy of an object, made by ``kubectl apply`` without --server-side."""

SECRET_FIELDS = ("data", "stringData")


def is_secret(body: Mapping[str, Any]) -> bool:
    """Return whether an object holds secret values."""
    return body.get("kind") == "Secret" and body.get("apiVersion") == "v1"


def hide_secret(body: Object) -> Object:
    """Return the object with each secret value as ``***``; keys stay."""
    if not is_secret(body):
        return body
    hidden = dict(body)
    for name in SECRET_FIELDS:
        if name in body:
            held = body[name]
            hidden[name] = dict.fromkeys(held, "***") if isinstance(held, dict) else "***"
    return hidden


def mask_secrets(text: str, body: Mapping[str, Any]) -> str:
    """Return what a server says of an object without the values it may repeat."""
    values = [each for each in _list_values(body) if len(each) >= MIN_SECRET]
    return Masker(values).mask(text) if values else text


def _list_values(body: Mapping[str, Any]) -> list[str]:
    """Return the values of a Secret, as written and decoded."""
    if not is_secret(body):
        return []
    found: list[str] = []
    for name in SECRET_FIELDS:
        held = body.get(name)
        for value in held.values() if isinstance(held, dict) else ():
            if not isinstance(value, str):
                continue
            found.append(value)
            try:
                found.append(base64.b64decode(value, validate=True).decode())
            except (binascii.Error, ValueError):
                continue
    return found
