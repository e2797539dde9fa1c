"""Our own answers.jsonl, and what every format has in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_flan.errors import VflanError
from vision_flan.evaluate.registry import BENCHMARKS, score
from vision_flan.evaluate.request import Request

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "answers.jsonl: the file has no records"),
        ("nonsense\n", "answers.jsonl:1: not a JSON object: 'nonsense'"),
        ('{"id": 1, "prediction": "x", "target": "y"}\n[1]\n', "answers.jsonl:2: '[1]' is not an object"),
        (
            '{"id": 1, "prediction": "x", "target": "y"}\n\n{"id": 2}\n',
            "answers.jsonl:3: no field 'prediction'",
        ),
        ('{"id": 1, "prediction": 2.5, "target": "y"}\n', "answers.jsonl:1: prediction is 2.5, not text"),
        ('{"id": 1, "prediction": "x", "target": {}}\n', "answers.jsonl:1: target has {}, not text"),
        (
            '{"id": 1, "prediction": "x", "target": "y"}\n{"id": 1, "prediction": "x", "target": "y"}\n',
            "answers.jsonl:2: second answer to question '1'",
        ),
        (
            '{"id": 1, "benchmark": "pope", "prediction": "x"}\n',
            "answers.jsonl:1: an answer to 'pope', not 'textocr'",
        ),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(
    text: str, message: str, tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(text)
    assert message in refused("textocr", path)


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1, "prediction": "x", "target": "x"}\r\n\r\n')
    assert score("textocr", Request(path)).value == 1


def test_a_truth_that_would_not_be_looked_at_is_refused(
    jsonl: Callable[..., Path], fixtures: Path, refused: Refused
) -> None:
    path = jsonl({"id": 1, "prediction": "x", "target": ["x"]})
    for name in sorted(set(BENCHMARKS) - {"mme"}):
        assert "these answers hold their truths" in refused(name, path, "--truth", path)
    assert "hold their truths" in refused("mmmu", fixtures / "mmmu", "--truth", path)


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_a_path_that_is_not_there_is_refused(name: str, tmp_path: Path, refused: Refused) -> None:
    assert "no such file or folder" in refused(name, tmp_path / "nothing")


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
@given(
    data=st.one_of(st.binary(max_size=60), st.text(alphabet='{}[]":,1ae\n\t ', max_size=60).map(str.encode))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_any_bytes_are_scored_or_refused(name: str, tmp_path: Path, data: bytes) -> None:
    for ending in ("jsonl", "json", "csv", "tsv"):
        path = tmp_path / f"mine.{ending}"
        path.write_bytes(data)
        with pytest.raises(VflanError):
            score(name, Request(path, partial=True))
            raise VflanError("scored")
