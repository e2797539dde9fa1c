"""One file over HTTP into `<name>.part`, with what a server may do wrong refused in words.

Bytes that came stay after a cut, and the next run asks for the rest (RFC 9110, section 14). The first block
is checked as it comes: an HTML page in place of an archive ends the transfer there.
"""

from __future__ import annotations

import re
import time
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError

from vision_flan.errors import BadRawError, Location, MissingRawError, SpecError, VflanError
from vision_flan.raw.links import wrong_url
from vision_flan.raw.signatures import HEAD_BYTES, what_it_is_not
from vision_flan.raw.terms import Terms, Unsized
from vision_flan.raw.web import RefusedError, SlowError, ask, described
from vision_flan.report import Reporter
from vision_flan.spec.model import UpstreamFile

#: Attempts that bring too little before a transfer is given up; one that brings enough restarts the count.
ATTEMPTS = 4
#: Seconds before the second attempt; doubled each time.
PAUSE = 1.0
_CHUNK = 1 << 18
_MEGABYTE = 1_000_000
_HTML_TYPES = ("text/html", "application/xhtml+xml")
#: A size in a header; more digits are no size, and Python would not read them.
_SIZE = re.compile(r"[0-9]{1,18}")
#: What is sent back in a header.
_MARK = re.compile(r"[ -~]{1,1000}")


