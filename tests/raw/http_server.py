"""A real HTTP server on this machine that does what servers of datasets do, wrong things included."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTENT = b"PK\x03\x04" + hashlib.shake_256(b"pets").digest(2_999_996)
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Upstream:
    """What the server does; tests change it between requests.

    Attributes:
        content: the file behind every path that `answers` does not name; None for no file: 404.
        cuts: after how many bytes of an answer the connection ends, one entry an answer.
        answers: (method, path) -> status and headers of an answer without a body.
        requests: method, path and Range header of each request.
    """

    url: str = ""
    content: bytes | None = CONTENT
    kind: str = "application/zip"
    status: int = 200
    ranges: bool = True
    etag: str = '"v1"'
    length: bool = True
    encoding: str = ""
    redirect: str = ""
    cuts: list[int] = field(default_factory=list)
    answers: dict[tuple[str, str], tuple[int, dict[str, str]]] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    @property
    def seen(self) -> list[str | None]:
        """Range headers of the requests."""
        return [wanted for _, _, wanted in self.requests]


@contextmanager
def serving(state: Upstream) -> Iterator[Upstream]:
    """Serve until the block ends; `state.url` is the address."""
    bound = type("Bound", (_Handler,), {"state": state})
    server = _Server(("127.0.0.1", 0), bound)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Upstream

    def do_HEAD(self) -> None:
        self._note()
        self._answer_alone()

    def do_GET(self) -> None:
        state = self.state
        if state.redirect:
            self._head(302, {"Location": state.redirect, "Content-Length": "0"})
            return
        self._note()
        if state.content is None or ("GET", self.path) in state.answers:
            self._answer_alone()
            return
        self._file(state.content)

    def _note(self) -> None:
        self.state.requests.append((self.command, self.path, self.headers.get("Range")))

    def _answer_alone(self) -> None:
        """An answer without the bytes that it promises; the connection ends."""
        status, headers = self.state.answers.get((self.command, self.path), (404, {}))
        self.close_connection = True
        self._head(status, headers)

    def _file(self, content: bytes) -> None:
        state, wanted = self.state, self.headers.get("Range")
        start = int(wanted[6:-1]) if wanted and state.ranges else 0
        if self.headers.get("If-Range") not in (None, state.etag):
            start = 0
        body = content[start:]
        headers = {"Content-Type": state.kind, "ETag": state.etag}
        if state.length:
            headers["Content-Length"] = str(len(body))
        else:
            headers["Connection"] = "close"
            self.close_connection = True
        if state.encoding:
            headers["Content-Encoding"] = state.encoding
        if wanted and not body:
            headers["Content-Range"] = f"bytes */{len(content)}"
        elif start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        good = 416 if wanted and not body else 206 if start else 200
        self._head(good if state.status == 200 else state.status, headers)
        if state.cuts:
            body = body[: state.cuts.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass
