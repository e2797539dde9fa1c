import gzip
import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vision_flan.errors import BadRawError, MissingRawError, SpecError
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.pickled import restricted_loads

S, N, F = pa.string(), pa.int64(), pa.float64()
RANDOM = np.random.default_rng(0)


def pixels(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image)


def test_parquet_projects_and_casts_declared_columns(folder: Any) -> None:
    box = [{"x": 1, "name": "a", "z": 0.5}]
    table = pa.table({"id": pa.array([1, 2], pa.int32()), "box": [box, None], "other": ["p", "q"]})
    pq.write_table(table, folder.root / "a.parquet")
    kind = pa.list_(pa.struct([("name", S), ("x", N)]))
    rows = folder.rows("parquet", "a.parquet", {"id": S, "box": kind})
    assert [(row["id"], row["box"]) for row in rows] == [("1", [{"name": "a", "x": 1}]), ("2", None)]
    with pytest.raises(BadRawError, match=r"no column 'nope'(.|\n)*columns are id, box, other"):
        folder.rows("parquet", "a.parquet", {"nope": S})
    with pytest.raises(BadRawError, match="record 0, column 'other': 'p' is not a valid int64"):
        folder.rows("parquet", "a.parquet", {"other": N})


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_images_are_read_from_their_row_group(folder: Any, nested: bool) -> None:
    images = [bytes([number]) * 10 for number in range(25)] + [None]
    cells = [{"bytes": image, "path": None} for image in images] if nested else images
    table = pa.table({"id": range(26), "image": cells})
    pq.write_table(table, folder.root / "a.parquet", row_group_size=10)
    reader = folder.reader("parquet", "a.parquet", {"id": N}, image_column="image")
    store = ImageStore(folder.raw, {"t": reader})
    rows = [row for batch in folder.batches(reader) for row in batch.to_pylist()]
    assert rows[12]["image"] == "@t/a.parquet#12"
    assert [store.read(row["image"]) for row in rows[:25]] == images[:25]
    assert store.read(rows[3]["image"]) == images[3]
    with pytest.raises(BadRawError, match="record 25: column 'image' has no image"):
        store.read("@t/a.parquet#25")
    with pytest.raises(MissingRawError, match="the file has 26"):
        store.read("@t/a.parquet#26")
    only = folder.reader("parquet", "a.parquet", image_column="image")
    assert sum(batch.num_rows for batch in folder.batches(only)) == 26


def test_damaged_parquet_is_told(folder: Any) -> None:
    folder.write("a.parquet", b"PAR1 nothing")
    with pytest.raises(BadRawError, match=r"a.parquet: not valid Parquet"):
        folder.rows("parquet", "a.parquet", {"id": N})
    with pytest.raises(SpecError, match="'image'"):
        folder.reader("parquet", "a.parquet", {"image": S}, image_column="image")


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/vflan_was_here",)


@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(Evil()),
        pickle.dumps({"data": [Evil()]}, protocol=2),
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"c__builtin__\ngetattr\n(c__builtin__\ndict\nS'get'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.",
        pickle.dumps(Path("x")),
    ],
)
def test_a_pickle_that_names_code_is_refused_and_not_run(folder: Any, payload: bytes) -> None:
    folder.write("a.pkl", payload)
    with pytest.raises(BadRawError, match=r"a.pkl: the pickle names .*; only arrays and plain containers"):
        folder.rows("pickle", "a.pkl", {"v": S})
    assert not Path("/tmp/vflan_was_here").exists()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=10,
    ),
    st.integers(0, pickle.HIGHEST_PROTOCOL),
)
def test_plain_values_survive_the_restricted_unpickler(value: Any, protocol: int) -> None:
    assert restricted_loads(pickle.dumps(value, protocol), "a.pkl") == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["u1", "<f4", ">i8", "U3", "O"])
def test_arrays_survive_the_restricted_unpickler(protocol: int, kind: str) -> None:
    array = np.array([["1", "22"], ["3", "4"]]).astype(kind)
    value = OrderedDict(array=array, scalar=array[0, 0], order=np.asfortranarray(array))
    loaded = restricted_loads(pickle.dumps(value, protocol), "a.pkl")
    assert np.array_equal(loaded["array"], array)
    assert loaded["scalar"] == array[0, 0]
    assert np.array_equal(loaded["order"], array)


def cifar_batch(rows: int) -> tuple[dict[bytes, Any], np.ndarray]:
    data = RANDOM.integers(0, 256, (rows, 3 * 4 * 5), np.uint8)
    names = [f"cat_{row}.png".encode() for row in range(rows)]
    return {b"data": data, b"labels": list(range(rows)), b"filenames": names, b"batch_label": b"b 1"}, data


