"""`vflan train report RUN`: curves and a page of a run's log."""

import json
from pathlib import Path

import pytest
from PIL import Image

from vision_flan.cli.main import run as vflan_run
from vision_flan.cli.main import vflan

pytest.importorskip("matplotlib")


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    run = tmp_path / "my_run"
    run.mkdir()
    lines = []
    for step in range(1, 31):
        line: dict[str, object] = {"step": step, "loss": 3 / step, "lr": 1e-3, "grad_norm": 1.0, "mfu": None}
        if step % 10 == 0:
            line["held_out_loss"] = 4 / step
            line["category_loss"] = {"Scene & <b>": 1 / step, "Text": 2 / step}
        lines.append(json.dumps(line))
    (run / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 31, "lo']))
    (run / "config.yaml").write_text("name: my_run\ntrain:\n  lr: 0.001\n")
    (run / "samples.after.jsonl").write_text('{"id": "a", "prompt": "<i>?", "target": "5", "answer": "6"}\n')
    return run


def test_the_curves_and_the_page_are_written(logged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vflan_run(vflan, ["train", "report", str(logged)]) == 0
    assert str(logged / "report" / "index.html") in capsys.readouterr().out
    width, height = Image.open(logged / "report" / "curves.png").size
    assert width > 500 and height > 1000, "loss, learning rate, norm and categories: a plot each"
    svg = (logged / "report" / "curves.svg").read_text()
    assert svg.startswith("<?xml") and "held_out_loss" in svg.replace("&#95;", "_")
    page = (logged / "report" / "index.html").read_text()
    assert (
        "the last of step 30" in page and "lr: 0.001" in page and "&lt;i&gt;?" in page and "<i>" not in page
    )


def test_the_series_are_what_was_logged(logged: Path) -> None:
    from vision_flan.train.curves import categories_of, read_log, series

    lines = read_log(logged / "metrics.jsonl")
    assert series(lines, "held_out_loss") == ([10, 20, 30], [4 / 10, 4 / 20, 4 / 30])
    assert categories_of(lines, "category_loss") == ["Scene & <b>", "Text"]
    assert series(lines, "category_loss/Text") == ([10, 20, 30], [2 / 10, 2 / 20, 2 / 30])
    assert series(lines, "mfu") == ([], [])


def test_a_folder_without_a_log_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vflan_run(vflan, ["train", "report", str(tmp_path)]) == 1
    assert "no log of a run" in capsys.readouterr().err
    assert vflan_run(vflan, ["train", "report"]) == 2
    (tmp_path / "metrics.jsonl").write_text("{}\n{}\n")
    assert vflan_run(vflan, ["train", "report", str(tmp_path)]) == 1
    assert "metrics.jsonl:1: a line without a step" in capsys.readouterr().err
