"""The HTTP side of the test Hub: connections, faults, the log of requests."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .messages import Answer, HubError, Request
from .routing import answer
from .store import MAIN, Entry, Repo, Store, User

COPY_BYTES = 1 << 16


@dataclass
class Fault:
    """Misbehave `times` times on requests that match.

    Args:
        pattern: searched in "METHOD path".
        status: answered in place of the route; 0 cuts the connection.
        after_bytes: with status 0, how much of the body is read (or sent) before the cut.
        apply_first: run the route, then answer with the fault: the request has taken effect.
        min_lines: match only bodies of at least so many lines, as a time-out of large commits does.
        skip: how many matching requests succeed first.
        page: HTML answered in place of JSON, as a proxy in front of the Hub does.
        when: called instead of failing, before the route runs, for a race at just that point.
    """

    pattern: str
    status: int = 503
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    after_bytes: int = 0
    apply_first: bool = False
    min_lines: int = 0
    skip: int = 0
    when: Callable[[], None] | None = None
    page: str = ""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed resets its connections; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class HubServer:
    """A Hub with the users given; use as a context manager, `url` is what HF_ENDPOINT is set to."""

    def __init__(self, folder: Path, users: list[User], *, page_size: int = 1000, part_size: int = 0) -> None:
        self.store = Store(folder, users)
        self.page_size = page_size
        self.part_size = part_size  # LFS objects larger than this are uploaded in parts; 0: never
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.received_objects: dict[str, int] = {}  # sha256 -> bytes of LFS bodies read for it
        self._parts: dict[tuple[str, int], bytes] = {}
        self._http = _QuietServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        #: Another host name for the same server: the client follows redirects on one host only.
        self.cdn_url = f"http://localhost:{self.port}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    # Access for tests without a client.

    def repo(self, repo_id: str) -> Repo:
        return self.store.repos[repo_id]

    def files(self, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """Path -> content of every file at a revision, .gitattributes left out."""
        commit = self.repo(repo_id).resolve(revision)
        assert commit is not None, f"{repo_id} has no revision {revision}"
        return {
            path: self.store.content(entry) for path, entry in commit.tree.items() if path != ".gitattributes"
        }

    def push(self, repo_id: str, files: dict[str, bytes], title: str = "somebody else's commit") -> str:
        """Commit files to main as somebody else would."""
        entries: dict[str, Entry | None] = {
            path: self.store.add_object(content)
            if self.store.upload_mode(path, len(content)) == "lfs"
            else self.store.add_blob(content)
            for path, content in files.items()
        }
        return self.store.commit(self.repo(repo_id), MAIN, entries, title, author="somebody").oid

    def fail(self, pattern: str, status: int = 503, **options: Any) -> Fault:
        fault = Fault(pattern, status, **options)
        self.faults.append(fault)
        return fault

    def count(self, pattern: str) -> int:
        """How many requests so far matched "METHOD path"."""
        return sum(bool(re.search(pattern, f"{r.method} {r.path}")) for r in list(self.requests))

    def sent_in_full(self) -> Counter[str]:
        """sha256 -> how often that LFS object was fully uploaded."""
        full: Counter[str] = Counter()
        for request in list(self.requests):
            oid = request.path.removeprefix("/lfs/")
            path = self.store.objects / oid
            if request.method == "PUT" and path.is_file() and request.received >= path.stat().st_size:
                full[oid] += 1
        return full

    def everything_received(self) -> list[bytes]:
        """All stored files and xorbs, to search for what must not be there."""
        kept = [*self.store.blobs.values(), *self._parts.values()]
        kept += [path.read_bytes() for path in self.store.objects.iterdir()]
        return kept + [path.read_bytes() for path in self.store.xet.root.rglob("*") if path.is_file()]

    def take_part(self, oid: str, number: int, content: bytes) -> None:
        self._parts[oid, number] = content

    def join_parts(self, oid: str, numbers: list[int]) -> bytes:
        return b"".join(self._parts.pop((oid, number)) for number in numbers)


class _Handler(BaseHTTPRequestHandler):
    """One connection; routes are in `routes`."""

    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's delayed ACK
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: tests read `HubServer.requests`."""

    def _serve(self) -> None:
        began = time.monotonic()
        parts = urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        request = Request(
            self.command,
            unquote(parts.path),
            parse_qs(parts.query),
            dict(self.headers),
            self.hub.store.users.get(token),
        )
        self.hub.requests.append(request)
        fault = self._matching_fault(request)
        if fault and fault.status == 0 and self.command in ("PUT", "POST"):
            fault.times -= 1
            sent = int(self.headers.get("Content-Length") or fault.after_bytes)
            request.received = len(self.rfile.read(min(fault.after_bytes, sent)))  # more would never come
            return self._cut()
        request.body = self._read_body()
        request.received = len(request.body)
        if request.received < int(self.headers.get("Content-Length") or 0):
            self.close_connection = True  # the client is gone in the middle of its request
            return None
        if fault and request.body.count(b"\n") < fault.min_lines:
            fault = None
        if fault:
            fault.times -= 1
            if fault.when:
                fault.when()
        try:
            if fault and fault.status and not fault.when and not fault.apply_first:
                raise HubError(fault.status, "", fault.message)
            if token and request.user is None:
                raise HubError(401, "", "Invalid credentials in Authorization header")
            result = answer(self.hub, request)
            if fault and fault.status and fault.apply_first:
                raise HubError(fault.status, "", fault.message)
        except HubError as refusal:
            headers = dict(fault.headers) if fault else {}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            if refusal.message:
                headers["X-Error-Message"] = refusal.message
            result = Answer({"error": refusal.message, **refusal.body}, refusal.status, headers)
            if fault and fault.page and refusal.status == fault.status:
                result = Answer(fault.page.encode(), refusal.status, headers)
        cut_at = fault.after_bytes if fault and fault.status == 0 else None
        self._send(result, cut_at)
        request.status, request.seconds = result.status, time.monotonic() - began
        request.body = b""
        return None

    def _matching_fault(self, request: Request) -> Fault | None:
        line = f"{request.method} {request.path}"
        for fault in self.hub.faults:
            if fault.times > 0 and re.search(fault.pattern, line):
                if fault.skip == 0:
                    return fault
                fault.skip -= 1
        return None

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, result: Answer, cut_at: int | None) -> None:
        body = result.body if isinstance(result.body, bytes) else json.dumps(result.body).encode()
        self.send_response(result.status)
        headers = {"Content-Type": "application/json"} if not isinstance(result.body, bytes) else {}
        for name, value in {**headers, **result.headers}.items():
            self.send_header(name, value)
        if "Content-Length" not in result.headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.wfile.write(body if cut_at is None else body[:cut_at])
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        if cut_at is not None:
            self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


for _method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler._serve)
