"""Serve the chart ``charts/web`` in some versions as a chart repository, while a command runs.

``python serve.py gennaker run web -p repository={url}``: ``{url}`` becomes the repository's address, on a
free port of loopback. Without a command it serves until it is interrupted.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHART = Path(__file__).parent / "charts" / "web"
VERSIONS = ("1.0.0", "1.1.0", "2.0.0-rc.1")


def pack(version: str) -> bytes:
    """Return the chart as a .tgz, with this version."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(each for each in CHART.rglob("*") if each.is_file()):
            content = path.read_bytes()
            if path.name == "Chart.yaml":
                content = content.replace(b"0.0.0", version.encode())
            member = tarfile.TarInfo(f"web/{path.relative_to(CHART).as_posix()}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def make_files() -> dict[str, bytes]:
    """Return what the repository has: the archives, and the index of them."""
    archives = {f"web-{version}.tgz": pack(version) for version in VERSIONS}
    lines = ["apiVersion: v1", "entries:", "  web:"]
    for version, (name, content) in zip(VERSIONS, archives.items(), strict=True):
        digest = hashlib.sha256(content).hexdigest()
        lines += [
            f"  - name: web\n    version: {version}\n    digest: {digest}",
            f"    urls: [{name}]",
        ]
    return {**archives, "index.yaml": "\n".join([*lines, ""]).encode()}


def make_handler(files: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests for these files."""

    class Handler(BaseHTTPRequestHandler):
        """Answers with a file, or that it has not changed (ETag)."""

        def do_GET(self) -> None:
            """Answer one request."""
            content = files.get(self.path.strip("/"))
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"' if content else ""
            same = bool(tag) and self.headers.get("If-None-Match") == tag
            self.send_response(404 if content is None else 304 if same else 200)
            body = b"" if content is None or same else content
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def main() -> int:
    """Serve; return the command's exit code."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(make_files()))
    url = f"http://127.0.0.1:{server.server_port}"
    if not sys.argv[1:]:
        print(url, flush=True)
        server.serve_forever()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return subprocess.run(
        [each.replace("{url}", url) for each in sys.argv[1:]], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
