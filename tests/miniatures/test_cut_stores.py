"""Stores of many records, cut to a few: pickles, npz, LMDB and MATLAB files, in the form they came in."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.folders_of_files import photo
from tests.raw_folder import RawFolder
from vision_flan.errors import BadRawError
from vision_flan.miniatures import registry
from vision_flan.miniatures.cut import cut
from vision_flan.miniatures.cut_arrays import Cut
from vision_flan.miniatures.cut_formats import cut_file
from vision_flan.miniatures.cut_stores import cut_lmdb
from vision_flan.miniatures.formats import cell, lmdb, mat5, mat73, python2_pickle, struct_array
from vision_flan.miniatures.scrub import Scrubber
from vision_flan.miniatures.stand_ins import facts_of
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.pickled import restricted_loads
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.roots import Root

CIFAR = {"key": "data", "shape": [3, 4, 8], "order": "CHW"}


def kept(*rows: int, columns: tuple[str, ...] = (), shown: tuple[str, ...] = (), **options: Any) -> Cut:
    return Cut(frozenset(rows), options, dict.fromkeys(columns, "BIGINT"), None, frozenset(shown))


# --- pickle


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_keeps_its_protocol_and_the_records_that_stay(protocol: int) -> None:
    pixels = np.arange(5 * 96, dtype=np.uint8).reshape(5, 96)
    document = {"data": pixels, "labels": [0, 1, 2, 3, 4], "batch": "1 of 5", "log": list(range(100))}
    made = cut_file(
        "pickle", "b", pickle.dumps(document, protocol), [kept(1, 3, columns=("labels",), images=CIFAR)]
    )
    found = pickle.loads(made)
    assert made[:2] == pickle.dumps(document, protocol)[:2]
    assert (found["labels"], found["batch"], found["log"]) == ([1, 3], "1 of 5", [0, 1])
    assert found["data"].shape == (2, 96) and found["data"].dtype == np.uint8
    assert not (found["data"] == pixels[[1, 3]]).all(), "real pixels"


def test_a_pickle_of_python_2_stays_one() -> None:
    document = {b"labels": [5, 6, 7], b"filenames": [b"a_s_1.png", b"b_s_2.png", b"c_s_3.png"]}
    made = cut_file("pickle", "b", python2_pickle(document), [kept(0, 2, columns=("labels",))])
    assert made == python2_pickle({b"labels": [5, 7], b"filenames": [b"a_s_1.png", b"c_s_3.png"]})


def test_a_pickle_of_records_or_keys_keeps_those_that_stay() -> None:
    items = [{"image": f"{i}.jpg", "text": "A dog runs"} for i in range(4)]
    made = cut_file("pickle", "x.pkl", pickle.dumps(items), [kept(2)])
    assert pickle.loads(made) == [items[2]]
    scrub = Cut(frozenset({2}), {}, {}, Scrubber(frozenset()))
    scrubbed = pickle.loads(cut_file("pickle", "x.pkl", pickle.dumps(items), [scrub]))
    assert scrubbed[0]["image"] == "2.jpg" and scrubbed[0]["text"] != "A dog runs"
    by_key = {"a": 1, "b": 2, "c": 3}
    made = cut_file("pickle", "x.pkl", pickle.dumps(by_key), [kept(0, 1, columns=("_key", "_value"))])
    assert pickle.loads(made) == {"a": 1, "b": 2}


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, ("1",))


def test_code_in_a_pickle_is_refused_here_too() -> None:
    with pytest.raises(BadRawError, match="names builtins.eval"):
        cut_file("pickle", "x.pkl", pickle.dumps([Harm()]), [kept(0)])


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), st.data())
def test_any_column_of_a_pickle_is_cut_alike_for_both_pythons(
    numbers: list[int], draw: st.DataObject
) -> None:
    stay = draw.draw(st.sets(st.sampled_from(range(len(numbers))) if numbers else st.nothing()))
    wanted = [number for at, number in enumerate(numbers) if at in stay]
    for data in (python2_pickle({b"n": numbers}), pickle.dumps({b"n": numbers}, 2)):
        assert restricted_loads(cut_file("pickle", "x", data, [kept(*stay, columns=("n",))]), "x") == {
            b"n": wanted
        }


# --- npz


def test_an_npz_of_all_records_keeps_the_places_of_the_images_that_are_shown() -> None:
    train = np.arange(100 * 28 * 28, dtype=np.uint8).reshape(100, 28, 28)
    out = io.BytesIO()
    np.savez_compressed(out, x_train=train, y_train=np.arange(100), x_test=train[:70], y_test=np.arange(70))
    cuts = [kept(0, columns=("y_train",), shown=("7", "40"), images={"array": "x_train"})]
    made = cut_file("npz", "mnist.npz", out.getvalue(), cuts)
    with np.load(io.BytesIO(made)) as found:
        assert found["y_train"].tolist() == [7, 40]
        assert found["x_train"].shape == (2, 28, 28) and found["x_test"].shape == (2, 28, 28)
        assert not (found["x_train"] == train[[7, 40]]).all() and found["x_train"].any()
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}


@pytest.mark.parametrize("kind", ["uint8", "int64"])
def test_an_npz_of_one_record_keeps_all_its_images_drawn(kind: str) -> None:
    panels = np.full((16, 20, 20), 255, dtype=kind)
    out = io.BytesIO()
    np.savez(out, image=panels, target=np.int64(3), structure=np.array([b"/", "x"], dtype=object))
    made = cut_file("npz", "RAVEN_0_train.npz", out.getvalue(), [
        kept(0, columns=("target",), shown=("0", "15"), images={"array": "image"})])  # fmt: skip
    with np.load(io.BytesIO(made), allow_pickle=True) as found:
        assert found["image"].shape == (16, 20, 20) and found["image"].dtype == kind
        assert found["target"] == 3 and found["structure"].tolist() == [b"/", "x"]
        assert not (found["image"] == panels).all()


# --- LMDB


def test_an_lmdb_keeps_records_by_place_and_by_key_with_drawn_images(tmp_path: Path) -> None:
    source = RawFolder(tmp_path / "raw")
    (source.root / "bedroom_train_lmdb").mkdir(parents=True)
    records = [(f"{i:040x}".encode(), photo(i, form="WEBP")) for i in range(9)]
    lmdb(source.root / "bedroom_train_lmdb", records)
    made = RawFolder(tmp_path / "made")
    stays = kept(2, shown=(f"{5:040x}",))
    made.write("bedroom_train_lmdb/data.mdb", cut_lmdb(source.root / "bedroom_train_lmdb", stays))
    rows = made.rows("lmdb", "{class}_train_lmdb/data.mdb")
    assert [row["_key"] for row in rows] == [f"{2:040x}", f"{5:040x}"]
    reader = made.reader("lmdb", "{class}_train_lmdb/data.mdb")
    drawn = ImageStore(made.raw, {"t": reader}).read(rows[0]["image"])
    assert facts_of(drawn) == "WEBP RGB 48x36" and drawn != records[2][1]


# --- MATLAB


def annotations(count: int) -> list[dict[str, Any]]:
    return [{"fname": f"{i:03}.jpg", "class": np.uint8(i), "box": np.arange(4.0)} for i in range(count)]


#: Variables of a file, options of the table and its columns.
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "struct array": (
        {"annotations": struct_array(annotations(6)), "made": "2013"},
        {"variable": "annotations"},
        {"fname": "VARCHAR", "class": "BIGINT", "box": "DOUBLE[]"},
    ),
    "cells": ({"names": cell([f"{i:03}.jpg" for i in range(6)], column=True)}, {}, {"_value": "VARCHAR"}),
    "vectors side by side": (
        {"file_list": cell([f"{i}.jpg" for i in range(6)], column=True), "labels": np.arange(6.0)[:, None]},
        {},
        {"file_list": "VARCHAR", "labels": "BIGINT"},
    ),
    "rows of a matrix": ({"codes": np.arange(24.0).reshape(6, 4)}, {"axis": "rows"}, {}),
    "columns of a matrix": ({"codes": np.arange(24.0).reshape(4, 6)}, {"axis": "columns"}, {}),
}


def types(columns: dict[str, str]) -> dict[str, Any]:
    from vision_flan.errors import Location
    from vision_flan.records.sql import arrow_type

    return {name: arrow_type(kind, Location("x")) for name, kind in columns.items()}


def is_cut_to_records_1_and_4(folder: Path, data: bytes, options: dict[str, Any], columns: Any) -> None:
    old, new = RawFolder(folder / "old"), RawFolder(folder / "new")
    old.write("a.mat", data)
    new.write("a.mat", cut_file("matlab", "a.mat", data, [Cut(frozenset({1, 4}), options, columns)]))
    wanted = old.rows("matlab", "a.mat", types(columns), **options)
    found = new.rows("matlab", "a.mat", types(columns), **options)
    for row in (*wanted, *found):
        del row["_index"]
    assert len(wanted) == 6 and found == [wanted[1], wanted[4]]
    assert len((new.root / "a.mat").read_bytes()) <= len(data)


@pytest.mark.parametrize("form", FORMS)
def test_records_of_a_matlab_5_file_stay_as_they_are(form: str, tmp_path: Path) -> None:
    variables, options, columns = FORMS[form]
    is_cut_to_records_1_and_4(tmp_path, mat5(variables), options, columns)


#: The same for version 7.3, as MATLAB stores it: cells are lists, structs mappings.
HDF5: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "cells": ({"names": [f"{i:03}.jpg" for i in range(6)]}, {}, {"_value": "VARCHAR"}),
    "cells of structs": ({"polygt": annotations(6)}, {}, {"fname": "VARCHAR", "class": "BIGINT"}),
    "vectors side by side": (
        {"file_list": [f"{i}.jpg" for i in range(6)], "labels": np.arange(6.0)[:, None]},
        {},
        {"file_list": "VARCHAR", "labels": "BIGINT"},
    ),
    "a field of a struct": (
        {"release": {"list": [f"{i}.jpg" for i in range(6)], "version": 1.0}},
        {"field": "list"},
        {"_value": "VARCHAR"},
    ),
    "columns of a struct": (
        {"all": {"name": [f"{i}.jpg" for i in range(6)], "n": np.arange(6.0)[:, None], "note": "x"}},
        {"axis": "rows"},
        {"name": "VARCHAR", "n": "BIGINT"},
    ),
    "rows of a matrix": ({"codes": np.arange(24.0).reshape(6, 4)}, {"axis": "rows"}, {}),
    "columns of a matrix": ({"codes": np.arange(24.0).reshape(4, 6)}, {"axis": "columns"}, {}),
}


@pytest.mark.parametrize("form", HDF5)
def test_records_of_a_matlab_7_3_file_stay_as_they_are(form: str, tmp_path: Path) -> None:
    variables, options, columns = HDF5[form]
    mat73(tmp_path / "a.mat", variables)
    is_cut_to_records_1_and_4(tmp_path, (tmp_path / "a.mat").read_bytes(), options, columns)


@pytest.mark.parametrize("form", ["a field of a struct", "columns of a struct"])
def test_structs_of_a_matlab_5_file_are_cut_where_their_records_are(form: str, tmp_path: Path) -> None:
    variables, options, columns = HDF5[form]
    (name, struct), *_ = variables.items()
    values = {key: cell(value) if isinstance(value, list) else value for key, value in struct.items()}
    is_cut_to_records_1_and_4(tmp_path, mat5({name: struct_array([values])}), options, columns)


def test_tables_of_two_variables_are_cut_apart(tmp_path: Path) -> None:
    data = mat5({"a": np.arange(6.0)[None], "b": np.arange(10.0, 16.0)[None]})
    cuts = [Cut(frozenset({at}), {"variable": name}, {}) for name, at in (("a", 1), ("b", 3))]
    made = RawFolder(tmp_path)
    made.write("x.mat", cut_file("matlab", "x.mat", data, cuts))
    assert [row["_value"] for row in made.rows("matlab", "x.mat", types({"_value": "BIGINT"}), variable="b")] == [13]  # fmt: skip  # noqa: E501
    assert [row["_value"] for row in made.rows("matlab", "x.mat", types({"_value": "BIGINT"}), variable="a")] == [1]  # fmt: skip  # noqa: E501


# --- datasets that are shipped


@pytest.mark.parametrize(
    "dataset", ["cifar_10", "cifar_100", "lsun", "raven", "stl_10", "total_text", "stanford_dogs", "cars"]
)
def test_a_shipped_dataset_of_the_format_is_cut(dataset: str, tmp_path: Path) -> None:
    registry.make(dataset, tmp_path / "raw", 12, 1)
    catalog = Catalog.of([Root.of_package(), Root.of(tmp_path / "mine")])
    made = cut(catalog, dataset, tmp_path / "raw", 3)
    assert len([line for line in made.expected if not line.dropped]) >= 3
    real = {path.name for path in (tmp_path / "raw" / dataset).rglob("*") if path.is_file()}
    assert {path.name for path in (made.folder / "raw").rglob("*") if path.is_file()} <= real
