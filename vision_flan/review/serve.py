"""`vflan preview --serve`: the page in a browser, made again when a spec or an instruction is saved."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from vision_flan.errors import VflanError
from vision_flan.report import Silent
from vision_flan.review.preview import Wanted, make_page
from vision_flan.spec.catalog import Catalog

#: A page with this text is replaced as soon as the spec is right again.
_BROKEN = """<!doctype html><html lang="en"><title>Not a page yet</title><pre>{}</pre>
<script>let stamp = null; setInterval(async () => {{
  const now = await (await fetch("stamp")).text();
  if (stamp !== null && now !== stamp) location.reload();
  stamp = now;
}}, 500);</script></html>"""


class Served:
    """The page of what is wanted, made again when files of the specs changed since the last time."""

    def __init__(self, wanted: Wanted, catalog: Callable[[], Catalog] = Catalog.default) -> None:
        self._wanted, self._catalog = wanted, catalog
        self._lock = Lock()
        self._made = ("", "")

    def stamp(self) -> str:
        """Changes whenever a spec or an instruction is saved, added or removed."""
        catalog = self._catalog()
        times = [
            (path.name, path.stat().st_mtime_ns)
            for folder, pattern in ((catalog.specs, "*/*.yaml"), (catalog.instructions, "*.j2"))
            for path in folder.glob(pattern)
        ]
        return str(hash(tuple(sorted(times))))

    def page(self) -> str:
        """The page as the files are now; an error as a page."""
        with self._lock:
            stamp = self.stamp()
            if self._made[0] != stamp:
                self._made = (stamp, self._make())
            return self._made[1]

    def _make(self) -> str:
        try:
            return make_page(self._wanted, self._catalog(), Silent()).html
        except VflanError as error:
            return _BROKEN.format(html.escape(f"{error}"))


class Handler(BaseHTTPRequestHandler):
    """Answers with what is served."""

    def __init__(self, served: Served, *arguments: object) -> None:
        self._served = served
        super().__init__(*arguments)  # type: ignore[arg-type]  # the server's own three

    def do_GET(self) -> None:
        """The page, and the stamp that it asks for."""
        if self.path == "/stamp":
            self._answer(self._served.stamp(), "text/plain")
        elif self.path == "/":
            self._answer(self._served.page(), "text/html")
        else:
            self.send_error(404)

    def _answer(self, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the page asks twice a second."""


def server_of(wanted: Wanted, port: int) -> ThreadingHTTPServer:
    """A server on this machine only; `serve_forever` starts it. Port 0 takes a free one."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, Served(wanted)))


def serve_page(wanted: Wanted, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        SpecError: a name that is no task.
        VflanError: the port is taken.
    """
    wanted.names(Catalog.default())
    try:
        server = server_of(wanted, port)
    except OSError as error:
        raise VflanError(
            f"cannot listen on port {port}: {error.strerror}", hint="choose another --port, 0 for a free one"
        ) from error
    with server:
        say(f"http://127.0.0.1:{server.server_port}/ shows the page; Ctrl-C stops")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