def test_pickle_of_equal_lists_is_a_table_with_images(folder: Any) -> None:
    batch, data = cifar_batch(6)
    folder.write("batches/data_batch_1", pickle.dumps(batch, protocol=2))
    images = {"key": "data", "shape": [3, 4, 5], "order": "CHW"}
    columns = {"labels": N, "filenames": S, "batch_label": S}
    reader = folder.reader("pickle", "batches/data_batch_{n:d}", columns, images=images)
    rows = [row for found in folder.batches(reader) for row in found.to_pylist()]
    assert rows[2] == {
        "n": "1", "labels": 2, "filenames": "cat_2.png", "batch_label": "b 1",
        "image": "@t/batches/data_batch_1#2", "_file": "batches/data_batch_1", "_index": 2,
    }  # fmt: skip
    png = reader.open_image(folder.raw, "batches/data_batch_1#2")
    assert np.array_equal(pixels(png), data[2].reshape(3, 4, 5).transpose(1, 2, 0))
    assert png == reader.open_image(folder.raw, "batches/data_batch_1#2")
    with pytest.raises(MissingRawError, match="record 6"):
        reader.open_image(folder.raw, "batches/data_batch_1#6")
    with pytest.raises(BadRawError, match="no record number"):
        reader.open_image(folder.raw, "batches/data_batch_1")
    wrong = folder.reader("pickle", "batches/data_batch_1", images={**images, "shape": [3, 5, 5]})
    with pytest.raises(BadRawError, match="shape and order"):
        wrong.open_image(folder.raw, "batches/data_batch_1#2")


def test_pickled_lists_and_dicts_are_rows(folder: Any) -> None:
    folder.write("list.pkl", pickle.dumps(["a", "b"]))
    folder.write("dicts.pkl", pickle.dumps([{"v": 1, "w": {3}}, {"w": (4, 5)}]))
    folder.write("map.pkl", pickle.dumps({"n01": [1, 2], "n02": np.array([3])}))
    folder.write("meta.pkl", pickle.dumps({"names": np.array([[1, 2], [3, 4]], np.uint8)}))
    assert [row["_value"] for row in folder.rows("pickle", "list.pkl", {"_value": S})] == ["a", "b"]
    rows = folder.rows("pickle", "dicts.pkl", {"v": N, "w": pa.list_(N)})
    assert [(row["v"], row["w"]) for row in rows] == [(1, [3]), (None, [4, 5])]
    pairs = folder.rows("pickle", "map.pkl", {"_key": S, "_value": pa.list_(N)})
    assert [(row["_key"], row["_value"]) for row in pairs] == [("n01", [1, 2]), ("n02", [3])]
    assert [row["names"] for row in folder.rows("pickle", "meta.pkl", {"names": pa.list_(N)})] == [
        [1, 2],
        [3, 4],
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, 2], "v": [1]}, "different lengths: v 1, a 2"),
        ({"a": [1]}, "no key 'v'(.|\n)*keys are a"),
        (5, "neither a dict nor a list: 5"),
    ],
)
def test_a_pickle_that_is_no_table_is_told(folder: Any, value: Any, message: str) -> None:
    folder.write("a.pkl", pickle.dumps(value))
    with pytest.raises(BadRawError, match=message):
        folder.rows("pickle", "a.pkl", {"v": N, "a": N})
    folder.write("a.pkl", pickle.dumps(value)[:-3])
    with pytest.raises(BadRawError, match="not a valid pickle"):
        folder.rows("pickle", "a.pkl", {"v": N})


def idx(array: np.ndarray, kind: int) -> bytes:
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def test_idx_holds_labels_and_images(folder: Any) -> None:
    images = RANDOM.integers(0, 256, (7, 4, 3), np.uint8)
    folder.write("labels.gz", gzip.compress(idx(np.arange(7, dtype=np.uint8), 8)))
    folder.write("images.gz", gzip.compress(idx(images, 8)))
    folder.write("wide", idx(np.array([-1, 70_000], ">i4"), 0x0C))
    assert [row["_value"] for row in folder.rows("idx", "labels.gz", {"_value": N})] == list(range(7))
    assert [row["_value"] for row in folder.rows("idx", "wide", {"_value": N})] == [-1, 70_000]
    reader = folder.reader("idx", "images.gz")
    assert folder.batches(reader)[0].to_pylist()[6]["image"] == "@t/images.gz#6"
    assert np.array_equal(pixels(reader.open_image(folder.raw, "images.gz#6")), images[6])
    with pytest.raises(MissingRawError, match="the file has 7"):
        reader.open_image(folder.raw, "images.gz#7")


