"""Answers, logs, scores and judges are anybody's: what they hold ends as one error, soon, or as text."""

from __future__ import annotations

import csv
import io
import json
import socketserver
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vision_flan.errors import VflanError
from vision_flan.evaluate import chat_api, sheets
from vision_flan.evaluate.cells import has_other_data, read_scores
from vision_flan.evaluate.chat_api import ChatServer
from vision_flan.evaluate.evaluation import read_judges
from vision_flan.evaluate.experiment import load as load_experiment
from vision_flan.evaluate.files import (
    answers_jsonl,
    is_answers_jsonl,
    json_document,
    json_lines,
    json_objects,
)
from vision_flan.evaluate.generate import GenerationError, Generator
from vision_flan.evaluate.judge import JudgeError, Prompt
from vision_flan.evaluate.llava_bench import parse_marks
from vision_flan.evaluate.mm_vet import parse_grade
from vision_flan.evaluate.mmmu_text import numbers_in
from vision_flan.evaluate.sheets import table
from vision_flan.evaluate.suite import load_suite
from vision_flan.evaluate.tables import as_csv, build, in_spreadsheet, markdown, open_models

DEEP, DIGITS = "[" * 100_000, "9" * 5_000
ANSWER = '{"id": 1, "prediction": "x", "target": "y"}\n'

LONG = "x" * 1_000_000
LINES = {
    "nested without end": DEEP,
    "a number of 5,000 digits": '{"id": ' + DIGITS + "}",
    "half a character": '{"id": 1, "prediction": "\\ud800"}',
    "half a character in a name": '{"id": 1, "\\udfff": 1}',
    "a list of megabytes as an id": json.dumps({"id": ["x" * 1_000_000], "prediction": "x"}),
    "a text of megabytes as tokens": json.dumps({"id": 1, "prediction": "x", "tokens": "x" * 1_000_000}),
    "a mapping of megabytes as targets": json.dumps(
        {"id": 1, "prediction": "x", "target": [{"a": "x" * 10**6}]}
    ),
    "options of megabytes": json.dumps({"id": 1, "prediction": "x", "options": "x" * 1_000_000}),
}


