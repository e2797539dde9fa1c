"""Calls to the Hub with retries and rate limits, and its refusals in plain words."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from vision_flan.errors import HubError
from vision_flan.hub.watch import MAX_QUOTA_PAUSE, watched

T = TypeVar("T")

BUSY = (500, 502, 503, 504)
#: Attempts when the Hub is busy; with doubling pauses from 1 s to 60 s, about seven minutes.
ATTEMPTS = 12
MAX_PAUSE = 60.0
#: Attempts if the Hub was never reached: most likely there is no network, and seven seconds are enough.
UNREACHED_ATTEMPTS = 4
#: Seconds of all pauses in one call that quotas ask for.
MAX_QUOTA_PAUSES = 24 * 3600.0


#: Errors of the client: its own, RuntimeError and ValueError around them, OSErrors of hf_xet.
CLIENT_ERRORS = (
    HfHubHTTPError,
    httpx2.RequestError,
    httpx2.InvalidURL,
    RuntimeError,
    ValueError,
    OSError,
)
_UNREACHED = (httpx2.ConnectError, httpx2.ConnectTimeout)
#: What it runs into where an answer lacks what every answer of the Hub has.
_ANSWERED_ELSE = (LookupError, TypeError, AttributeError)


class StaleError(Exception):
    """The branch has moved since it was read (412): read it again."""


class BusyError(Exception):
    """The Hub did not finish the request in time (5xx, lost connection); it may have taken effect."""


@dataclass
class Patience:
    """Runs calls and waits between attempts.

    Attributes:
        say: receives a line for every pause.
        sleep: seconds; a test passes its own.
    """

    say: Callable[[str], None] = lambda text: None
    sleep: Callable[[float], None] = time.sleep
    waited: float = field(default=0.0, init=False)
    _reached: bool = field(default=False, init=False)

    def call(
        self, what: str, action: Callable[[], T], *, attempts: int = ATTEMPTS, most: int | None = None
    ) -> T:
        """Run `action` until it succeeds.

        Args:
            what: for messages, as in "while <what>".
            attempts: when the Hub is busy; rate limits are waited out for a day.
            most: bytes of a file that it downloads.

        Raises:
            HubError: the Hub refuses, stays busy, or was never reached.
            StaleError: 412.
        """
        for attempt in range(1, attempts):
            try:
                return self._unlimited(what, action, most)
            except BusyError as busy:
                if attempt >= UNREACHED_ATTEMPTS and not self._reached:
                    raise HubError(
                        f"the Hub cannot be reached while {what}: {busy}",
                        hint="check the network, and HF_ENDPOINT if it is set",
                    ) from busy
                self.pause(min(MAX_PAUSE, 2.0 ** (attempt - 1)), f"{busy} while {what}")
        try:
            return self._unlimited(what, action, most)
        except BusyError as busy:
            raise HubError(
                f"the Hub did not answer while {what}: {busy}",
                hint="run the same command again later; it continues where it stopped",
            ) from busy

    def once(self, what: str, action: Callable[[], T]) -> T:
        """Run `action` once, except for rate limits.

        Raises:
            BusyError: the caller must check what happened before it retries.
        """
        return self._unlimited(what, action)

    def _unlimited(self, what: str, action: Callable[[], T], most: int | None = None) -> T:
        paused = 0.0
        while True:
            try:
                with watched(most):
                    result = action()
                self._reached = True
                return result
            except CLIENT_ERRORS as error:
                self._reached |= not isinstance(http_error(error), _UNREACHED)
                seconds = quota_pause(error)
                if seconds is None:
                    raise translated(error, what) from error
                paused += seconds
                if paused > MAX_QUOTA_PAUSES:
                    raise HubError(
                        f"the Hub's rate limit does not end while {what}",
                        hint="run the same command again later; it continues where it stopped",
                    ) from error
                self.pause(seconds, f"rate limit of the Hub while {what}")
            except _ANSWERED_ELSE as error:
                raise HubError(
                    f"no answer of the Hub while {what}: {type(error).__name__}: {error}"[:300],
                    hint="check HF_ENDPOINT",
                ) from error

    def pause(self, seconds: float, why: str) -> None:
        self.say(f"{why}: waiting {seconds:.0f} s")
        self.waited += seconds
        self.sleep(seconds)


def http_error(error: BaseException) -> BaseException:
    """The HTTP error inside the client's RuntimeError("Error while uploading ...")."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, (HfHubHTTPError, httpx2.TransportError)):
        inner = inner.__cause__
    return inner or error


