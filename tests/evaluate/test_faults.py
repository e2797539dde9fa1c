"""A fault in the middle: killed while answers are generated or judged, a judge that is down, damaged files.

The same command again gives the result of a run without the fault, and makes only what is missing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evaluate.conftest import STAND_IN
from tests.evaluate.judge_server import JudgeServer
from tests.evaluate.test_evaluate import write_task
from vision_flan.evaluate import chat_api, programs

Evaluate = Callable[..., tuple[int, str, str]]
Serve = Callable[[Callable[[str], str]], JudgeServer]
NAMES = [f"thing {number}" for number in range(20)]


@pytest.fixture
def cf(tmp_path: Path, serve: Serve) -> tuple[list[str | Path], JudgeServer]:
    """Arguments of an evaluation of 20 answers, each judged once, and the judge; every second is right."""
    write_task(tmp_path / "compiled", "eval_mnist", NAMES)
    (tmp_path / "suite.yaml").write_text("cf: {mnist: {compiled: eval_mnist}}\n")
    server = serve(lambda prompt: "right" if prompt.count("0") + prompt.count("8") else "wrong")
    (tmp_path / "judges.yaml").write_text(f"cf: {{url: '{server.url}', model: vicuna-13b-v1.5}}\n")
    return ["--suite", tmp_path / "suite.yaml", "--partial", "--judges", tmp_path / "judges.yaml"], server


RIGHT = "cf: 20.00\n"  # of thing 0, 8, 10 and 18


@pytest.mark.parametrize("fault", ["refused", "429", "500", "hang", "garbage", "gzip", "cut"])
def test_a_judge_that_goes_down_and_comes_back_is_asked_what_it_has_not_answered(
    fault: str,
    model: Path,
    evaluate: Evaluate,
    calls: Callable[[], list[str]],
    cf: tuple[list[str | Path], JudgeServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chat_api, "MAX_PAUSE", 0.01)
    monkeypatch.setattr(chat_api, "TIMEOUT", 0.3)
    arguments, server = cf
    server.break_after(7, fault)
    code, out, err = evaluate(model, *arguments)
    assert (code, out) == (1, "")
    assert "cf: failed: " in err
    assert "Traceback" not in err
    replies = model / "evaluate" / "cf" / "judge.jsonl"
    assert len(replies.read_text().splitlines()) == server.served == 7
    assert not (model / "scores" / "cf.json").exists()
    server.mend()
    assert evaluate(model, *arguments)[:2] == (0, RIGHT)
    assert server.served == len(NAMES)
    assert len(calls()) == 1
    assert evaluate(model, *arguments)[1] == RIGHT.replace("\n", " (as before)\n")
    assert server.served == len(NAMES)


def test_a_judge_that_talked_nonsense_is_asked_again_by_the_next_run(
    model: Path, evaluate: Evaluate, cf: tuple[list[str | Path], JudgeServer]
) -> None:
    arguments, server = cf
    right = server.reply
    server.reply = lambda prompt: "I am a teapot."
    code, _, err = evaluate(model, *arguments)
    assert code == 1
    assert "neither right nor wrong" in err
    server.reply = right
    assert evaluate(model, *arguments)[:2] == (0, RIGHT)


@pytest.mark.parametrize("damage", ["a reply changed", "a line cut out of its middle", "zeros"])
def test_a_damaged_file_of_replies_is_noticed_and_its_line_named(
    damage: str, model: Path, evaluate: Evaluate, cf: tuple[list[str | Path], JudgeServer]
) -> None:
    arguments, server = cf
    assert evaluate(model, *arguments)[0] == 0
    replies = model / "evaluate" / "cf" / "judge.jsonl"
    lines = replies.read_bytes().split(b"\n")
    line = next(number for number, text in enumerate(lines) if b'"reply": "wrong"' in text)
    lines[line] = {
        "a reply changed": lines[line].replace(b'"reply": "wrong"', b'"reply": "right"'),
        "a line cut out of its middle": lines[line][:40] + lines[line][-40:],
        "zeros": b"\0" * 100,
    }[damage]
    replies.write_bytes(b"\n".join(lines))
    (model / "scores" / "cf.json").unlink()
    code, _, err = evaluate(model, *arguments)
    assert code == 1
    assert f"judge.jsonl:{line + 1}: not a reply as it was recorded" in err
    replies.write_bytes(b"\n".join(lines[:line] + lines[line + 1 :]))  # as the hint says
    assert evaluate(model, *arguments)[:2] == (0, RIGHT)
    assert server.served == len(NAMES) + 1


@pytest.mark.parametrize(
    ("name", "how"),
    [("answers.jsonl", "changed"), ("about.json", "cut"), ("scores", "emptied"), ("scores", "changed")],
)
def test_a_damaged_result_is_made_again(
    name: str, how: str, model: Path, evaluate: Evaluate, cf: tuple[list[str | Path], JudgeServer]
) -> None:
    arguments, server = cf
    evaluate(model, *arguments)
    path = model / "scores" / "cf.json" if name == "scores" else model / "evaluate" / "cf" / name
    data = path.read_bytes()
    changed = data.replace(b"thing 8", b"thing 9").replace(b'"value": 0.2', b'"value": 0.9')
    path.write_bytes({"cut": data[: len(data) // 2], "emptied": b"", "changed": changed}[how])
    code, out, err = evaluate(model, *arguments)
    assert code == 0, err
    assert out in (RIGHT, RIGHT.replace("\n", " (as before)\n"))
    assert json.loads((model / "scores" / "cf.json").read_text())["value"] == pytest.approx(0.2)
    assert server.served == len(NAMES)  # the answers are the same, and so the replies


def command(model: Path, tmp_path: Path, *arguments: str | Path) -> list[str]:
    start = [sys.executable, "-c", "from vision_flan.cli.main import main; main()", "evaluate", str(model)]
    more = ["--compiled", str(tmp_path / "compiled"), "--device", "cpu", "--lmms-python", sys.executable]
    return [*start, *map(str, arguments), *more]


def started(call: list[str], **environment: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(STAND_IN), *sys.path])
    return subprocess.Popen(call, env={**os.environ, "PYTHONPATH": paths, **environment})


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_while_answers_are_generated_it_ends_lmms_eval_and_the_next_run_generates(
    tmp_path: Path, model: Path, evaluate: Evaluate, cf: tuple[list[str | Path], JudgeServer]
) -> None:
    at_work = tmp_path / "at_work"
    waits = f"__import__('pathlib').Path({str(at_work)!r}).write_text(str(__import__('os').getpid())) and "
    waits += "__import__('time').sleep(600)"
    process = started(command(model, tmp_path, *cf[0]), STAND_IN_ANSWER=waits)
    wait_for(lambda: at_work.exists() and at_work.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    child = int(at_work.read_text())
    wait_for(lambda: not is_running(child))
    assert not (model / "evaluate" / "cf" / "answers.jsonl").exists()
    assert evaluate(model, *cf[0])[:2] == (0, RIGHT)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_two_evaluations_of_one_benchmark_do_not_write_over_each_other(
    model: Path,
    evaluate: Evaluate,
    cf: tuple[list[str | Path], JudgeServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs, "PATIENCE", 0.1)
    with programs.alone(model / "evaluate" / "cf" / "lock", "testing"):
        code, _, err = evaluate(model, *cf[0])
    assert code == 1
    assert "cf: failed: " in err
    assert "another process is answering this benchmark" in err
    assert evaluate(model, *cf[0])[:2] == (0, RIGHT)


@pytest.mark.slow
def test_killed_while_the_judge_replies_it_goes_on_with_what_is_not_answered(
    tmp_path: Path, model: Path, evaluate: Evaluate, cf: tuple[list[str | Path], JudgeServer]
) -> None:
    arguments, server = cf
    server.break_after(9, "hang")
    process = started(command(model, tmp_path, *arguments))
    replies = model / "evaluate" / "cf" / "judge.jsonl"
    wait_for(lambda: replies.exists() and replies.read_bytes().count(b"\n") == 9)
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.mend()
    assert evaluate(model, *arguments)[:2] == (0, RIGHT)
    assert server.served == len(NAMES)


@pytest.mark.slow
def test_killed_before_the_score_is_written_whole_it_scores_again(
    tmp_path: Path, model: Path, evaluate: Evaluate, cf: tuple[list[str | Path], JudgeServer]
) -> None:
    """The process dies between the file beside the score and its place."""
    arguments, server = cf
    dies = "import os, pathlib; old = pathlib.Path.replace; pathlib.Path.replace = lambda s, t: "
    dies += "os.kill(os.getpid(), 9) if 'scores' in str(t) else old(s, t); "
    call = command(model, tmp_path, *arguments)
    call[2] = dies + call[2]
    assert started(call).wait() == -signal.SIGKILL
    assert not (model / "scores" / "cf.json").exists()
    assert evaluate(model, *arguments)[:2] == (0, RIGHT)
    assert server.served == len(NAMES)
