"""Judges: what is asked, kept, asked again, and never written."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.judge_server import JudgeServer
from vision_flan.errors import VflanError
from vision_flan.evaluate.chat_api import ChatServer, open_judge
from vision_flan.evaluate.judge import JudgeError, Prompt, RecordedJudge, Reply, ask_all, readable
from vision_flan.report import Silent

Serve = Callable[[Callable[[str], str]], JudgeServer]
KEY = "sk-secret-123"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_prompt_is_sent_as_chat_completions_take_it(serve: Serve) -> None:
    server = serve(lambda prompt: f"re: {prompt}")
    reply = ChatServer(server.url, "gpt-4", KEY).send(Prompt("hi", "be kind", 0.2, 7))
    assert reply == Reply("re: hi", "gpt-4-2024")
    body, headers = server.requests[0]
    assert body == {
        "model": "gpt-4",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
        "temperature": 0.2,
        "max_tokens": 7,
    }
    assert headers["Authorization"] == f"Bearer {KEY}"


def test_busy_and_broken_servers_are_asked_again_with_growing_pauses(serve: Serve) -> None:
    server = serve(lambda prompt: "ok")
    server.failures = [(429, {}), (503, {}), (500, {}), (429, {"Retry-After": "30"})]
    pauses: list[float] = []
    assert ChatServer(server.url, "m", sleep=pauses.append).send(Prompt("hi")).text == "ok"
    assert pauses == [1, 2, 4, 30]


def test_a_server_that_stays_busy_or_away_is_an_error(serve: Serve) -> None:
    server = serve(lambda prompt: "ok")
    server.failures = [(503, {})] * 3
    with pytest.raises(JudgeError, match="did not answer 3 times: HTTP 503"):
        ChatServer(server.url, "m", sleep=lambda _: None, attempts=3).send(Prompt("hi"))
    with pytest.raises(JudgeError, match="lost connection"):
        ChatServer("http://127.0.0.1:9/v1", "m", sleep=lambda _: None, attempts=2).send(Prompt("hi"))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_asked_again_and_never_shows_the_key(status: int, serve: Serve) -> None:
    server = serve(lambda prompt: "ok")
    server.failures = [(status, {})]
    with pytest.raises(JudgeError) as caught:
        ChatServer(server.url, "m", KEY).send(Prompt("hi"))
    assert f"HTTP {status}" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


def test_a_url_that_is_no_judge_is_refused(tmp_path: Path, serve: Serve) -> None:
    for url in ("localhost:8000", "ftp://host/v1", "http://me:password@host/v1"):
        with pytest.raises(VflanError):
            open_judge(url, "m", tmp_path / "replies.jsonl")


@pytest.mark.parametrize("variable", [KEY, "NO_SUCH_KEY"])
def test_the_key_is_read_from_a_variable_that_is_set(variable: str, serve: Serve) -> None:
    with pytest.raises(VflanError) as caught:
        open_judge(serve(lambda prompt: "ok").url, "m", None, variable)
    assert KEY not in str(caught.value)


def test_every_reply_is_recorded_with_model_version_and_prompt_but_without_the_key(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server, path = serve(lambda prompt: "fine"), tmp_path / "new" / "replies.jsonl"
    judge = open_judge(server.url, "gpt-4", path, "MY_KEY")
    judge.ask(Prompt("hi", "be kind", turn="run 1"))
    assert server.requests[0][1]["Authorization"] == f"Bearer {KEY}"
    (line,) = lines(path)
    assert {name: line[name] for name in ("model", "version", "url", "reply", "user", "system", "turn")} == {
        "model": "gpt-4",
        "version": "gpt-4-2024",
        "url": server.url,
        "reply": "fine",
        "user": "hi",
        "system": "be kind",
        "turn": "run 1",
    }
    assert KEY not in path.read_text()
    assert KEY not in repr(judge.__dict__)


def test_a_recorded_reply_is_not_asked_for_again(tmp_path: Path, serve: Serve) -> None:
    server, path = serve(lambda prompt: "fine"), tmp_path / "replies.jsonl"
    for _ in range(2):
        judge = open_judge(server.url, "gpt-4", path)
        assert judge.ask(Prompt("hi")).text == "fine"
        assert judge.info().versions == ("gpt-4-2024",)
    assert len(server.requests) == 1
    open_judge(server.url, "gpt-5", path).ask(Prompt("hi"))
    judge.ask(Prompt("hi", turn="run 2"))
    judge.ask(Prompt("hi", temperature=0.5))
    assert len(server.requests) == 4


def test_the_line_a_killed_run_left_unfinished_is_removed(tmp_path: Path, serve: Serve) -> None:
    server, path = serve(lambda prompt: "fine"), tmp_path / "replies.jsonl"
    judge = open_judge(server.url, "m", path)
    judge.ask(Prompt("first"))
    judge.ask(Prompt("second"))
    path.write_bytes(path.read_bytes()[:-20])
    judge = open_judge(server.url, "m", path)
    judge.ask(Prompt("first"))
    judge.ask(Prompt("second"))
    assert len(server.requests) == 3
    assert [line["user"] for line in lines(path)] == ["first", "second"]


def test_any_other_damage_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    RecordedJudge("m", "u", lambda prompt: Reply("fine"), path).ask(Prompt("hi"))
    path.write_text(path.read_text() + "nonsense\n{}\n")
    with pytest.raises(JudgeError) as caught:
        RecordedJudge("m", "u", lambda prompt: Reply(""), path)
    assert "replies.jsonl:2: not a reply as it was recorded" in str(caught.value)


def test_one_prompt_asked_at_once_by_many_is_sent_once(serve: Serve) -> None:
    server = serve(lambda prompt: str(time.sleep(0.05) or len(server.requests)))
    judge = open_judge(server.url, "m", None)
    replies = ask_all(judge, [partial(judge.ask, Prompt("hi"))] * 20, Silent())
    assert {reply.text for reply in replies} == {"1"}
    assert len(server.requests) == 1


def test_results_keep_their_order_and_an_error_keeps_what_was_asked(tmp_path: Path) -> None:
    def send(prompt: Prompt) -> Reply:
        if prompt.user == "7":
            raise JudgeError("no")
        return Reply(prompt.user)

    path = tmp_path / "replies.jsonl"
    judge = RecordedJudge("m", "u", send, path)
    work = [partial(judge.ask, Prompt(str(number))) for number in range(20)]
    assert [reply.text for reply in ask_all(judge, work[:7], Silent())] == [
        str(number) for number in range(7)
    ]
    with pytest.raises(JudgeError):
        ask_all(judge, work, Silent())
    assert {str(number) for number in range(7)} <= {line["user"] for line in lines(path)}


def test_a_failed_run_does_not_wait_for_a_busy_server(serve: Serve) -> None:
    server = serve(lambda prompt: "ok")
    server.failures = [(429, {"Retry-After": "600"})]
    judge = open_judge(server.url, "m", None)

    def fail() -> Reply:
        while not server.requests:
            time.sleep(0.01)
        raise JudgeError("no")

    begun = time.monotonic()
    with pytest.raises(JudgeError, match="no"):
        ask_all(judge, [partial(judge.ask, Prompt("hi")), fail], Silent())
    assert time.monotonic() - begun < 60


def test_an_unreadable_reply_is_asked_for_again_as_another_attempt() -> None:
    turns: list[str] = []

    def send(prompt: Prompt) -> Reply:
        turns.append(prompt.turn)
        return Reply("7" if len(turns) == 3 else "?")

    judge = RecordedJudge("m", "u", send, None)
    assert readable(judge, Prompt("hi"), lambda text: text if text.isdigit() else None)[0] == "7"
    assert turns == ["", "attempt 2", "attempt 3"]


def test_a_killed_run_resumes(tmp_path: Path, serve: Serve, jsonl: Callable[..., Path]) -> None:
    """The first process is killed when the judge has replied to some of the questions."""
    process: list[subprocess.Popen[str]] = []

    def reply(prompt: str) -> str:
        if len(server.requests) == 10 and process:
            process.pop().kill()
        return "right"

    server = serve(reply)
    path = jsonl(
        *(
            {"id": number, "part": "mnist", "question": "?", "prediction": f"{number}", "target": "7"}
            for number in range(30)
        )
    )
    command = [
        sys.executable,
        "-c",
        "from vision_flan.cli.main import main; main()",
        "score",
        "cf",
        str(path),
    ]
    command += ["--partial", "--judge", server.url, "--judge-model", "m", "--json"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    process.append(killed)
    killed.communicate()
    assert killed.returncode != 0
    replies = path.with_name("answers.jsonl.cf.judge.jsonl")
    kept = replies.read_bytes().count(b"\n") if replies.exists() else 0
    asked = len(server.requests)
    assert kept < 30
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["value"] == 1
    # a request that was under way when the process died may reach the server only afterwards
    assert 30 - kept <= len(server.requests) - asked <= 30 - kept + 8
    assert replies.read_bytes().count(b"\n") == 30


def test_a_judge_where_none_is_used_is_refused(
    fixtures: Path, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    printed = refused("mme", fixtures / "mme", "--judge", "http://localhost:1/v1", "--judge-model", "m")
    assert "mme is scored without a judge" in printed