def xet_status(error: BaseException) -> int | None:
    """The HTTP status that hf_xet puts into the text of its errors."""
    if not isinstance(error, (ConnectionError, PermissionError)):
        return None
    found = re.search(r"\((\d{3}) [A-Z]", str(error))
    return int(found[1]) if found else None


def quota_pause(error: BaseException) -> float | None:
    """Seconds a 429 asks to wait, None for any other error."""
    inner = http_error(error)
    if xet_status(inner) == 429:
        return 60.0
    if not isinstance(inner, HfHubHTTPError) or inner.response.status_code != 429:
        return None
    headers = inner.response.headers
    limit = parse_ratelimit_headers(headers)
    if limit and limit.remaining == 0:
        return min(MAX_QUOTA_PAUSE, limit.reset_in_seconds + 1.0)
    if headers.get("Retry-After", "").isdecimal():
        return min(MAX_QUOTA_PAUSE, float(headers["Retry-After"]) + 1.0)
    told = re.search(r"in (?:about )?(\d+|an?) (second|minute|hour)", str(inner))
    if told:
        count = int(told[1]) if told[1].isdigit() else 1
        return min(MAX_QUOTA_PAUSE, count * {"second": 1.0, "minute": 60.0, "hour": 3600.0}[told[2]] + 1.0)
    return 60.0


def translated(error: BaseException, what: str) -> Exception:
    """The client's error as one of ours: one line, and what to do."""
    inner = http_error(error)
    if isinstance(inner, httpx2.TransportError):
        return BusyError(f"lost connection ({type(inner).__name__})")
    if isinstance(inner, json.JSONDecodeError):
        return BusyError("an error page instead of an answer")
    if isinstance(inner, LocalTokenNotFoundError):
        return no_token()
    if isinstance(inner, HFValidationError):
        return HubError(
            f"not a valid repository name: {inner}", hint="use OWNER/NAME, as in my-org/vision-flan"
        )
    if isinstance(inner, HfHubHTTPError):
        return _refusal(inner, what)
    status = xet_status(inner)
    if status in (401, 403):
        return refused(status, what, f"HTTP {status} from the storage")
    if isinstance(inner, ConnectionError):
        return BusyError(f"HTTP {status}" if status else "lost connection to the storage")
    text = str(inner).strip().splitlines() or [type(inner).__name__]
    return HubError(f"the client failed while {what}: {text[-1]}", hint="run the same command again")


def _refusal(inner: HfHubHTTPError, what: str) -> Exception:
    """An error response of the Hub."""
    status, message = inner.response.status_code, server_message(inner)
    if status == 412:
        return StaleError(message)
    if status in BUSY or status == 408:
        return BusyError(f"HTTP {status}")
    if isinstance(inner, GatedRepoError):
        return HubError(
            f"access to this repository is gated ({what})", hint="ask for access on its page first"
        )
    if isinstance(inner, RevisionNotFoundError):
        return HubError(
            f"no such branch, tag or commit ({what})", hint="see the refs on the repository's page"
        )
    if isinstance(inner, RepositoryNotFoundError):
        return HubError(
            f"no such repository, or it is private and this token may not see it ({what})",
            hint="check OWNER/NAME; `hf auth whoami` says whose token this is",
        )
    return refused(status, what, message)


def refused(status: int, what: str, message: str) -> HubError:
    """A refusal in plain words."""
    if status == 401:
        return HubError(
            "the Hub does not accept this token",
            hint="run `hf auth login`, or set HF_TOKEN to a valid one",
        )
    if status in (402, 403) and re.search(r"storage (limit|quota)|quota|billing|payment", message, re.I):
        return HubError(
            f"the storage quota is full: {message}",
            hint="free or ask for space (huggingface.co/docs/hub/storage-limits), then run this again",
        )
    if status == 403:
        return HubError(
            f"no permission to do this ({what}): {message}",
            hint="use a token with write access, or publish under a name of your own",
        )
    return HubError(
        f"the Hub refused with HTTP {status} while {what}: {message}",
        hint='see docs/publish.md, "When the Hub says no"',
    )


def no_token() -> HubError:
    return HubError("no token for the Hub on this machine", hint="run `hf auth login`, or set HF_TOKEN")


def server_message(error: HfHubHTTPError) -> str:
    """The Hub's own message, in one line, without the token, which a server may repeat."""
    said = error.server_message or error.response.headers.get("X-Error-Message") or "no reason given"
    token = error.response.request.headers.get("Authorization", "").removeprefix("Bearer ")
    return " ".join((said.replace(token, "***") if token else said).split())[:500]
