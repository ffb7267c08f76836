"""How long a client certificate is good: the one thing of it that has to be told."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["read_end"]

_VERSION, _UTC_TIME = 0xA0, 0x17


def read_end(file: Path) -> datetime | None:
    """Return when the first certificate of a PEM file ends; None when it cannot be read."""
    try:
        text = file.read_text("ascii")
        first = text[text.index(ssl.PEM_HEADER) : text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)]
        return _find_end(ssl.PEM_cert_to_DER_cert(first))
    except (OSError, ValueError, IndexError):
        return None


def _find_end(certificate: bytes) -> datetime:
    """Walk to ``tbsCertificate.validity.notAfter`` (RFC 5280, 4.1)."""
    _, signed, _ = _read(certificate)
    _, rest, _ = _read(signed)
    tag, _, after = _read(rest)
    if tag == _VERSION:  # the version, left out in the first one
        rest = after
    for _ in ("serial number", "algorithm", "issuer"):
        _, _, rest = _read(rest)
    _, validity, _ = _read(rest)
    _, _, rest = _read(validity)
    tag, text, _ = _read(rest)
    digits = text.decode("ascii")
    if tag == _UTC_TIME:
        digits = ("20" if digits < "50" else "19") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _read(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the first value of DER data: its tag, its content, and what comes after it."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return tag, data[start : start + length], data[start + length :]
