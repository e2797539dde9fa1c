"""Answers of the Hub, in plain words, and how long to wait after each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import httpx2
import pytest
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils import hf_raise_for_status
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.errors import HubError
from vision_flan.hub.progress import Progress
from vision_flan.hub.waiting import BusyError, Patience, StaleError
from vision_flan.report import duration, human_bytes


def answer(status: int, url: str = "api/datasets/ORG/data/commit/main", **headers: str) -> Callable[[], None]:
    """A call whose answer has this status."""

    def call() -> None:
        request = httpx2.Request("POST", f"http://hub/{url}")
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        hf_raise_for_status(httpx2.Response(status, request=request, headers=names, json={}))

    return call


def failing(error: Exception) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "what", "hint"),
    [
        (answer(401, "api/whoami-v2"), "does not accept this token", "hf auth login"),
        (answer(401, X_Error_Code="RepoNotFound"), "no such repository", "hf auth whoami"),
        (answer(403, X_Error_Message="Forbidden"), "no permission to do this", "write access"),
        (answer(403, X_Error_Message="storage limit reached"), "quota is full", "ask for space"),
        (answer(402, X_Error_Message="payment required"), "quota is full", "ask for space"),
        (answer(404, X_Error_Code="RepoNotFound"), "no such repository", "OWNER/NAME"),
        (answer(404, X_Error_Code="RevisionNotFound"), "no such branch", "refs"),
        (answer(403, X_Error_Code="GatedRepo"), "gated", "ask for access"),
        (answer(413), "HTTP 413", "docs/publish.md"),
        (failing(LocalTokenNotFoundError("none")), "no token", "hf auth login"),
        (failing(HFValidationError("a--b")), "not a valid repository name", "OWNER/NAME"),
        (failing(RuntimeError("a panic\nin rust")), "in rust", "run the same command again"),
        (failing(ConnectionError("Request error: (403 Forbidden), domain")), "no permission", "write access"),
        (failing(PermissionError("Auth error (401 Unauthorized)")), "does not accept", "hf auth login"),
        (failing(ValueError("Invalid metadata in README.md.")), "Invalid metadata", "run"),
    ],
)
def test_a_refusal_is_one_line_and_what_to_do(call: Callable[[], None], what: str, hint: str) -> None:
    with pytest.raises(HubError) as error:
        Patience().call("testing", call)
    assert what in error.value.what and "\n" not in error.value.what and hint in error.value.hint


@pytest.mark.parametrize(
    "call",
    [
        answer(500),
        answer(503),
        answer(504),
        answer(408),
        failing(httpx2.ReadTimeout("slow")),
        failing(ConnectionError("Server error: (503 Service Unavailable), domain")),
        failing(ConnectionError("reset")),
    ],
)
def test_a_busy_hub_is_asked_again_with_growing_pauses_and_then_given_up(call: Callable[[], None]) -> None:
    waits: list[float] = []
    said: list[str] = []
    with pytest.raises(HubError, match="did not answer while testing") as error:
        Patience(said.append, waits.append).call("testing", call, attempts=9)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert "waiting 60 s" in said[-1] and "run the same command again" in error.value.hint
    with pytest.raises(BusyError):
        Patience().once("testing", call)


@pytest.mark.parametrize("error", [httpx2.ConnectError("down"), httpx2.ConnectTimeout("slow")])
def test_a_hub_that_was_never_reached_is_given_up_within_seconds(error: Exception) -> None:
    waits: list[float] = []
    with pytest.raises(HubError, match="cannot be reached while testing") as found:
        Patience(sleep=waits.append).call("testing", failing(error))
    assert waits == [1.0, 2.0, 4.0] and "check the network" in found.value.hint


@pytest.mark.parametrize("first", [answer(200), answer(404, X_Error_Code="RepoNotFound")])
def test_a_hub_that_has_answered_before_is_waited_for(first: Callable[[], None]) -> None:
    waits: list[float] = []
    patience = Patience(sleep=waits.append)
    with suppress(HubError):
        patience.call("testing", first)
    with pytest.raises(HubError, match="did not answer while testing"):
        patience.call("testing", failing(httpx2.ConnectError("down")), attempts=9)
    assert len(waits) == 8


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        (answer(429, Retry_After="40"), 41.0),
        (answer(429, ratelimit='"api";r=0;t=55'), 56.0),
        (answer(429, X_Error_Message="You can retry this action in 35 minutes."), 2101.0),
        (answer(429, X_Error_Message="You can retry this action in about an hour."), 3600.0),
        (answer(429), 60.0),
        (answer(429, Retry_After="999999"), 3600.0),
        (failing(ConnectionError("Request error: (429 Too Many Requests), domain")), 60.0),
    ],
)
def test_a_rate_limit_is_waited_out_as_the_hub_says(call: Callable[[], None], seconds: float) -> None:
    calls = iter([call, call, lambda: None])
    waits: list[float] = []
    Patience(sleep=waits.append).call("testing", lambda: next(calls)())
    assert waits == [seconds, seconds]


def test_a_branch_that_moved_on_is_told_apart() -> None:
    with pytest.raises(StaleError):
        Patience().call("testing", answer(412))


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_on_a_terminal_one_line_renews_itself_and_messages_get_their_own() -> None:
    terminal = Terminal()
    progress = Progress(total_files=2, total_bytes=2_000_000, out=terminal)  # type: ignore[arg-type]
    progress.sent(1, 1_000_000)
    progress.sent(1, 1_000_000)
    progress.say("rate limit of the Hub: waiting 60 s")
    progress.committed()
    progress.close()
    lines = terminal.text.split("\n")
    assert lines[0].count("\r\x1b[K") == 2 and "2 of 2 files, 2.0 MB of 2.0 MB" in lines[0]
    assert lines[1] == "rate limit of the Hub: waiting 60 s"
    assert lines[2].endswith("1 commit") and lines[3] == ""


def test_sizes_and_times_are_short() -> None:
    assert [human_bytes(n) for n in (0, 999, 1000, 123_456, 5e9, 2e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "123.5 kB",
        "5.0 GB",
        "2.0 TB",
    ]
    assert [duration(n) for n in (0, 89, 600, 3 * 3600 + 300)] == ["0 s", "89 s", "10 min", "3 h 05 min"]


@given(st.floats(min_value=0, max_value=1e15))
def test_a_size_has_at_most_four_digits_and_a_unit(count: float) -> None:
    number, unit = human_bytes(count).split()
    assert len(number.replace(".", "")) <= 5 and unit in ("B", "kB", "MB", "GB", "TB")
