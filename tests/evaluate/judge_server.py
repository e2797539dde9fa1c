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
        served: how many were answered.
    """

    def __init__(self, reply: Callable[[str], str]) -> None:
        self.reply = reply
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.served = 0
        self._good, self._fault = 0, ""
        self._lock = threading.Lock()
        self._mended = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if fault := owner.fault():
                    owner.fail(self, fault)
                    return
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
        with self._lock:
            self.served += 1
        if path != "/v1/chat/completions":
            return 404, {}, {"error": {"message": f"no such path {path}"}}
        message = {"role": "assistant", "content": self.reply(body["messages"][-1]["content"])}
        return 200, {}, {"model": f"{body['model']}-2024", "choices": [{"message": message}]}

    def break_after(self, good: int, fault: str) -> None:
        """From the request after so many good ones on: refused, 429, 500, hang, garbage, gzip, cut."""
        self._good, self._fault = good, fault
        self._mended.clear()

    def mend(self) -> None:
        """Answer again."""
        self._fault = ""
        self._mended.set()

    def fault(self) -> str:
        """What is wrong with the next reply; counts it as a good one if nothing is."""
        with self._lock:
            if self._fault and self._good == 0:
                return self._fault
            self._good = max(0, self._good - 1)
            return ""

    def fail(self, request: BaseHTTPRequestHandler, fault: str) -> None:
        """A reply that is none."""
        if fault == "hang":
            self._mended.wait(60)
        if fault in ("hang", "refused"):
            request.connection.close()
            return
        body = b"<html>busy</html>"
        request.send_response(int(fault) if fault.isdecimal() else 200)
        if fault == "gzip":
            request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(body) + 100 * (fault == "cut")))
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = True

    def __enter__(self) -> JudgeServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
