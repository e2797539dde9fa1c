"""A server in place of the Hub that answers what it likes; each connection is one request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Asked"], None]
HEAD = "a" * 40


class Asked(BaseHTTPRequestHandler):
    """A request, and how to answer it."""

    hub: HostileHub

    def do_GET(self) -> None:
        self.hub.asked.append((self.headers.get("Host", ""), self.path, self.headers.get("Authorization")))
        with suppress(BrokenPipeError, ConnectionResetError):
            self.hub.answer(self)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def say(self, content: bytes, status: int = 200, **headers: str) -> None:
        """A whole answer."""
        self.begin(status, Content_Length=str(len(content)), **headers)
        self.wfile.write(content)

    def begin(self, status: int = 200, **headers: str) -> None:
        """The headers of an answer; without a length, it ends with the connection."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True


class HostileHub:
    """Serves an empty repository, but for the paths that `answers` has; use as a context manager.

    Attributes:
        answers: the end of a path -> what answers it.
        asked: host, path and token of each request.
    """

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, str | None]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Asked,), {"hub": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.other = f"http://localhost:{self._http.server_port}"

    def answer(self, asked: Asked) -> None:
        """Answer one request."""
        path = asked.path.partition("?")[0]
        for end, answer in self.answers.items():
            if path.endswith(end):
                answer(asked)
                return
        facts: object = {"id": "ORG/vision-flan", "sha": HEAD}
        if path.endswith("/refs"):
            facts = {"branches": [], "converts": [], "tags": []}
        if "/tree/" in path:
            facts = []
        asked.say(json.dumps(facts).encode())

    def tokens_elsewhere(self) -> list[str | None]:
        """What other hosts than the one that was named first were told."""
        return [token for host, _, token in self.asked if not host.startswith("127.0.0.1")]

    def __enter__(self) -> HostileHub:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