@pytest.mark.parametrize(
    ("data", "columns", "message"),
    [
        (b"", {}, "not an idx file"),
        (b"\x89PNG....", {}, "not an idx file"),
        (idx(np.zeros(3, np.uint8), 8)[:-1], {"_value": N}, "but 2 bytes follow"),
        (idx(np.zeros((3, 2, 2), np.uint8), 8), {"_value": N}, "shape \\[3, 2, 2\\]"),
        (idx(np.zeros(3, np.uint8), 8), {}, "shape \\[3\\]"),
    ],
)
def test_what_is_no_such_idx_file_is_told(folder: Any, data: bytes, columns: Any, message: str) -> None:
    folder.write("a", data)
    with pytest.raises(BadRawError, match=message):
        folder.rows("idx", "a", columns)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_binary_records_are_column_major_images_or_numbers(folder: Any, suffix: str) -> None:
    images = RANDOM.integers(0, 256, (5, 4, 6, 3), np.uint8)  # height 4, width 6
    stored = images.transpose(0, 3, 2, 1).tobytes()
    labels = np.arange(5, dtype="<u2").tobytes()
    pack = gzip.compress if suffix else bytes
    folder.write(f"X.bin{suffix}", pack(stored))
    folder.write(f"y.bin{suffix}", pack(labels))
    record = {"shape": [3, 6, 4], "dtype": "uint8", "order": "CWH"}
    reader = folder.reader("binary", f"X.bin{suffix}", record=record)
    rows = [row for batch in folder.batches(reader) for row in batch.to_pylist()]
    assert rows[4]["image"] == f"@t/X.bin{suffix}#4"
    for number in range(5):
        assert np.array_equal(
            pixels(reader.open_image(folder.raw, f"X.bin{suffix}#{number}")), images[number]
        )
    with pytest.raises(BadRawError, match="there is no record 5"):
        reader.open_image(folder.raw, f"X.bin{suffix}#5")
    numbers = folder.rows("binary", f"y.bin{suffix}", {"_value": pa.int32()}, record={"dtype": "uint16"})
    assert [row["_value"] for row in numbers] == list(range(5))
    folder.write(f"X.bin{suffix}", pack(stored[:-1]))
    with pytest.raises(BadRawError, match="359 bytes are not a whole number of records of 72 bytes"):
        folder.batches(reader)


def test_binary_options_are_checked(folder: Any) -> None:
    with pytest.raises(SpecError, match="needs `record:`"):
        folder.reader("binary", "a.bin")
    with pytest.raises(SpecError, match="column 'label' is not a column of this format"):
        folder.reader("binary", "a.bin", {"label": N}, record={"dtype": "uint8"})
    with pytest.raises(BadRawError, match="has no images"):
        folder.reader("binary", "a.bin", record={"dtype": "uint8"}).open_image(folder.raw, "a.bin#0")


def test_npz_arrays_are_columns_and_images(folder: Any) -> None:
    panels = RANDOM.integers(0, 256, (16, 5, 4))
    path = folder.root / "RAVEN_7_train.npz"
    texts = np.array(["Scene", "/"], dtype=object)
    np.savez_compressed(path, image=panels, target=3, meta=np.eye(2, dtype=np.uint8), structure=texts)
    columns = {"target": N, "meta": pa.list_(pa.list_(N)), "structure": pa.list_(S), "absent": S}
    reader = folder.reader(
        "npz", "RAVEN_{k:d}_{split}.npz", columns, images={"array": "image", "order": "HW"}
    )
    (row,) = [row for batch in folder.batches(reader) for row in batch.to_pylist()]
    assert row == {
        "k": "7", "split": "train", "target": 3, "meta": [[1, 0], [0, 1]], "structure": ["Scene", "/"],
        "absent": None, "image": f"@t/{path.name}", "_file": path.name, "_index": 0,
    }  # fmt: skip
    assert np.array_equal(pixels(reader.open_image(folder.raw, f"{path.name}#15")), panels[15])
    with pytest.raises(MissingRawError, match="record 16"):
        reader.open_image(folder.raw, f"{path.name}#16")
    with pytest.raises(BadRawError, match="is not HW"):
        reader.open_image(folder.raw, path.name)


def test_npz_with_code_or_damage_is_told(folder: Any) -> None:
    np.savez(folder.root / "evil.npz", v=np.array([Evil()], dtype=object))
    with pytest.raises(BadRawError, match=r"the pickle names posix.system"):
        folder.rows("npz", "evil.npz", {"v": pa.list_(S)})
    np.savez(folder.root / "a.npz", v=np.array([1.5, 300]))
    reader = folder.reader("npz", "a.npz", images={"array": "v"})
    with pytest.raises(BadRawError):
        reader.open_image(folder.raw, "a.npz")
    folder.write("cut.npz", (folder.root / "a.npz").read_bytes()[:-40])
    with pytest.raises(BadRawError, match="not a valid npz file"):
        folder.rows("npz", "cut.npz", {"v": pa.list_(F)})


def test_image_store_reads_files_and_refuses_what_it_does_not_know(folder: Any) -> None:
    folder.write("a/b.jpg", b"jpeg")
    store = ImageStore(folder.raw, {})
    assert store.read("a/b.jpg") == b"jpeg"
    with pytest.raises(MissingRawError, match="vflan fetch toy"):
        store.read("a/c.jpg")
    with pytest.raises(BadRawError, match="path leaves the folder"):
        store.read("../b.jpg")
    for ref in ("@nope/a#1", "@nope"):
        with pytest.raises(BadRawError, match="names no table"):
            store.read(ref)
