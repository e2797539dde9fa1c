from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.cli.main import vflan
from vision_flan.errors import MachineError, SpecError
from vision_flan.miniatures import registry
from vision_flan.miniatures.miniature import Miniature


def test_a_draw_depends_on_its_key_alone(tmp_path: Path) -> None:
    mini = Miniature(tmp_path, "a", 1, 0)
    first = mini.rng("train", 1).random()
    mini.rng("train", 2).random()
    assert mini.rng("train", 1).random() == first != mini.rng("train", 2).random()
    assert mini.np_rng("x").random() == mini.np_rng("x").random()
    assert Miniature(tmp_path, "b", 1, 0).rng("train", 1).random() != first
    assert Miniature(tmp_path, "c", 1, 1).rng("train", 1).random() != first


@settings(deadline=None)
@given(low=st.integers(-50, 50), span=st.integers(1, 60), seed=st.integers())
def test_numbers_are_a_permutation_of_their_range(low: int, span: int, seed: int) -> None:
    with TemporaryDirectory() as name:
        mini = Miniature(Path(name), "a", 1, seed)
        numbers = [mini.number(index, low, low + span - 1) for index in range(span)]
        assert sorted(numbers) == list(range(low, low + span))
        with pytest.raises(ValueError, match="numbers"):
            mini.number(span, low, low + span - 1)


def test_truth_says_exactly_one_thing_about_a_record(tmp_path: Path) -> None:
    with Miniature(tmp_path, "a", 1, 0) as mini:
        mini.truth("task", 5, target="é", words=3)
        with pytest.raises(ValueError, match="exactly one"):
            mini.truth("task", 6)
        with pytest.raises(ValueError, match="exactly one"):
            mini.truth("task", 6, target="a", dropped="b")
    record = json.loads((tmp_path / ".truth/task.jsonl").read_text("utf-8"))
    assert record == {"source_id": "5", "target": "é", "words": 3}


@pytest.mark.parametrize(("archives", "expected"), [(True, ["x.zip"]), (False, ["images/a.txt"])])
def test_a_pack_is_the_archive_or_its_content(archives: bool, expected: list[str], tmp_path: Path) -> None:
    with Miniature(tmp_path, "a", 1, 0, archives=archives) as mini, mini.pack("x.zip", into="images") as tree:
        tree.write_text("a.txt", "x")
    found = [str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert found == expected


def test_an_archive_is_an_archive_in_any_case(tmp_path: Path) -> None:
    with Miniature(tmp_path, "a", 1, 0) as mini, mini.archive("deep/x.tar") as tree:
        tree.write_text("a.txt", "x")
    assert (tmp_path / "a/deep/x.tar").is_file()


def test_real_data_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "textocr").mkdir()
    (tmp_path / "textocr" / "TextOCR_0.1_train.json").write_text("real")
    with pytest.raises(MachineError, match="no miniature made it"):
        registry.make("textocr", tmp_path, 3, 0)
    assert [path.name for path in (tmp_path / "textocr").iterdir()] == ["TextOCR_0.1_train.json"]
    (tmp_path / "mscoco").mkdir()
    (tmp_path / "mscoco" / "real.jpg").write_text("real")
    with pytest.raises(MachineError, match="mscoco"):
        registry.make("visdial", tmp_path, 3, 0)


def test_a_second_miniature_says_what_to_remove_first(tmp_path: Path) -> None:
    registry.make("mnist_m", tmp_path, 3, 0)
    with pytest.raises(MachineError, match='"n": 3') as error:
        registry.make("mnist_m", tmp_path, 4, 0)
    assert f"rm -r {tmp_path / 'mnist_m'}" in error.value.hint


def test_lenders_hold_images_of_several_borrowers_and_then_their_own(tmp_path: Path) -> None:
    for dataset in ("visdial", "vqav2", "mscoco"):
        registry.make(dataset, tmp_path, 5, 0)
    assert len(list((tmp_path / "mscoco/train2014").iterdir())) >= 5 + 4
    assert (tmp_path / "mscoco/annotations/captions_train2014.json").exists()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("nothing", "`vflan list`"), ("../textocr", "mean textocr"), ("", "list"), ("__init__", "list")],
)
def test_an_unknown_dataset_is_answered_with_the_nearest_ones(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(SpecError, match="no miniature") as error:
        registry.make(name, tmp_path, 3, 0)
    assert hint in error.value.hint
    assert not list(tmp_path.iterdir())


def test_the_command_says_where_the_tree_is_and_what_to_type_next(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    result = CliRunner().invoke(vflan, ["miniature", "textocr", "--out", str(out), "--n", "9", "--seed", "2"])
    assert result.exit_code == 0, result.output
    first, second, third = result.output.splitlines()
    assert str(out / "textocr") in first and "n = 9" in first and "seed = 2" in first
    assert "ocr_textocr" in second and (out / ".truth/ocr_textocr.jsonl").exists()
    assert third == f"next: vflan compile --task ocr_textocr --raw {out} --out vision-flan"


@pytest.mark.parametrize("options", [["--n", "0"], ["--n", "many"], []])
def test_the_command_refuses_wrong_arguments(options: list[str], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path)] if options else []
    assert CliRunner().invoke(vflan, ["miniature", "textocr", *out, *options]).exit_code == 2
