"""The HTTP front: one thread a connection, keep-alive, watches as chunked lines of JSON.

A server has one or more clusters, each below a path prefix (the in-process sandbox has one, without a
prefix; the helper process one for every environment). Called by :mod:`.sandbox` and :mod:`.process`.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .api import Api
from .problems import ApiProblem
from .queries import BOOKMARK_SECONDS, Watch
from .requests import Answer, Request, parse_target

__all__ = ["FindApi", "Server"]

MAX_BODY = 3 * 1024 * 1024
DEFAULT_WATCH_SECONDS = 1800.0
LOG_SECONDS = 0.05
"""How often a log that is followed is looked at."""
_OPEN = frozenset({"healthz", "livez", "readyz", "version"})

FindApi = Callable[[tuple[str, ...]], "tuple[Api, tuple[str, ...]] | None"]
"""Returns the cluster a path belongs to and the rest of the path, or None."""


class Server:
    """Serves on 127.0.0.1; ``find`` says which cluster a path belongs to.

    Args:
        find: see :data:`FindApi`.
        token: what clients must send as a bearer token, or as the first part of the path: kubectl
            sends no token over plain HTTP, so the addresses in kubeconfigs carry it.
        port: where to listen; 0 takes a free one.
    """

    def __init__(self, find: FindApi, *, token: str, port: int = 0) -> None:
        self.stopping = threading.Event()
        handler = type(
            "Handler", (_Handler,), {"find": staticmethod(find), "token": token, "owner": self}
        )
        self._http = _Http(("127.0.0.1", port), handler)
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Answer from now on."""
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="sandbox-http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End all connections, watches included, and free the port."""
        self.stopping.set()
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()
        self._http.close_connections()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away in mid-answer is not an error."""

    def close_connections(self) -> None:
        with self._guard:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was faster


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    find: FindApi
    token: str
    owner: Server

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on stderr."""

    def _serve(self) -> None:
        try:
            answer, api, request = self._answer()
        except ApiProblem as problem:
            self._send(problem.code, problem.to_status(), [])
            return
        except OSError:
            self.close_connection = True  # the client has gone
            return
        except Exception as error:  # noqa: BLE001 - the HTTP boundary: a bug here is told to the client
            text = f"the sandbox failed, which is a bug in it: {type(error).__name__}: {error}"
            self._send(500, ApiProblem(500, "InternalError", text).to_status(), [])
            return
        if answer.watch is not None and api is not None:
            self._stream(answer.watch, api, request)
        elif answer.lines is not None:
            self._stream_text(answer.lines)
        elif answer.text is not None:
            self._send_bytes(answer.status, answer.text.encode(), "text/plain; charset=utf-8")
        else:
            self._send(answer.status, answer.content, answer.warnings)

    def _answer(self) -> tuple[Answer, Api | None, Request]:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._read_body(headers)
        parts, query = parse_target(self.path)
        known = bool(parts) and self._is_token(parts[0])
        if known:
            parts = parts[1:]
        found = self.find(parts)
        rest = found[1] if found else parts
        if not (known or (rest and rest[0] in _OPEN)):
            self._check_token(headers)
        request = Request(self.command, rest, query, headers, body)
        if found is None:
            return Answer(404, text="404 page not found\n"), None, request
        return found[0].handle(request), found[0], request

    def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            chunks = []
            size = 0
            while length := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                size += length
                if size > MAX_BODY:
                    self._refuse_size()
                chunks.append(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        length = int(headers.get("content-length") or 0)
        if length > MAX_BODY:
            self._refuse_size()
        return self.rfile.read(length) if length else b""

    def _refuse_size(self) -> None:
        # The rest of the body is not read, so the connection cannot be used again.
        self.close_connection = True
        text = f"Request entity too large: limit is {MAX_BODY}"
        raise ApiProblem(413, "RequestEntityTooLarge", text)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _check_token(self, headers: dict[str, str]) -> None:
        if not self._is_token(headers.get("authorization", "").removeprefix("Bearer ").strip()):
            raise ApiProblem(401, "Unauthorized", "Unauthorized")

    def _send(self, status: int, content: Any, warnings: list[str]) -> None:
        body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        self._send_bytes(status, body, "application/json", warnings)

    def _send_bytes(
        self, status: int, body: bytes, content_type: str, warnings: list[str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache, private")
        for text in warnings or []:
            self.send_header("Warning", "299 - " + json.dumps(text))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _stream_text(self, pieces: Iterator[str]) -> None:
        """Send text as it comes; asked for more again and again, until there is none or nobody reads."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            for piece in pieces:
                if piece:
                    self._write_bytes(piece.encode())
                elif self._is_gone():
                    raise ConnectionResetError
                if self.owner.stopping.wait(LOG_SECONDS):
                    break
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has gone

    def _stream(self, watch: Watch, api: Api, request: Request) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        asked = request.query.get("timeoutSeconds", "")
        seconds = float(asked) if asked.isdigit() and int(asked) else DEFAULT_WATCH_SECONDS
        end = time.monotonic() + seconds
        try:
            self._write_events(list(watch.start_events()), api, request, watch)
            self._follow(watch, api, request, end)
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except ApiProblem as problem:
            self._write_chunk({"type": "ERROR", "object": problem.to_status()})
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has gone

    def _follow(self, watch: Watch, api: Api, request: Request, end: float) -> None:
        quiet = time.monotonic()
        while not self.owner.stopping.is_set():
            left = end - time.monotonic()
            if left <= 0:
                break
            events = watch.next_events(min(left, 0.5))
            now = time.monotonic()
            if events:
                self._write_events(events, api, request, watch)
                quiet = now
            elif watch.bookmarks and now - quiet > BOOKMARK_SECONDS:
                self._write_chunk(watch.bookmark())
                quiet = now
            elif self._is_gone():
                raise ConnectionResetError
        if watch.bookmarks:
            self._write_chunk(watch.bookmark())

    def _is_gone(self) -> bool:
        """Whether the client has closed: a watch on something quiet would not notice by writing."""
        try:
            self.connection.setblocking(False)
            return bool(self.connection.recv(1, socket.MSG_PEEK) == b"")
        except BlockingIOError:
            return False
        finally:
            self.connection.setblocking(True)

    def _write_events(
        self, events: list[dict[str, Any]], api: Api, request: Request, watch: Watch
    ) -> None:
        for event in events:
            obj = event["object"]
            if event["type"] != "BOOKMARK":
                obj = api.shape(request, watch.resource, obj)
            self._write_chunk({"type": event["type"], "object": obj})

    def _write_chunk(self, event: dict[str, Any]) -> None:
        self._write_bytes(
            json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        )

    def _write_bytes(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()
