"""A small OpenAI-compatible server: replies by a function, answers with chosen statuses first."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JudgeServer:
    """Serves POST /v1/chat/completions while it is entered.

    Attributes:
        reply: the prompt's last message -> the reply's text.
        failures: statuses to answer with before any success, first one first.
        requests: bodies and headers received.
    """

    def __init__(self, reply: Callable[[str], str]) -> None:
        self.reply = reply
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, data = owner.answer(self.path, body, dict(self.headers))
                payload = json.dumps(data).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def answer(self, path: str, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        with self._lock:
            self.requests.append((body, headers))
            failure = self.failures.pop(0) if self.failures else None
        if failure:
            return failure[0], failure[1], {"error": {"message": f"no, {headers.get('Authorization', '')}"}}
        if path != "/v1/chat/completions":
            return 404, {}, {"error": {"message": f"no such path {path}"}}
        message = {"role": "assistant", "content": self.reply(body["messages"][-1]["content"])}
        return 200, {}, {"model": f"{body['model']}-2024", "choices": [{"message": message}]}

    def __enter__(self) -> JudgeServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
