"""`vflan compile` and `vflan verify` as a user and as a script meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.console import on_specs, on_terminal
from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.spec.catalog import Catalog

Vflan = Callable[..., int]


@pytest.fixture
def cli(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Vflan:
    """Runs a command on the toy's specs, in the toy's folder."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    monkeypatch.chdir(toy.root)
    return lambda *arguments: run(vflan, list(arguments))


def test_a_compile_says_what_it_wrote_and_what_to_type_next(
    cli: Vflan, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy.raw / "toy/images/0003.png").unlink()
    assert cli("compile", "--task", "toy_color") == 0
    printed = capsys.readouterr()
    assert "toy_color: 11 instances of 12 records, 1 shard" in printed.out
    assert "dropped 1: missing_image" in printed.out
    assert "load_dataset('vision-flan', 'toy_color', split='train')" in printed.out
    assert "writing toy_color: 12 ..." in printed.err


def test_raw_comes_from_the_environment_too(
    cli: Vflan, toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toy.raw.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("VFLAN_RAW", str(tmp_path / "elsewhere"))
    assert cli("compile", "--task", "toy_color") == 0


def test_json_is_one_document_on_standard_output(cli: Vflan, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("compile", "--task", "toy_color", "--limit", "5", "--json") == 0
    printed = capsys.readouterr()
    (result,) = json.loads(printed.out)
    assert result["counts"]["written"] == 5 and result["built"] is True
    assert result["shards"][0]["path"] == "toy_color/train-00000-of-00001.parquet"
    assert printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["compile"], 2, "--task"),
        (["compile", "--task", "toy_colour"], 1, "did you mean toy_color"),
        (["compile", "--task", "toy_color", "--raw", "nowhere"], 3, "nowhere"),
        (["compile", "--task", "toy_color", "--suite", "none"], 1, "there is no suite 'none'"),
        (["compile", "--task", "toy_color", "--jobs", "0"], 2, "jobs"),
        (["verify", "nowhere"], 2, "does not exist"),
        (["verify", "raw"], 1, ""),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_what_goes_wrong_has_an_exit_code_and_no_traceback(
    cli: Vflan, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert cli(*arguments) == code
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err


def test_a_spec_that_names_an_unknown_dataset_is_named_with_its_line(
    cli: Vflan, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.replace("dataset: toy", "dataset: tyo")
    assert cli("compile", "--task", "toy_color") == 1
    assert (
        "toy_color.yaml:4:1: there is no dataset 'tyo'\n  next: did you mean toy?" in capsys.readouterr().err
    )


def test_with_keep_going_the_other_tasks_are_compiled(
    cli: Vflan, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("compile", "--task", "missing", "--task", "toy_color", "--keep-going") == 1
    assert "there is no task 'missing'" in capsys.readouterr().err
    assert (toy.out / "manifest/toy_color.json").exists()


def test_verify_names_what_is_wrong_and_says_it_in_json(
    cli: Vflan, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("compile", "--task", "toy_color")
    assert cli("verify", "vision-flan") == 0
    (toy.out / "toy_color/train-00000-of-00001.parquet").write_bytes(b"PAR1")
    capsys.readouterr()
    assert cli("verify", "vision-flan", "--json") == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["task"] == "toy_color" and "bytes, the manifest says" in problem["message"]


def test_on_a_terminal_there_is_a_bar_with_rate_and_time_left(toy: Toy) -> None:
    arguments = ["compile", "--task", "toy_color", "--raw", str(toy.raw), "--out", str(toy.out)]
    code, text = on_terminal(*arguments, columns=120, command=on_specs(toy.root))
    assert code == 0, text
    assert "writing toy_color" in text and "/s" in text
    assert "12 instances of 12 records" in text
