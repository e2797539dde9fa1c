"""One file over HTTP into `<name>.part`, with what a server may do wrong refused in words.

Bytes that came stay after a cut, and the next run asks for the rest (RFC 9110, section 14). The first block
is checked as it comes: an HTML page in place of an archive ends the transfer there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, cast
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from vision_flan import __version__
from vision_flan.errors import Location, MissingRawError
from vision_flan.raw.links import wrong_url
from vision_flan.raw.signatures import HEAD_BYTES, what_it_is_not
from vision_flan.report import Reporter
from vision_flan.spec.model import UpstreamFile

#: Attempts that bring nothing before a transfer is given up; one that brings bytes starts the count again.
ATTEMPTS = 4
#: Seconds before the second attempt; doubled each time.
PAUSE = 1.0
#: Seconds without a byte before a connection counts as cut.
TIMEOUT = 60.0
_CHUNK = 1 << 20
_MEGABYTE = 1_000_000
_HTML_TYPES = ("text/html", "application/xhtml+xml")


class _CutError(Exception):
    """The connection ended early; the rest can be asked for."""


class SchemeError(Exception):
    """A redirect leads out of HTTP, or to an address that cannot be asked for."""


class _OnlyHttp(HTTPRedirectHandler):
    """Follows redirects as urllib does, but only to http and https: never to file: or ftp:."""

    def http_error_302(self, req, fp, code, msg, headers):  # type: ignore[no-untyped-def]
        target = headers.get("Location") or ""
        scheme = target.partition(":")[0].lower() if ":" in target.partition("/")[0] else ""
        if scheme not in ("", "http", "https"):
            fp.close()
            raise SchemeError(f"the server sends us on to {target!r}, which is not http or https")
        return super().http_error_302(req, fp, code, msg, headers)

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and req.get_method() == "HEAD":
            request.method = "HEAD"  # urllib would ask for the whole file
        return request

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


#: urllib's own, without those for file:, ftp: and data:.
_HANDLERS = (
    ProxyHandler,
    UnknownHandler,
    HTTPHandler,
    HTTPSHandler,
    HTTPDefaultErrorHandler,
    _OnlyHttp,
    HTTPErrorProcessor,
)


def ask(
    url: str, headers: Mapping[str, str], *, method: str = "GET", timeout: float = TIMEOUT
) -> HTTPResponse:
    """Send one request; redirects are followed within http and https.

    Args:
        timeout: seconds without a byte.

    Raises:
        HTTPError, URLError, HTTPException, OSError: as urllib.
        SchemeError: a redirect leads out of http and https.
    """
    opener = OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    common = {"User-Agent": f"vision-flan/{__version__}", "Accept-Encoding": "identity"}
    request = Request(url, headers={**common, **headers}, method=method)
    return cast(HTTPResponse, opener.open(request, timeout=timeout))


def validator_file(part: Path) -> Path:
    """Where the mark of the file's version (ETag or Last-Modified) stands beside a `.part`."""
    return part.with_name(part.name + ".etag")


