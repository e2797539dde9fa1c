"""`vflan fetch --check-links`: what each URL of a dataset answers, without a download."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.message import Message
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError

from vision_flan.raw.fetch import LINKED
from vision_flan.raw.links import page_instead_of_file, wrong_url
from vision_flan.raw.web import Manners, RefusedError, ask, described
from vision_flan.spec.model import DatasetSpec, UpstreamFile

#: Seconds without a byte before a server counts as unreachable.
TIMEOUT: Final = 20.0
_AT_ONCE: Final = 8
_SIZE = re.compile(r"[0-9]{1,18}")
_TOTAL = re.compile(r"bytes\s+(?:[0-9]+-[0-9]+|\*)/([0-9]{1,18})\Z")


@dataclass(frozen=True)
class LinkAnswer:
    """What one URL answers.

    Attributes:
        path: the file's name in the dataset's raw folder.
        method: `HEAD`, or `GET` of the first byte where HEAD fails; empty if nothing was sent.
        status: of HTTP, after redirects; None if no server answered.
        length: bytes of the whole file, None if the server does not say.
        problem: why the file cannot be downloaded from there; empty if it can, or if it is
            requested by hand and the URL is its page.
    """

    dataset: str
    path: str
    url: str
    method: str = ""
    status: int | None = None
    content_type: str = ""
    length: int | None = None
    problem: str = ""


def check_links(datasets: Iterable[DatasetSpec], manners: Manners | None = None) -> Iterator[LinkAnswer]:
    """Request every URL of the datasets' files, several at a time; answers in the order of the files.

    Args:
        manners: None for those of the environment.

    Raises:
        MachineError: a limit in the environment that is none.
    """
    manners = manners or Manners.of(os.environ)
    files = [(dataset, file) for dataset in datasets for file in dataset.files if file.url]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda one: _check(one[0], one[1], manners), files)


def _check(dataset: DatasetSpec, file: UpstreamFile, manners: Manners) -> LinkAnswer:
    url = file.url or ""
    answer = LinkAnswer(dataset.dataset, file.path, url)
    wrong = wrong_url(url)
    if wrong:
        return replace(answer, problem=wrong)
    answer = _answer(answer, "HEAD", manners)
    if answer.problem:
        answer = _answer(answer, "GET", manners)
    is_downloaded = dataset.access in LINKED and not page_instead_of_file(url, file.path)
    if answer.problem or not is_downloaded:
        return answer
    return replace(answer, problem=_not_the_file(answer, file))


def _answer(link: LinkAnswer, method: str, manners: Manners) -> LinkAnswer:
    """One request. GET asks for the first byte; a server that sends all is cut off."""
    headers = {"Range": "bytes=0-0"} if method == "GET" else {}
    try:
        with ask(link.url, headers, method=method, timeout=TIMEOUT, manners=manners) as response:
            status, found = response.status, response.headers
    except HTTPError as error:
        with error:
            return _described(link, method, error.code, error.headers, f"{error.code} {error.reason}"[:200])
    except (RefusedError, URLError, HTTPException, OSError, ValueError) as error:
        problem = f"{'refused' if isinstance(error, RefusedError) else 'no answer'}: {described(error)}"
        return replace(link, method=method, status=None, content_type="", length=None, problem=problem)
    return _described(link, method, status, found, "")


def _described(link: LinkAnswer, method: str, status: int, headers: Message, problem: str) -> LinkAnswer:
    total = _TOTAL.match(headers.get("Content-Range") or "")
    length = (headers.get("Content-Length") or "").strip()
    return replace(
        link,
        method=method,
        status=status,
        content_type=(headers.get("Content-Type") or "").partition(";")[0].strip()[:100],
        length=int(total[1]) if total else int(length) if status != 206 and _SIZE.fullmatch(length) else None,
        problem=problem,
    )


def _not_the_file(answer: LinkAnswer, file: UpstreamFile) -> str:
    if answer.content_type in ("text/html", "application/xhtml+xml") and not file.path.endswith(".html"):
        return "a page for a browser, not the file"
    if file.bytes is not None and answer.length not in (None, file.bytes):
        return f"{answer.length:,} bytes, the spec says {file.bytes:,}"
    return ""