@pytest.mark.parametrize("attempt", LINES)
def test_a_line_of_answers_is_refused_with(attempt: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(ANSWER + LINES[attempt] + "\n")
    with pytest.raises(VflanError, match=r"answers\.jsonl:2") as caught:
        answers_jsonl(path, "textocr")
    assert len(str(caught.value)) < 600
    path.write_text(LINES[attempt] + "\n")
    is_answers_jsonl(path)


DOCUMENTS = {
    "nested without end": DEEP,
    "a number of 5,000 digits": DIGITS,
    "half a character": '["\\ud800"]',
}


@pytest.mark.parametrize("attempt", DOCUMENTS)
@pytest.mark.parametrize("read", [json_document, json_objects, json_lines])
def test_a_document_is_refused_with(read: Callable[[Path], object], attempt: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(DOCUMENTS[attempt])
    with pytest.raises(VflanError, match=r"file\.json"):
        read(path)


def test_an_array_of_many_lines_is_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("[" + ",\n".join(['{"a": "' + "x" * 100 + '"}'] * 50_000) + "]")
    began = time.process_time()
    found = json_objects(path)
    assert str(found[-1].place).endswith(":50000")
    assert time.process_time() - began < 10


def book(path: Path, **parts: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, size in parts.items():
            file.writestr(name, b" " * size)


@pytest.mark.parametrize("kind", ["bomb", "cut", "text", "lies"])
def test_a_workbook_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "answers.xlsx"
    monkeypatch.setattr(sheets, "MAX_BOOK", 1_000_000)
    book(path, sheet=2_000_000 if kind == "bomb" else 100)
    data = path.read_bytes()
    if kind == "cut":
        path.write_bytes(data[: len(data) // 2])
    if kind == "text":
        path.write_bytes(b"index,answer\n")
    if kind == "lies":
        path.write_bytes(data.replace((100).to_bytes(4, "little"), (2**32 - 2).to_bytes(4, "little")))
    with pytest.raises(VflanError, match=r"answers\.xlsx: (the table unpacks|not an Excel table)"):
        table(path, ["index"])


@pytest.mark.parametrize(
    "text", ["1" * 100_000, "1." * 20_000, "111," * 20_000, "1e" * 20_000, "-" * 100_000]
)
def test_an_answer_of_digits_is_read_in_time(text: str) -> None:
    began = time.process_time()
    numbers_in(text)
    assert time.process_time() - began < 10


def test_numbers_are_found_as_by_the_official_pattern() -> None:
    text = "1e5 -3e2 5-3e2 1.5E-3 .5e7 12.e4 1e52e3 1.2.3e4 1e5.2e3 x9e+1y 007e07"
    found = ["1e5", "-3e2", "-3e2", "1.5E-3", "5e7", "1e52", "2.3e4", "1e5", "2e3", "9e+1", "007e07"]
    assert [one for one in numbers_in(text) if "e" in one.lower()] == found


@pytest.mark.parametrize(
    "reply", ["1e308 5", "11 3", "-1 5", "nan 5", "inf inf", "5", "5 5 5", "", "9" * 5_000 + " 1"]
)
def test_marks_beyond_the_scale_are_no_marks(reply: str) -> None:
    assert parse_marks(reply) is None


@pytest.mark.parametrize("reply", ["2", "-0.1", "nan", "inf", "1e400", "", "one"])
def test_a_grade_beyond_the_scale_is_no_grade(reply: str) -> None:
    assert parse_grade(reply) is None


# ---- judges


class Judge:
    """A server that answers every request with bytes, or by a function that writes them."""

    def __init__(self, answer: bytes | Callable[[Callable[[bytes], object]], None]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                length = 0
                while (line := self.rfile.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self.rfile.read(length)
                try:
                    self.wfile.write(answer) if isinstance(answer, bytes) else answer(self.wfile.write)
                except OSError:
                    return

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def reply(content: object, *headers: str, status: int = 200) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def message(content: object, **facts: object) -> object:
    return {"choices": [{"message": {"content": content}}], **facts}


def endless(write: Callable[[bytes], object]) -> None:
    write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        write(b" " * 65_536)


def dripping(write: Callable[[bytes], object]) -> None:
    write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(100):
        write(b" ")
        time.sleep(0.05)


REPLIES: dict[str, tuple[bytes | Callable[[Callable[[bytes], object]], None], str]] = {
    "without end": (endless, "sends more than"),
    "byte by byte": (dripping, "did not answer"),
    "nested without end": (reply(DEEP.encode()), "does not reply as"),
    "with a number of 5,000 digits": (reply(b'{"choices": ' + DIGITS.encode() + b"}"), "does not reply as"),
    "that is a page": (reply(b"<html>"), "does not reply as"),
    "that is a list": (reply([1]), "does not reply as"),
    "without a choice": (reply({"choices": []}), "does not reply as"),
    "that is not UTF-8": (reply(b'{"choices": "\xff\xfe"}'), "does not reply as"),
    "with an error nested without end": (reply(DEEP.encode(), status=400), "refuses: HTTP 400"),
    "with an error of megabytes": (reply({"error": "x" * 3_000_000}, status=400), "refuses: HTTP 400"),
    "that is a redirect": (reply(b"", "Location: http://169.254.169.254/", status=302), "refuses: HTTP 302"),
    "to wait a year for": (reply({}, "Retry-After: 31536000", status=429), "did not answer"),
    "to wait for 400 digits": (reply({}, f"Retry-After: {'9' * 400}", status=429), "did not answer"),
    "that is no HTTP": (b"220 smtp ready\r\n", "did not answer"),
}


@pytest.fixture
def judged() -> Iterator[Callable[..., tuple[ChatServer, list[float]]]]:
    servers: list[Judge] = []

    def ask(answer: bytes | Callable[[Callable[[bytes], object]], None]) -> tuple[ChatServer, list[float]]:
        servers.append(Judge(answer))
        waits: list[float] = []
        return ChatServer(servers[-1].url, "m", "sk-of-the-user", waits.append, attempts=2), waits

    yield ask
    for server in servers:
        server.stop()


@pytest.mark.parametrize("attempt", REPLIES)
def test_a_judge_is_refused_whose_reply_is_one(
    attempt: str, judged: Callable[..., tuple[ChatServer, list[float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_api, "TIMEOUT", 0.5)
    answer, saying = REPLIES[attempt]
    server, waits = judged(answer)
    with pytest.raises(JudgeError, match=saying) as caught:
        server.send(Prompt("x"))
    assert len(str(caught.value)) < 600 and "sk-of" not in str(caught.value)
    assert all(wait <= 3600 for wait in waits)


def test_what_a_judge_says_is_text_that_can_be_written(
    judged: Callable[..., tuple[ChatServer, list[float]]],
) -> None:
    server, _ = judged(reply(message("\ud800 5", model="\ud800" * 10_000)))
    said = server.send(Prompt("x"))
    assert said.text == "? 5" and len(said.version) == 200
    (said.text + said.version).encode()
    server, _ = judged(reply(message(["no", "text"])))
    assert server.send(Prompt("x")).text == ""


# ---- scores of others, and the files that say what is scored


def score(**facts: object) -> dict[str, object]:
    return {"benchmark": "mme", "value": 1.0, "percent": 1.0, "count": 1, "metric": "m", **facts}


@pytest.mark.parametrize(
    "content",
    [DEEP, DIGITS, "[]", '{"value": "x"}', '{"value": NaN, "percent": 1}', '{"value": 1, "percent": 1e999}',
     '{"value": ' + "9" * 400 + ', "percent": 1}', '{"value": true, "percent": 1}'],
)  # fmt: skip
def test_a_score_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "mme.json").write_text(content)
    with pytest.raises(VflanError, match=r"mme\.json"):
        read_scores(tmp_path)


def test_counts_of_a_run_that_are_none_are_no_counts(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "step-000001"
    folder.mkdir(parents=True)
    data = {"a": DIGITS, "b": "² of", "c": 7, "d": None}
    (folder / "identity.json").write_text(json.dumps({"data": data}))
    run = load_experiment("table3").rows[-1].run
    assert has_other_data(tmp_path, run) in (True, False)


FORMULAS = ["=cmd|'/c calc'!A1", "+1+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]


def test_the_csv_of_tables_starts_no_formula(tmp_path: Path) -> None:
    for number, name in enumerate(FORMULAS):
        folder = tmp_path / str(number)
        folder.mkdir()
        facts = score(judge={"model": name})
        (folder / "mme.json").write_text(json.dumps(facts))
    models = open_models([f"{name.replace('=', '')}={tmp_path / str(n)}" for n, name in enumerate(FORMULAS)])
    text = as_csv([build(load_experiment("table2"), models)])
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert {in_spreadsheet(name) for name in FORMULAS} <= set(cells), "each is there, as a text"
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_table_shows_the_names_of_models_as_text(tmp_path: Path) -> None:
    (tmp_path / "mme.json").write_text(json.dumps(score()))
    name = "x | y <script> [go](javascript:alert(1))"
    text = markdown(build(load_experiment("table2"), open_models([f"{name}={tmp_path}"])))
    row = next(line for line in text.splitlines() if "x " in line and "y " in line)
    assert "<script" not in row and "](javascript" not in row and "x \\| y" in row


@pytest.mark.parametrize("read", [load_suite, load_experiment, lambda path: read_judges(Path(path))])
@pytest.mark.parametrize(
    "content",
    ["a: &a [x]\nb: *a", "[" * 50_000, "!!python/object/apply:os.system ['true']", "a: " + DIGITS, "\x00"],
)
def test_files_of_an_evaluation_are_plain_data(
    read: Callable[[str], object], content: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(content)
    with pytest.raises(VflanError, match=r"file\.yaml") as caught:
        read(str(path))
    assert len(str(caught.value)) < 600


def test_a_model_s_name_is_no_option_of_lmms_eval(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="has a comma"):
        Generator("python").command("me/model,trust_remote_code=True", [], tmp_path)
