"""`vflan new --raw` on every format that it looks for: reader, columns, key, image, label, split."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.folders_of_files import photo
from vision_flan.instances.maker import Text
from vision_flan.propose.begin import Begun, Proposal, proposed, write
from vision_flan.review.validate import validate
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.roots import Root

KINDS = ("apple", "pear", "plum")


def images(folder: Path, count: int, ending: str = "jpg", form: str = "JPEG") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i:03}.{ending}").write_bytes(photo(i, form=form))


def class_folders_of_splits_in_a_tar(folder: Path) -> None:
    with tarfile.open(folder / "fruit.tar.gz", "w:gz") as tar:
        for i in range(24):
            name = f"Fruit/{('train', 'val')[i % 4 == 0]}/{KINDS[i % 3]}/{i}.png"
            data = photo(i, form="PNG")
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def tsv_with_an_image_column(folder: Path) -> None:
    images(folder / "pics", 12)
    rows = [f"{i:03}\t{KINDS[i % 3]}\t{i / 2}" for i in range(12)]
    (folder / "list.tsv").write_text("\n".join(["file\tkind\tweight", *rows]) + "\n")


def list_of_paths_and_numbers(folder: Path) -> None:
    images(folder / "pics", 12)
    (folder / "train.txt").write_text("".join(f"pics/{i:03}.jpg {i % 3}\n" for i in range(12)))


def voc(folder: Path) -> None:
    images(folder / "JPEGImages", 12)
    (folder / "Annotations").mkdir()
    for i in range(12):
        objects = "".join(
            f"<object><name>{KINDS[(i + k) % 3]}</name><bndbox><xmin>1</xmin><xmax>9</xmax></bndbox></object>"
            for k in range(i % 3 + 1)
        )
        text = (
            f"<annotation><filename>{i:03}.jpg</filename><size><width>48</width></size>{objects}</annotation>"
        )
        (folder / f"Annotations/{i:03}.xml").write_text(text)


def json_of_questions(folder: Path) -> None:
    images(folder / "img", 12)
    records = {
        f"q{i}": {"image": f"{i:03}.jpg", "question": "What color?", "answer": KINDS[i % 3]}
        for i in range(12)
    }
    (folder / "train.json").write_text(json.dumps(records))


def json_with_captions_by_image_id(folder: Path) -> None:
    images(folder / "img", 12)
    photos = [{"id": i, "file_name": f"{i:03}.jpg"} for i in range(12)]
    said = [
        {"id": 50 + i, "image_id": i % 12, "caption": f"A {KINDS[i % 3]} on table {i}."} for i in range(24)
    ]
    (folder / "captions.json").write_text(json.dumps({"images": photos, "annotations": said}))


def matlab(folder: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    images(folder / "img", 12)
    names = np.array([f"{i:03}.jpg" for i in range(12)], dtype=object)
    kinds = np.array([KINDS[i % 3] for i in range(12)], dtype=object)
    record = np.zeros((1, 12), dtype=[("fname", object), ("class", object)])
    record["fname"], record["class"] = names, kinds
    scipy_io.savemat(folder / "annos.mat", {"annotations": record})


def idx(folder: Path) -> None:
    for split, count in (("train", 30), ("t10k", 9)):
        pixels = np.random.default_rng(1).integers(0, 255, (count, 12, 12), dtype=np.uint8)
        head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
        labels = bytes(i % 3 for i in range(count))
        with gzip.open(folder / f"{split}-images-idx3-ubyte.gz", "wb") as out:
            out.write(head + pixels.tobytes())
        with gzip.open(folder / f"{split}-labels-idx1-ubyte.gz", "wb") as out:
            out.write(b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels)


def hugging_face(folder: Path) -> None:
    names = {"info": {"features": {"label": {"names": list(KINDS), "_type": "ClassLabel"}}}}
    (folder / "data").mkdir()
    for part in range(2):
        cells = [{"bytes": photo(f"{part}{i}", form="PNG"), "path": None} for i in range(9)]
        table = pa.table({"image": cells, "label": [i % 3 for i in range(9)]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
        pq.write_table(table, folder / f"data/train-0000{part}-of-00002.parquet")


def image_folder_with_metadata(folder: Path) -> None:
    for split in ("train", "test"):
        images(folder / split, 9)
        lines = [
            json.dumps({"file_name": f"{i:03}.jpg", "text": f"A {KINDS[i % 3]} in {split}."})
            for i in range(9)
        ]
        (folder / split / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def windows_csv(folder: Path) -> None:
    images(folder / "pics", 12)
    rows = [f'{i:03}.jpg,"{KINDS[i % 3]} \u2013 \u201cripe\u201d"' for i in range(12)]
    (folder / "list.csv").write_bytes("\r\n".join(["Image,Class", *rows]).encode("cp1252"))


#: Folder -> reader, form, records, a field of the proposal and a target.
CASES: list[tuple[Callable[[Path], None], str, str, int, str, str]] = [
    (class_folders_of_splits_in_a_tar, "files", "options", 18, "split = 'train'", "apple"),
    (tsv_with_an_image_column, "delimited", "options", 12, "pics/{{ file }}.jpg", "pear"),
    (list_of_paths_and_numbers, "lines", "options", 12, "path", "class 2"),
    (voc, "xml", "options", 4, "JPEGImages/{{ filename }}", "plum"),
    (json_of_questions, "json", "phrase", 12, "img/{{ image }}", "plum"),
    (json_with_captions_by_image_id, "json", "sentence", 24, "img/{{ image }}", r"A \w+ on table \d+\."),
    (matlab, "matlab", "options", 12, "img/{{ fname }}", "plum"),
    (idx, "idx", "options", 30, "split = 'train'", "class 2"),
    (hugging_face, "parquet", "options", 18, "image", "plum"),
    (
        image_folder_with_metadata,
        "json_lines",
        "sentence",
        9,
        "{{ split }}/{{ file_name }}",
        r"A \w+ in train\.",
    ),
    (windows_csv, "delimited", "options", 12, "cp1252", "plum – “ripe”"),
]


@pytest.mark.parametrize(("make", "reader", "form", "count", "held", "target"), CASES, ids=lambda case: getattr(case, "__name__", None))  # fmt: skip  # noqa: E501
def test_the_format_becomes_a_valid_task(
    make: Callable[[Path], None], reader: str, form: str, count: int, held: str, target: str, tmp_path: Path
) -> None:
    folder = tmp_path / "raw" / "fruit"
    folder.mkdir(parents=True)
    make(folder)
    proposal, begun = begin(tmp_path)
    assert any(table.reader == reader for table in proposal.source.used)
    assert (proposal.draft.form, begun.available) == (form, count)
    written = "".join(path.read_text("utf-8") for path in begun.files)
    assert held in written, written
    targets = {text.target for _, text in begun.shown if isinstance(text, Text)}
    assert len(begun.shown) == min(5, count) and targets
    assert re.search(target, written) or any(re.search(target, one) for one in targets), (targets, written)
    findings = validate(catalog(tmp_path), ["fruit_task"]).findings
    assert not findings, findings


def catalog(folder: Path) -> Catalog:
    return Catalog.of([Root.of(folder / "mine")])


def begin(folder: Path) -> tuple[Proposal, Begun]:
    with proposed(catalog(folder), "fruit", folder / "raw") as proposal:
        return proposal, write(catalog(folder), "fruit_task", "General Object", proposal)


def test_what_no_reader_reads_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "fruit"
    folder.mkdir(parents=True)
    tsv_with_an_image_column(folder)
    (folder / "broken.json").write_text('{"a": [1, 2')
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "deep.jsonl").write_text('{"a": ' + "[" * 100_000)
    (folder / "odd.parquet").write_bytes(b"PAR1 and then nothing")
    (folder / "odd.mat").write_bytes(b"MATLAB 5.0 MAT-file, and then nothing")
    (folder / "odd.xml").write_text("<a><b></a>")
    (folder / "weights.pkl").write_bytes(b"\x80\x04.")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4")
    (folder / "more.zip").write_bytes(b"no archive")
    proposal, _ = begin(tmp_path)
    said = dict(proposal.unmatched)
    assert said.keys() >= {"broken.json", "weights.pkl", "paper.pdf", "more.zip", "deep.json", "deep.jsonl"}
    assert said.keys() >= {"odd.parquet", "odd.mat", "odd.xml"}
    assert "not a valid pickle" in said["weights.pkl"] and "PDF" in said["paper.pdf"]
    assert "cut off" in said["broken.json"]


@pytest.mark.parametrize("odd", ["it's", 'a"b', "cc: d", "# e", "- f", "x\u2028y", "{g}", "*h", "&i", "é"])
def test_names_of_any_kind_stay_names(odd: str, tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "fruit"
    images(folder / odd, 12)
    records = [
        {"a": f"{i:03}.jpg", "b": f"{11 - i:03}.jpg", odd: KINDS[i % 3], "kind": odd + str(i % 2)}
        for i in range(12)
    ]
    (folder / "list.json").write_text(json.dumps(records))
    _, begun = begin(tmp_path)
    assert begun.available == 12 and all(isinstance(text, Text) for _, text in begun.shown)
    errors = [one for one in validate(catalog(tmp_path), ["fruit_task"]).findings if one.severity == "error"]
    assert not errors, errors
