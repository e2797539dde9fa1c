"""A miniature cut from real files: the same formats with a few records, drawn images, and what to expect."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.folders_of_files import photo
from vision_flan.build.open_task import open_task
from vision_flan.errors import SpecError
from vision_flan.miniatures import registry
from vision_flan.miniatures.cut import cut, expect
from vision_flan.miniatures.cut_arrays import Cut
from vision_flan.miniatures.cut_folder import Expected, copy_into, write_expected
from vision_flan.miniatures.cut_formats import cut_file
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.scrub import Scrubber
from vision_flan.miniatures.stand_ins import facts_of, stand_in
from vision_flan.miniatures.truth import read_truth
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.roots import Root


def kept(*positions: int, scrub: Scrubber | None = None, **options: object) -> list[Cut]:
    return [Cut(frozenset(positions), options, {}, scrub)]


# --- formats


def test_delimited_text_keeps_its_bytes() -> None:
    data = 'Größe;Name\r\n1;"a;b"\r\n\r\n2;"über\r\nzwei"\r\n3;c\r\n'.encode("cp1252")
    made = cut_file("delimited", "x.csv", data, kept(1, encoding="cp1252", delimiter=";"))
    assert made == 'Größe;Name\r\n2;"über\r\nzwei"\r\n'.encode("cp1252")


@given(
    st.lists(st.lists(st.text(alphabet='ab",; \n\r', max_size=5), min_size=2, max_size=2), max_size=8),
    st.data(),
)
def test_any_csv_keeps_the_records_that_stay(rows: list[list[str]], draw: st.DataObject) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["x", "y"], *rows])
    stay = draw.draw(st.sets(st.integers(0, max(len(rows) - 1, 0))))
    made = cut_file("delimited", "x.csv", out.getvalue().encode(), kept(*stay))
    found = list(csv.reader(io.StringIO(made.decode(), newline="")))
    assert found == [["x", "y"], *(row for at, row in enumerate(rows) if at in stay)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_json_lines_and_lists_keep_lines_as_they_are(mark: bytes) -> None:
    data = mark + '{"a": "ü"}\n\n{"a":2}\r\n{"a": 3}'.encode()
    assert cut_file("json_lines", "x.jsonl", data, kept(0, 1)) == mark + '{"a": "ü"}\n{"a":2}\r\n'.encode()
    packed = cut_file("json_lines", "x.jsonl.gz", gzip.compress(data), kept(2))
    assert gzip.decompress(packed) == mark + b'{"a": 3}'
    text = mark + b"# a comment\n\na.jpg 1\nb.jpg 2\n"
    options = {"line": "{path} {label:d}", "comment": "#"}
    made = cut_file("lines", "x.txt", text, kept(1, **options))
    assert made == mark + b"# a comment\n\nb.jpg 2\n"


def test_json_keeps_its_layout_and_little_of_what_no_table_reads() -> None:
    document = {
        "info": {"n": 1},
        "log": list(range(100)),
        "a": [{"i": i} for i in range(5)],
        "b": {"x": 1, "y": 2},
    }
    data = json.dumps(document, indent=2).encode()
    cuts = [*kept(1, 3, at="a"), *kept(1, at="b")]
    made = cut_file("json", "x.json", data, cuts)
    wanted = {"info": {"n": 1}, "log": [0, 1], "a": [{"i": 1}, {"i": 3}], "b": {"y": 2}}
    assert made == json.dumps(wanted, indent=2).encode()
    compact = json.dumps(document, separators=(",", ":")).encode()
    assert cut_file("json", "x.json", compact, cuts) == json.dumps(wanted, separators=(",", ":")).encode()


def test_xml_and_parquet_keep_the_records_that_stay() -> None:
    xml = b"<all><item><name>a</name></item><item><name>b</name></item><other/></all>"
    assert b"<name>b</name>" in (made := cut_file("xml", "x.xml", xml, kept(1, rows="item")))
    assert b"<name>a</name>" not in made and b"<other" in made
    images = [{"bytes": photo(i, form="PNG"), "path": None} for i in range(3)]
    out = io.BytesIO()
    pq.write_table(pa.table({"image": images, "label": [5, 6, 7]}).replace_schema_metadata({"k": "v"}), out)
    made = cut_file("parquet", "x.parquet", out.getvalue(), kept(0, 2, image_column="image"))
    table = pq.read_table(io.BytesIO(made))
    assert table["label"].to_pylist() == [5, 7] and table.schema.metadata[b"k"] == b"v"
    drawn = table["image"].to_pylist()[0]["bytes"]
    assert drawn != images[0]["bytes"] and facts_of(drawn) == "PNG RGB 48x36"


def test_idx_images_are_drawn_and_labels_stay() -> None:
    labels = b"\0\0\x08\x01" + (4).to_bytes(4, "big") + bytes([7, 8, 9, 6])
    assert cut_file("idx", "l-ubyte", labels, kept(1, 3)) == b"\0\0\x08\x01" + (2).to_bytes(4, "big") + bytes(
        [8, 6]
    )
    head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (4, 8, 8))
    made = cut_file("idx", "i-ubyte", head + bytes(4 * 64), kept(1, 3))
    assert len(made) == 16 + 2 * 64 and any(made[16:])


def test_formats_that_cannot_be_cut_say_so() -> None:
    with pytest.raises(SpecError, match="cannot be cut"):
        cut_file("sqlite", "data.db", b"", kept(0))


# --- images and texts


@pytest.mark.parametrize(
    ("form", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"),
     ("PNG", "I;16"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"), ("WEBP", "RGB")],
)  # fmt: skip
def test_a_drawn_image_has_format_mode_and_size_of_the_real_one(form: str, mode: str) -> None:
    out = io.BytesIO()
    Image.new("I;16" if mode == "I;16" else "RGB", (37, 21)).convert(mode).save(out, form)
    drawn = stand_in(out.getvalue(), "a")
    assert facts_of(drawn) == facts_of(out.getvalue()) and drawn != out.getvalue()
    assert drawn == stand_in(out.getvalue(), "a") != stand_in(out.getvalue(), "b")


def test_damage_and_orientation_stay() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "JPEG", exif=exif)
    with Image.open(io.BytesIO(stand_in(out.getvalue(), "a"))) as image:
        assert image.getexif()[0x0112] == 6
    with pytest.raises(OSError), Image.open(io.BytesIO(stand_in(photo(1)[:-200], "a"))) as image:
        image.load()
    assert stand_in(b"", "a") == b"" and b"not an image" in stand_in(b"<html>", "a")


@given(st.text(max_size=40))
def test_scrubbed_text_keeps_its_shape(text: str) -> None:
    made = Scrubber(frozenset()).text(text)
    assert len(made) == len(text)
    assert [char for char in made if not char.isalpha()] == [char for char in text if not char.isalpha()]


def test_scrubbing_leaves_labels_paths_and_marks() -> None:
    scrub = Scrubber(frozenset({"garden snail"}))
    assert scrub.text("garden snail") == "garden snail"
    assert scrub.text("img/my holiday.jpg") == "img/my holiday.jpg"
    assert scrub.text("Anna", "photographer") != "Anna" == scrub.text("Anna", "label")
    said = scrub.value({"value": "<image>\nWhere did Anna go with Anna?"})
    assert isinstance(said, dict)
    words = str(said["value"]).split()
    assert words[0] == "<image>" and "Anna" not in words and words[3] == words[6].rstrip("?")


# --- whole datasets


def joined(folder: Path) -> Catalog:
    """A dataset of two tables that SQL joins and groups, with raw files."""
    spec = folder / "mine/task_specs/zoo"
    spec.mkdir(parents=True)
    (folder / "mine/instructions").mkdir()
    (folder / "mine/instructions/count_zoo.j2").write_text("How many? Answer with a number in digits.\n")
    (spec / "dataset.yaml").write_text(
        "dataset: zoo\ntitle: Zoo\nhomepage: https://example.org/zoo\n"
        "license:\n  images: {name: CC0, spdx: CC0-1.0, verdict: unclear}\n"
        "  annotations: {name: CC0, spdx: CC0-1.0, verdict: unclear}\n"
        "citation: '@misc{zoo2020, title = {Zoo}, year = {2020}}'\naccess: direct\n"
        "files: [{path: zoo.json, url: 'https://example.org/zoo.json'}]\n"
        "tables:\n"
        "  cages: {reader: json, file: zoo.json, at: cages, columns: {id: BIGINT, photo: VARCHAR}}\n"
        "  animals: {reader: json_lines, file: animals.jsonl, columns: {cage: BIGINT, kind: VARCHAR}}\n"
    )
    (spec / "count_zoo.yaml").write_text(
        "id: count_zoo\ntitle: Animals\ncategory: General Object\ndataset: zoo\n"
        "sql: |\n  SELECT photo, count(*) AS animals\n"
        "  FROM cages JOIN animals ON cage = id WHERE kind <> 'keeper' GROUP BY photo\n"
        "key: photo\nimage: photos/{{ photo }}\ntarget: animals\nform: number\n"
    )
    raw = folder / "raw/zoo"
    (raw / "photos").mkdir(parents=True)
    for i in range(60):
        (raw / f"photos/{i}.jpg").write_bytes(photo(i))
    cages = [{"id": i, "photo": f"{i}.jpg"} for i in range(60)]
    (raw / "zoo.json").write_text(json.dumps({"cages": cages, "visitors": list(range(1000))}))
    with (raw / "animals.jsonl").open("w") as out:
        for i in range(600):
            out.write(json.dumps({"cage": i % 60, "kind": ("lion", "ape", "keeper")[i % 7 % 3]}) + "\n")
    return Catalog.of([Root.of_package(), Root.of(folder / "mine")])


def test_records_that_sql_joins_keep_all_rows_they_come_from_and_few_others(tmp_path: Path) -> None:
    catalog = joined(tmp_path)
    made = cut(catalog, "zoo", tmp_path / "raw", 4)
    with open_task("count_zoo", tmp_path / "raw", catalog) as opened:
        real = {row["photo"]: row["animals"] for row in opened.rows(100)}
    assert len(made.expected) >= 4
    assert {line.source_id: int(line.target) for line in made.expected}.items() <= real.items()
    lines = (made.folder / "raw/animals.jsonl").read_text().splitlines()
    assert len(lines) == sum(int(line.target) for line in made.expected)
    document = json.loads((made.folder / "raw/zoo.json").read_text())
    assert len(document["cages"]) == len(made.expected) and document["visitors"] == [0, 1]


def test_expectations_follow_a_change_of_the_task(tmp_path: Path) -> None:
    catalog = joined(tmp_path)
    cut(catalog, "zoo", tmp_path / "raw", 4)
    (tmp_path / "mine/instructions/count_zoo.j2").write_text("Count them. Answer with a number in digits.\n")
    path, changed = expect(catalog, "zoo")
    assert len(changed) == len(path.read_text().splitlines()) and "Count them." in changed[0]
    assert expect(catalog, "zoo")[1] == []


def test_a_cut_miniature_is_found_where_a_generator_would_be(tmp_path: Path) -> None:
    catalog = joined(tmp_path)
    with pytest.raises(SpecError, match="no miniature of a dataset 'zoo'"):
        registry.find("zoo", catalog)
    made = cut(catalog, "zoo", tmp_path / "raw", 4)
    assert "zoo" in registry.available(catalog)
    mini = registry.make("zoo", tmp_path / "small", 100, 3, catalog=catalog)
    truth = (tmp_path / "small/.truth/count_zoo.jsonl").read_text().splitlines()
    assert mini.tasks == ["count_zoo"] and len(truth) == len(made.expected)
    with pytest.raises(SpecError, match="there is a cut miniature already"):
        cut(catalog, "zoo", tmp_path / "raw", 4)


def test_all_turns_of_a_conversation_are_what_a_cut_record_must_become(tmp_path: Path) -> None:
    lines = [
        Expected(
            "talk", "1", "PNG RGB 8x8", "Who?", "A dog.", turns=(("Who?", "A dog."), ("Where?", "Here."))
        ),
        Expected("talk", "2", "PNG RGB 8x8", "Who?", "A cat."),
        Expected("talk", "3", dropped="empty_target"),
    ]
    (tmp_path / "cut/raw").mkdir(parents=True)
    write_expected(tmp_path / "cut", lines)
    with Miniature(tmp_path / "out", "zoo", n=3, seed=0) as mini:
        copy_into(tmp_path / "cut", mini)
    first, second, third = read_truth(tmp_path / "out", "talk").values()
    assert first["turns"] == [["Who?", "A dog."], ["Where?", "Here."]] and first["prompt"] == "Who?"
    assert second["target"] == "A cat." and third["dropped"] == "empty_target"


@pytest.mark.parametrize("dataset", ["funsd", "memotion", "gqa"])
def test_shipped_datasets_can_be_cut_from_their_archives(dataset: str, tmp_path: Path) -> None:
    registry.make(dataset, tmp_path / "raw", 30, 1, archives=True)
    catalog = Catalog.of([Root.of_package(), Root.of(tmp_path / "mine")])
    made = cut(catalog, dataset, tmp_path / "raw", 4)
    assert len([line for line in made.expected if not line.dropped]) >= 4
    real = {path.name for path in (tmp_path / "raw" / dataset).rglob("*") if path.is_file()}
    there = {path.name for path in (made.folder / "raw").rglob("*") if path.is_file()}
    assert there and there <= real