class _CutError(Exception):
    """The connection ended early; the rest can be asked for."""


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
        self,
        file: UpstreamFile,
        target: Path,
        path: Path,
        part: IO[bytes],
        report: Reporter,
        terms: Terms,
    ) -> None:
        self._file = file
        self._terms = terms
        self._target = target
        self._path = path
        self._part = part
        self._report = report
        self._kind = ""
        self._unsized = Unsized(terms, file.path, path)

    def run(self) -> None:
        """Transfer all bytes, with further attempts after cuts.

        Raises:
            SpecError: the URL is none.
            MissingRawError: the server refuses, or cannot be reached.
            BadRawError: it sends something else than the file, too much or too slowly, or sends us where it
                may not.
            MachineError: there is no room for it.
        """
        url = self._file.url or ""
        wrong = wrong_url(url)
        if wrong:
            raise SpecError(f"{self._file.path}: {wrong}", hint="correct `url` in the dataset's dataset.yaml")
        left, pause = ATTEMPTS, PAUSE
        most, began = self._size(), time.monotonic()
        while True:
            try:
                self._once(url)
                return
            except _CutError as error:
                # more than ever, as a part that starts over is no progress; and no byte a minute, cut by cut
                enough = self._terms.manners.rate * (time.monotonic() - began)
                if self._size() > most and self._size() - most >= enough:
                    most, began = self._size(), time.monotonic()
                    left, pause = ATTEMPTS, PAUSE
                left -= 1
                if not left:
                    raise self._given_up(error) from error
                self._report.note(f"{self._file.path}: {error}; trying again")
                time.sleep(pause)
                pause *= 2

    def refuse(self, what: str, error: type[VflanError] = BadRawError) -> VflanError:
        """An error that names the link, and where a file from a browser goes. Nothing of it is kept."""
        self._part.truncate(0)
        kind = f" (Content-Type: {self._kind[:100]})" if self._kind else ""
        return error(
            f"{self._file.path}: {what[:500]}{kind}",
            where=Location(self._file.url or ""),
            hint=f"open the link in a browser, and put the file at {self._target}",
        )

    def _given_up(self, error: _CutError) -> VflanError:
        where, what = Location(self._path), f"{self._file.path}: {error}"
        cause = error.__cause__
        if isinstance(cause, SlowError) or isinstance(getattr(cause, "reason", None), SlowError):
            hint = "the same command again goes on; VFLAN_LIMIT_RATE lowers the limit (docs/security.md)"
            return BadRawError(what, where=where, hint=hint)
        if isinstance(cause, HTTPException) and not isinstance(cause, IncompleteRead | RemoteDisconnected):
            return self.refuse(f"the server does not speak HTTP: {error}")
        hint = "the same command again goes on where this one stopped"
        return MissingRawError(what, where=where, hint=hint)

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
            if self._file.bytes is None:
                self._unsized.announced(start, total)
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
            return ask(url, headers, manners=self._terms.manners)
        except HTTPError as error:
            with error:
                self._answered(error, start)
                return None
        except RefusedError as error:
            raise self._refused(error) from error
        except (URLError, HTTPException, OSError) as error:
            raise _CutError(f"cannot reach the server: {described(error)}") from error
        except ValueError as error:  # a host that no name server could be asked for
            raise self.refuse(f"the link cannot be asked for: {error}") from error

    def _answered(self, error: HTTPError, start: int) -> None:
        """The server gave no content: None when it says that all of the file is here."""
        if error.code == 416:
            if start and error.headers.get("Content-Range", "") == f"bytes */{start}":
                if self._file.bytes is None:
                    return
                raise self.refuse(f"the link gives {start:,} bytes, the file has {self._file.bytes:,}")
            self._part.truncate(0)  # we hold more than there is
            raise _CutError("the server has fewer bytes than came before") from error
        if error.code in (408, 429) or error.code >= 500:
            raise _CutError(described(error)) from error
        self._kind = error.headers.get("Content-Type", "")
        raise self.refuse(described(error), MissingRawError) from error

    def _refused(self, error: RefusedError) -> VflanError:
        refused = self.refuse(str(error))
        if "no host of the internet" in refused.what:
            refused.hint = "if it is right, --allow-private-hosts allows it (docs/security.md)"
        return refused

    def _expect(self, response: HTTPResponse, start: int) -> int | None:
        """Refuse, before anything is written, what cannot be the file. Returns its size."""
        if response.headers.get_content_type() in _HTML_TYPES and not self._file.path.endswith(
            (".html", ".htm")
        ):
            raise self.refuse("the link gives an HTML page, not the file")
        ranged = response.headers.get("Content-Range", "")
        if response.status == 206 and not ranged.startswith(f"bytes {start}-"):
            raise self.refuse(f"the server sends another range than asked for: {ranged[:100]!r}")
        # a server that stores x.tar.gz may call its gzip a coding of x.tar: then the bytes are the file
        coding = response.headers.get("Content-Encoding", "identity").lower().removeprefix("x-")
        gzip_file = self._file.path.lower().endswith((".gz", ".tgz"))
        if coding not in ("", "identity") and not (coding == "gzip" and gzip_file):
            raise self.refuse(f"the server packs it on the way (Content-Encoding: {coding[:100]})")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if _SIZE.fullmatch(length) else None
        if total is not None and self._file.bytes is not None and total != self._file.bytes:
            raise self.refuse(f"the link gives {total:,} bytes, the file has {self._file.bytes:,}")
        return total

    def _remember(self, response: HTTPResponse) -> None:
        """Keep what tells one version of the file from another, for If-Range. A weak ETag does not."""
        tag = response.headers.get("ETag", "")
        mark = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
        validator_file(self._path).unlink(missing_ok=True)  # what stood there, a link included
        if _MARK.fullmatch(mark):
            with validator_file(self._path).open("x", encoding="latin-1", errors="replace") as file:
                file.write(mark)

    def _copy(self, response: HTTPResponse, start: int) -> None:
        done = start
        while True:
            try:
                data = response.read(_CHUNK)
            except SlowError as error:
                raise _CutError(f"the server is too slow: {error}") from error
            except (HTTPException, OSError, ValueError) as error:
                said = f" ({error})" if isinstance(error, HTTPException) and str(error) else ""
                raise _CutError(f"the connection was cut after {done:,} bytes{said[:100]}") from error
            if not data:
                return
            if self._file.bytes is None:
                self._watch(done + len(data), len(data))
            if self._file.bytes is not None and done + len(data) > self._file.bytes:
                raise self.refuse(f"the server sends more than the {self._file.bytes:,} bytes of the file")
            if not done and not (self._file.md5 or self._file.sha256):
                wrong = what_it_is_not(self._file.path, data[:HEAD_BYTES])
                if wrong:
                    raise self.refuse(f"the link gives {wrong}")
            self._part.write(data)
            self._report.advance((done + len(data)) // _MEGABYTE - done // _MEGABYTE, len(data))
            done += len(data)

    def _watch(self, done: int, size: int) -> None:
        try:
            self._unsized.comes(done, size)
        except BadRawError:
            self._part.truncate(0)  # nobody says that this is the file
            raise
