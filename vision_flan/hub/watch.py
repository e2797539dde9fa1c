"""What a call to the Hub may take, and whom it tells the token, whatever the server in its place answers.

`HF_ENDPOINT` may name a mirror or a proxy, and a name may be answered by another machine. The client keeps no
time, takes answers of any size, follows a listing from page to page to any host, with the token, and waits as
long as it is told to.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import get_session
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from vision_flan.errors import HubError
from vision_flan.limits import COMPILING
from vision_flan.report import human_bytes

#: Seconds without a byte, and of waiting for bytes over which the rate of an answer is measured.
TIMEOUT, WINDOW = 300.0, 60.0
#: Bytes of an answer of the Hub's interface, such as a page of a listing.
MOST_ANSWER = 64 * 2**20
#: Requests of one call: a listing has a thousand files a page.
MOST_REQUESTS = 2_000
#: The Hub's quotas are hourly: no pause is longer.
MAX_QUOTA_PAUSE = 3600.0
#: Bytes of a file beside its content, such as an answer of an error.
_AROUND = 2**20
_HUB = ("huggingface.co", "hf.co")


@dataclass
class _Watch:
    """A call that is running.

    Attributes:
        most: bytes of a file it downloads; None for no bound.
        hosts: who may be told the token: the host that is asked first, and the Hub's.
    """

    most: int | None = None
    rate: int = field(default_factory=lambda: COMPILING.changed_by(os.environ).rate)
    hosts: set[tuple[str, int]] = field(default_factory=lambda: {(host, 443) for host in _HUB})
    requests: int = 0


_WATCH: ContextVar[_Watch | None] = ContextVar("watch", default=None)
_LOCK = threading.Lock()


@contextmanager
def watched(most: int | None = None) -> Iterator[None]:
    """Watch what the client does in this thread until the end of the block.

    Args:
        most: bytes of a file that is downloaded.

    Raises:
        MachineError: the environment has a limit that cannot be read.
    """
    session = get_session()
    with _LOCK:
        hooks = session.event_hooks
        if _ask not in hooks["request"]:
            session.event_hooks = {
                "request": [*hooks["request"], _ask],
                "response": [*hooks["response"], _answer],
            }
    token = _WATCH.set(_Watch(most))
    try:
        yield
    finally:
        _WATCH.reset(token)


def _ask(request: httpx2.Request) -> None:
    watch = _WATCH.get()
    if watch is None:
        return
    host = _host(request.url)
    if not watch.requests:
        watch.hosts |= {host, (host[0], 443)}
    watch.requests += 1
    if watch.requests > MOST_REQUESTS:
        raise HubError(f"the Hub's answer has no end: {MOST_REQUESTS:,} pages", hint="check HF_ENDPOINT")
    if host not in watch.hosts:
        request.headers.pop("authorization", None)
    elif request.url.path.startswith("/api/"):
        request.headers["accept-encoding"] = "identity"
    waits = request.extensions.get("timeout", {})
    waits = {name: waits.get(name) or TIMEOUT for name in ("connect", "read", "write", "pool")}
    request.extensions = {**request.extensions, "timeout": waits}


def _answer(response: httpx2.Response) -> None:
    watch = _WATCH.get()
    if watch is None:
        return
    headers, url = response.headers, response.request.url
    limit = parse_ratelimit_headers(headers)
    told = headers.get("retry-after", "").strip()
    if limit is not None and limit.reset_in_seconds > MAX_QUOTA_PAUSE:
        del headers["ratelimit"]
        told = str(limit.reset_in_seconds)
    if told.isdecimal() and (len(told) > 6 or int(told) > MAX_QUOTA_PAUSE):
        headers["retry-after"] = str(int(MAX_QUOTA_PAUSE))
    is_ours = url.path.startswith("/api/") and _host(url) in watch.hosts
    coding = headers.get("content-encoding", "identity").lower()
    if is_ours and coding not in ("", "identity"):
        raise HubError(f"the Hub packs its answer ({coding[:40]}), and was asked not to")
    most = MOST_ANSWER if is_ours else None if watch.most is None else watch.most + _AROUND
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _Clocked(response.stream, watch.rate, most)


def _host(url: httpx2.URL) -> tuple[str, int]:
    return url.host.lower(), url.port or (443 if url.scheme == "https" else 80)


class _Clocked(httpx2.SyncByteStream):
    """The bytes of an answer; time that is spent elsewhere does not count."""

    def __init__(self, stream: httpx2.SyncByteStream, rate: int, most: int | None) -> None:
        self._stream, self._rate, self._most = stream, rate, most

    def __iter__(self) -> Iterator[bytes]:
        total, waited, came = 0, 0.0, 0
        began = time.monotonic()
        for chunk in self._stream:
            waited += time.monotonic() - began
            total, came = total + len(chunk), came + len(chunk)
            if self._most is not None and total > self._most:
                raise HubError(f"the Hub sends more than {human_bytes(self._most)} for an answer")
            if waited >= WINDOW:
                if came < self._rate * waited:
                    raise httpx2.ReadTimeout(f"{came:,} bytes came in {waited:.0f} s")
                waited, came = 0.0, 0
            yield chunk
            began = time.monotonic()

    def close(self) -> None:
        self._stream.close()