class Transfer:
    """Brings one file into its `.part`.

    Args:
        file: what upstream ships.
        target: where the file will stand; only named in messages.
        path: the `.part`, open and locked by the caller as `part`, for appending.
    """

    def __init__(
        self, file: UpstreamFile, target: Path, path: Path, part: IO[bytes], report: Reporter
    ) -> None:
        self._file = file
        self._target = target
        self._path = path
        self._part = part
        self._report = report
        self._kind = ""

    def run(self) -> None:
        """Transfer all bytes, with further attempts after cuts.

        Raises:
            MissingRawError: the server refuses, cannot be reached, or sends something else than the file.
        """
        url = self._file.url or ""
        wrong = wrong_url(url)
        if wrong:
            raise MissingRawError(
                f"{self._file.path}: {wrong}", hint="correct `url` in the dataset's dataset.yaml"
            )
        left, pause = ATTEMPTS, PAUSE
        most = self._size()
        while True:
            try:
                self._once(url)
                return
            except _CutError as error:
                if self._size() > most:  # more than ever: a part that starts over is no progress
                    most = self._size()
                    left, pause = ATTEMPTS, PAUSE
                left -= 1
                if not left:
                    raise MissingRawError(
                        f"{self._file.path}: {error}",
                        where=Location(self._path),
                        hint="the same command again goes on where this one stopped",
                    ) from error
                self._report.note(f"{self._file.path}: {error}; trying again")
                time.sleep(pause)
                pause *= 2

    def refuse(self, what: str) -> MissingRawError:
        """An error that names the link, and where a file from a browser goes. Nothing of it is kept."""
        self._part.truncate(0)
        kind = f" (Content-Type: {self._kind})" if self._kind else ""
        return MissingRawError(
            f"{self._file.path}: {what}{kind}",
            where=Location(self._file.url or ""),
            hint=f"open the link in a browser, and put the file at {self._target}",
        )

    def _size(self) -> int:
        self._part.flush()
        return self._path.stat().st_size

    def _once(self, url: str) -> None:
        start = self._start()
        if start and start == self._file.bytes:
            return
        response = self._open(url, start)
        if response is None:
            return
        with response:
            if response.status != 206:
                start = 0
                self._part.truncate(0)
            self._kind = response.headers.get("Content-Type", "")
            total = self._expect(response, start)
            self._remember(response)
            self._report.stage(self._file.path, None if total is None else -(-total // _MEGABYTE))
            self._report.advance(start // _MEGABYTE)
            self._copy(response, start)
        expected = self._file.bytes if total is None else total
        if expected is not None and self._size() < expected:
            raise _CutError(f"the connection was cut after {self._size():,} of {expected:,} bytes")

    def _start(self) -> int:
        """Bytes to keep: what came earlier, if it can be told that it is a piece of the same file."""
        size = self._size()
        checked = self._file.md5 or self._file.sha256 or validator_file(self._path).exists()
        too_long = self._file.bytes is not None and size > self._file.bytes
        if size and (too_long or not checked):
            self._part.truncate(0)
            return 0
        return size

    def _open(self, url: str, start: int) -> HTTPResponse | None:
        """The answer; None when the server says that all of the file is here."""
        headers = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if validator_file(self._path).exists():
                headers["If-Range"] = validator_file(self._path).read_text("latin-1")
        try:
            return ask(url, headers)
        except HTTPError as error:
            with error:
                if error.code == 416:
                    if start and error.headers.get("Content-Range", "") == f"bytes */{start}":
                        if self._file.bytes is None:
                            return None
                        raise self.refuse(
                            f"the link gives {start:,} bytes, the file has {self._file.bytes:,}"
                        ) from error
                    self._part.truncate(0)  # we hold more than there is
                    raise _CutError("the server has fewer bytes than came before") from error
                if error.code in (408, 429) or error.code >= 500:
                    raise _CutError(f"the server answers {error.code} {error.reason}") from error
                self._kind = error.headers.get("Content-Type", "")
                raise self.refuse(f"the server answers {error.code} {error.reason}") from error
        except SchemeError as error:
            raise self.refuse(str(error)) from error
        except (URLError, HTTPException, OSError) as error:
            raise _CutError(f"cannot reach the server: {getattr(error, 'reason', error)}") from error

    def _expect(self, response: HTTPResponse, start: int) -> int | None:
        """Refuse, before anything is written, what cannot be the file. Returns its size."""
        if response.headers.get_content_type() in _HTML_TYPES and not self._file.path.endswith(
            (".html", ".htm")
        ):
            raise self.refuse("the link gives an HTML page, not the file")
        ranged = response.headers.get("Content-Range", "")
        if response.status == 206 and not ranged.startswith(f"bytes {start}-"):
            raise self.refuse(f"the server sends another range than asked for: {ranged!r}")
        # a server that stores x.tar.gz may call its gzip a coding of x.tar: then the bytes are the file
        coding = response.headers.get("Content-Encoding", "identity").lower().removeprefix("x-")
        gzip_file = self._file.path.lower().endswith((".gz", ".tgz"))
        if coding not in ("", "identity") and not (coding == "gzip" and gzip_file):
            raise self.refuse(f"the server packs it on the way (Content-Encoding: {coding})")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if total is not None and self._file.bytes is not None and total != self._file.bytes:
            raise self.refuse(f"the link gives {total:,} bytes, the file has {self._file.bytes:,}")
        return total

    def _remember(self, response: HTTPResponse) -> None:
        """Keep what tells one version of the file from another, for If-Range. A weak ETag does not."""
        tag = response.headers.get("ETag", "")
        mark = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
        validator_file(self._path).unlink(missing_ok=True)  # what stood there, a link included
        if mark:
            with validator_file(self._path).open("x", encoding="latin-1", errors="replace") as file:
                file.write(mark)

    def _copy(self, response: HTTPResponse, start: int) -> None:
        done = start
        while True:
            try:
                data = response.read(_CHUNK)
            except (HTTPException, OSError) as error:
                raise _CutError(f"the connection was cut after {done:,} bytes") from error
            if not data:
                return
            if self._file.bytes is not None and done + len(data) > self._file.bytes:
                raise self.refuse(f"the server sends more than the {self._file.bytes:,} bytes of the file")
            if not done and not (self._file.md5 or self._file.sha256):
                wrong = what_it_is_not(self._file.path, data[:HEAD_BYTES])
                if wrong:
                    raise self.refuse(f"the link gives {wrong}")
            self._part.write(data)
            self._report.advance((done + len(data)) // _MEGABYTE - done // _MEGABYTE, len(data))
            done += len(data)
