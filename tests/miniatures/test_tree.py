from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision_flan.instances.images import check_image
from vision_flan.miniatures.tree import FolderTree, archive, encode

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
json_values = (
    scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=9), scalars, max_size=3)
)


def test_parts_of_a_json_document_grow_side_by_side_and_keep_their_order(tmp_path: Path) -> None:
    tree = FolderTree(tmp_path)
    with tree.json_document("a/b.json") as document:
        document.field("info", {"year": 2021})
        images, words = document.object("imgs"), document.array("anns")
        data = document.nest("data")
        inner = data.array("dialogs")
        for index in range(3):
            words({"id": index})
            images(str(index), {"é": index})
            inner(index)
        document.array("empty")
    loaded = json.loads((tmp_path / "a/b.json").read_text())
    assert list(loaded) == ["info", "imgs", "anns", "data", "empty"]
    assert loaded["imgs"] == {"0": {"é": 0}, "1": {"é": 1}, "2": {"é": 2}}
    assert loaded["anns"] == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert loaded["data"] == {"dialogs": [0, 1, 2]} and loaded["empty"] == []


@settings(deadline=None)
@given(st.lists(json_values, max_size=5), st.dictionaries(st.text(max_size=9), json_values, max_size=5))
def test_streamed_json_is_the_json_of_its_records(records: list[object], keyed: dict[str, object]) -> None:
    with TemporaryDirectory() as name:
        tree = FolderTree(Path(name))
        with tree.json_array("list.json") as add:
            for record in records:
                add(record)
        with tree.json_object("object.json") as put:
            for key, record in keyed.items():
                put(key, record)
        with tree.json_array("under.json", "annotations", {"info": 1}) as add:
            for record in records:
                add(record)
        with tree.json_object("keyed.json", "imgs", {"info": 1}) as put:
            for key, record in keyed.items():
                put(key, record)
        read = {path.name: json.loads(path.read_text()) for path in Path(name).iterdir()}
    assert read["list.json"] == records and read["object.json"] == keyed
    assert read["under.json"] == {"info": 1, "annotations": records}
    assert read["keyed.json"] == {"info": 1, "imgs": keyed}


_STREAM = """
import sys
from pathlib import Path
from tests.benchmarks.memory import own_peak
from vision_flan.miniatures.tree import FolderTree

before = own_peak()
tree = FolderTree(Path(sys.argv[1]))
with tree.json_document("x.json") as document, tree.json_lines("x.jsonl") as line:
    array, keyed = document.array("annotations"), document.object("imgs")
    for index in range(200_000):
        record = {"id": index, "caption": "a caption of some length"}
        array(record)
        keyed(str(index), record)
        line(record)
print(own_peak() - before)
"""


def test_memory_stays_small_over_200_000_records(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _STREAM, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (tmp_path / "x.json").stat().st_size > 20_000_000
    assert int(result.stdout) < 12_000_000


def test_csv_quotes_where_needed_and_takes_a_delimiter(tmp_path: Path) -> None:
    tree = FolderTree(tmp_path)
    rows = [["1", 'he said "no", twice'], ["2", "line\nbreak"]]
    with tree.csv("x.tsv", ["id", "text"], delimiter="\t", end="\r\n") as add:
        for row in rows:
            add(row)
    with (tmp_path / "x.tsv").open(newline="") as file:
        assert list(csv.reader(file, delimiter="\t")) == [["id", "text"], *rows]
    assert (tmp_path / "x.tsv").read_bytes().startswith(b"id\ttext\r\n")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_archives_hold_their_members_and_have_the_same_bytes_each_time(name: str, tmp_path: Path) -> None:
    made = []
    for turn in ("1", "2"):
        (tmp_path / turn).mkdir()
        with archive(tmp_path / turn / name) as tree:
            with tree.json_lines("x/list.jsonl") as add:
                for index in range(3):
                    add(index)
                    tree.image(
                        f"x/{index}.png", np.full((4, 4, 3), index, np.uint8)
                    )  # while the list is open
            tree.write_text("readme", "é")
        made.append((tmp_path / turn / name).read_bytes())
    assert made[0] == made[1]
    names = ["x/0.png", "x/1.png", "x/2.png", "x/list.jsonl", "readme"]
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(made[0])) as zipped:
            assert zipped.namelist() == names and zipped.read("x/list.jsonl") == b"0\n1\n2\n"
    else:
        with tarfile.open(fileobj=io.BytesIO(made[0])) as tar:
            assert tar.getnames() == names
    if name.endswith("gz"):
        assert gzip.decompress(made[0])


@pytest.mark.parametrize("rel", ["../x.txt", "/etc/x", "a/../../x"])
def test_nothing_is_written_outside_the_folder(rel: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out"):
        FolderTree(tmp_path / "dataset").write_text(rel, "x")


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".jpg", "JPEG"), (".JPEG", "JPEG"), (".PNG", "PNG"), (".gif", "GIF"), (".tif", "TIFF")],
)
def test_the_suffix_in_any_case_is_the_format(suffix: str, kind: str) -> None:
    data = encode(Image.new("RGBA", (8, 6), (10, 20, 30, 40)), suffix)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == (kind, (8, 6))


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(7, 1), (1, 5), (31, 17)])
def test_a_png_has_the_pixels_that_were_drawn(mode: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    drawn = Image.fromarray(noise).convert("L" if mode == "I;16" else mode).convert(mode)
    back = Image.open(io.BytesIO(encode(drawn, ".png")))
    back.load()
    assert (back.mode, back.size) == (mode, size)
    assert back.convert("RGBA").tobytes() == drawn.convert("RGBA").tobytes()
    assert check_image(encode(drawn, ".png"), full=True)[1:] == size


def test_without_images_none_is_drawn(tmp_path: Path) -> None:
    tree = FolderTree(tmp_path, images=False)
    tree.image("a.png", lambda: pytest.fail("drawn"))
    tree.write_text("a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
