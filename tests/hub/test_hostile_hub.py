"""What answers in place of the Hub gets no token of another host, and no time or room without end."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.hub.hostile import Answer, Asked, HostileHub
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import ExitCode, HubError
from vision_flan.hub import remote, waiting, watch
from vision_flan.hub.remote import Reader, Remote
from vision_flan.hub.waiting import Patience

REPO, TOKEN = "ORG/vision-flan", "hf_of_the_user"
TREE = "/tree/" + "a" * 40


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that an attempt reaches at once."""
    monkeypatch.setattr(watch, "MOST_ANSWER", 100_000)
    monkeypatch.setattr(watch, "MOST_REQUESTS", 30)
    monkeypatch.setattr(watch, "WINDOW", 0.3)
    monkeypatch.setattr(watch, "TIMEOUT", 1.0)
    monkeypatch.setattr(remote, "MOST_FILES", 500)
    monkeypatch.setattr(remote, "MOST_TASKS", 20)
    monkeypatch.setattr(remote, "MOST_TEXT", 100_000)
    monkeypatch.setattr(waiting, "ATTEMPTS", 2)
    monkeypatch.setattr(Patience.call, "__kwdefaults__", {"attempts": 2, "most": None})
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", SLEPT.append)
    SLEPT.clear()


SLEPT: list[float] = []


class Waits:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.said: list[str] = []

    def patience(self) -> Patience:
        return Patience(self.said.append, self.seconds.append)


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Answer]], HostileHub]]:
    open_: list[HostileHub] = []

    def start(answers: dict[str, Answer]) -> HostileHub:
        open_.append(HostileHub(answers).__enter__())
        return open_[-1]

    yield start
    for hub in open_:
        hub.__exit__()


def read(hub: HostileHub, waits: Waits | None = None) -> Remote:
    api = HfApi(endpoint=hub.url, token=TOKEN)
    return Reader(api, REPO, (waits or Waits()).patience()).read("main")


def page(count: int, link: str = "") -> Answer:
    def answer(asked: Asked) -> None:
        names = [f"manifest/{number}.json" for number in range(count)]
        files = [{"type": "file", "path": name, "size": 1, "oid": f"{number:040}"} for number, name in
                 enumerate(names)]  # fmt: skip
        to = link.format(here=asked.hub.url, other=asked.hub.other)
        headers = {"Link": f'<{to}{asked.path}>; rel="next"'} if link else {}
        asked.say(json.dumps(files).encode(), **headers)

    return answer


def endless(asked: Asked) -> None:
    asked.begin(Content_Type="application/json")
    while True:
        asked.wfile.write(b"[" * 50_000)


def dripping(asked: Asked) -> None:
    asked.begin(Content_Length="100000")
    for _ in range(200):
        asked.wfile.write(b"[")
        asked.wfile.flush()
        time.sleep(0.05)


def silent(asked: Asked) -> None:
    time.sleep(3)


def packed(asked: Asked) -> None:
    asked.say(gzip.compress(b"[" * 10_000_000), Content_Encoding="gzip")


def busy_for(seconds: str, **headers: str) -> Answer:
    return lambda asked: asked.say(b"{}", 429, Retry_After=seconds, **headers)


READS: dict[str, tuple[dict[str, Answer], str]] = {
    "a listing that leads to itself": ({TREE: page(0, "{here}")}, "answer has no end"),
    "a listing of files without end": ({TREE: page(100, "{here}")}, "more than 500 files"),
    "manifests without end": ({TREE: page(400)}, "400 manifests"),
    "facts without end": ({"/revision/main": endless}, "sends more than 100"),
    "a listing without end": ({TREE: endless}, "sends more than 100"),
    "tags without end": ({"/refs": endless}, "sends more than 100"),
    "facts that inflate": ({"/revision/main": packed}, "packs its answer (gzip)"),
    "facts byte by byte": ({"/revision/main": dripping}, "did not answer"),
    "no answer": ({"/revision/main": silent}, "did not answer"),
    "facts nested without end": ({"/revision/main": lambda a: a.say(b"[" * 90_000)}, "client failed"),
    "facts that are a list": ({"/revision/main": lambda a: a.say(b"[1]")}, "no answer of the Hub"),
    "facts without a commit": ({"/revision/main": lambda a: a.say(b"{}")}, "no answer of the Hub"),
    "a listing of other things": (
        {TREE: lambda a: a.say(b'[{"x": 1}]')},
        "no answer of the Hub",
    ),
    "a listing that is a number": ({TREE: lambda a: a.say(b"7")}, "no answer of the Hub"),
    "tags that are a text": ({"/refs": lambda a: a.say(b'"x"')}, "no answer of the Hub"),
    "a redirect to itself": (
        {"/revision/main": lambda a: a.say(b"", 302, Location=a.path)},
        "client failed while reading",
    ),
    "a redirect to a file": (
        {"/revision/main": lambda a: a.say(b"", 302, Location="file:///etc/passwd")},
        "did not answer",
    ),
}


