"""A chart's archive unpacked: bounded, and nothing in it gets out of its folder."""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from gennaker.errors import PermanentError

__all__ = ["MAX_PACKED", "unpack_chart"]

MAX_PACKED = 100 << 20
# What Helm takes (helm/helm, pkg/chart/loader/archive): bytes of all files, and of one.
MAX_UNPACKED = 100 << 20
MAX_FILE = 5 << 20
MAX_FILES = 10_000
_DRIVE = re.compile(r"^[A-Za-z]:")


def unpack_chart(content: bytes, folder: Path, shown: str) -> Path:
    """Unpack a chart's ``.tgz`` into a folder and return the chart's own folder in it.

    Args:
        content: the archive.
        folder: exists and is empty.
        shown: what the archive is called in messages.

    Raises:
        PermanentError: code ``helm-archive``: it is damaged or too large, has links, devices, names
            that lead out of it, or no chart in it.
    """
    plain = _decompress(content, shown)
    top = ""
    for name, data in list(_list_files(plain, shown)):  # all is looked at before any is written
        first, _, rest = name.partition("/")
        if not rest:
            continue  # Helm takes no file beside the chart's folder either
        if top not in ("", first):
            raise _refuse(shown, f"has two folders, {top!r} and {first!r}")
        top = first
        path = folder / top / rest
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:  # a file where a folder has to be, a name that is too long
            raise _refuse(shown, f"cannot be unpacked: {name!r}: {error.strerror}") from None
    if not top or not (folder / top / "Chart.yaml").is_file():
        raise _refuse(shown, "has no chart in it")
    return folder / top


def _decompress(content: bytes, shown: str) -> bytes:
    if len(content) > MAX_PACKED:
        raise _refuse(shown, f"has more than {MAX_PACKED >> 20} MiB")
    # Room for the headers of the files.
    most = MAX_UNPACKED + 1024 * MAX_FILES
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(content, most)
    except zlib.error:
        raise _refuse(shown, "is not compressed as a .tgz is") from None
    if stream.unconsumed_tail:
        raise _refuse(shown, f"unpacks to more than {MAX_UNPACKED >> 20} MiB")
    if not stream.eof:
        raise _refuse(shown, "is cut off")
    return plain


def _list_files(plain: bytes, shown: str) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for number, member in enumerate(tar):
                if number >= MAX_FILES:
                    raise _refuse(shown, f"has more than {MAX_FILES} files")
                if member.isdir():
                    continue
                name = _check_name(member.name, shown)
                if not member.isreg():
                    raise _refuse(shown, f"has {name!r}, which is a link or a device, not a file")
                if member.size > MAX_FILE:
                    raise _refuse(shown, f"has {name!r}, which is larger than {MAX_FILE >> 20} MiB")
                held = tar.extractfile(member)
                yield name, held.read() if held is not None else b""
    except (tarfile.TarError, EOFError, ValueError):
        raise _refuse(shown, "is damaged") from None


def _check_name(name: str, shown: str) -> str:
    parts = name.split("/")
    leads_out = name.startswith("/") or ".." in parts or "\\" in name or _DRIVE.match(name)
    if leads_out or "\0" in name:
        raise _refuse(shown, f"has a file {name!r}, which leads out of it")
    return "/".join(each for each in parts if each not in ("", "."))


def _refuse(shown: str, what: str) -> PermanentError:
    return PermanentError(f"the archive of chart {shown!r} {what}", code="helm-archive")