@pytest.mark.parametrize("attempt", READS)
def test_a_hub_cannot_answer_with(attempt: str, serve: Callable[[dict[str, Answer]], HostileHub]) -> None:
    answers, saying = READS[attempt]
    began = time.monotonic()
    with pytest.raises(HubError) as caught:
        read(serve(answers))
    assert saying in caught.value.what
    assert caught.value.exit_code == ExitCode.HUB and len(str(caught.value)) < 600
    assert time.monotonic() - began < 20


ELSEWHERE: dict[str, dict[str, Answer]] = {
    "the next page of a listing": {TREE: page(0, "{other}")},
    "a redirect": {
        "/revision/main": lambda a: (
            a.say(b'{"id": "x/y", "sha": "x"}') if "localhost" in a.headers["Host"] else
            a.say(b"", 302, Location=f"{a.hub.other}{a.path}")
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("attempt", ELSEWHERE)
def test_the_token_goes_to_no_other_host_by(
    attempt: str, serve: Callable[[dict[str, Answer]], HostileHub]
) -> None:
    hub = serve(ELSEWHERE[attempt])
    with suppress(HubError):
        read(hub)
    told = hub.tokens_elsewhere()
    assert told and not any(told), "it was asked, and told no token"
    assert f"Bearer {TOKEN}" in {token for _, _, token in hub.asked}, "the Hub itself was"


@pytest.mark.parametrize(
    "asked",
    [
        busy_for("31536000"),
        busy_for("9" * 400),
        busy_for("1", RateLimit='"api";r=0;t=31536000'),
        busy_for("1", RateLimit=f'"api";r=0;t={"9" * 400}'),
        lambda a: a.say(b"{}", 503, Retry_After="31536000"),
    ],
)
def test_nobody_waits_a_year(asked: Answer, serve: Callable[[dict[str, Answer]], HostileHub]) -> None:
    waits = Waits()
    with pytest.raises(HubError, match="rate limit does not end|did not answer"):
        read(serve({TREE: asked}), waits)
    assert max(waits.seconds + SLEPT) <= watch.MAX_QUOTA_PAUSE + 1
    assert sum(waits.seconds) <= waiting.MAX_QUOTA_PAUSES + watch.MAX_QUOTA_PAUSE


SHARD = ShardFacts("ocr_one/train-0.parquet", 1, 4, "0" * 64)
FILE = {"X-Repo-Commit": "a" * 40, "ETag": f'"{"0" * 64}"', "X-Linked-Etag": f'"{"0" * 64}"'}


def served(content: bytes, **headers: str) -> Answer:
    def answer(asked: Asked) -> None:
        all_ = {name.replace("-", "_"): value for name, value in {**FILE, **headers}.items()}
        if asked.command == "HEAD":
            asked.begin(Content_Length="4", **all_)
        else:
            asked.say(content, **all_)

    return answer


def endless_file(asked: Asked) -> None:
    asked.begin(**{name.replace("-", "_"): value for name, value in FILE.items()})
    while asked.command == "GET":
        asked.wfile.write(b"x" * 100_000)


DOWNLOADS: dict[str, tuple[Answer, dict[str, str], str]] = {
    "of another sha256 by its listing": (served(b"lies"), {SHARD.path: "1" * 64}, "another sha256"),
    "that is not listed": (served(b"lies"), {}, "is not there"),
    "of other bytes than listed": (served(b"lies"), {SHARD.path: "0" * 64}, "another file came"),
    "without end": (endless_file, {SHARD.path: "0" * 64}, "sends more than"),
    "longer than it is": (served(b"x" * 3_000_000), {SHARD.path: "0" * 64}, "sends more than|client failed"),
}


@pytest.mark.parametrize("attempt", DOWNLOADS)
def test_a_shard_is_refused(
    attempt: str, tmp_path: Path, serve: Callable[[dict[str, Answer]], HostileHub]
) -> None:
    answer, listed, saying = DOWNLOADS[attempt]
    hub = serve({SHARD.path: answer})
    there = Remote(REPO, "main", "a" * 40, listed)
    api = HfApi(endpoint=hub.url, token=TOKEN)
    with pytest.raises(HubError, match=saying):
        remote.download(api, there, SHARD, Waits().patience(), str(tmp_path))


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_a_server_that_repeats_the_token_gets_it_into_no_message(
    status: int, serve: Callable[[dict[str, Answer]], HostileHub]
) -> None:
    waits = Waits()
    with pytest.raises(HubError) as caught:
        read(
            serve({"/refs": lambda a: a.say(b"{}", status, X_Error_Message=a.headers["Authorization"])}),
            waits,
        )
    assert TOKEN not in str(caught.value) + "".join(waits.said)
