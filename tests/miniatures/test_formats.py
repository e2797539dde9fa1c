from __future__ import annotations

import base64
import io
import pickle
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from vision_flan.errors import MachineError
from vision_flan.miniatures import formats

RED = Image.new("RGB", (4, 3), (255, 0, 0))


def test_matlab_5_nests_as_the_cars_devkit_does() -> None:
    records = [{"x1": np.uint8(39), "class": np.uint16(300), "fname": f"0000{n}.jpg"} for n in (1, 2)]
    data = formats.mat5(
        {"annotations": formats.struct_array(records), "names": formats.cell(["AM General", "b"])}
    )
    loaded = scipy.io.loadmat(io.BytesIO(data))
    assert loaded["annotations"].shape == (1, 2) and loaded["names"].shape == (1, 2)
    first = loaded["annotations"][0, 0]
    assert (
        first["x1"].tolist() == [[39]] and first["x1"].dtype == np.uint8 and first["class"].dtype == np.uint16
    )
    assert first["fname"].tolist() == ["00001.jpg"] and loaded["names"][0, 0].tolist() == ["AM General"]
    assert data == formats.mat5(
        {"annotations": formats.struct_array(records), "names": formats.cell(["AM General", "b"])}
    )


def test_matlab_columns_are_columns() -> None:
    data = formats.mat5(
        {"c": formats.cell(["a", "b"], column=True), "s": formats.struct_array([{"a": 1}] * 2, column=True)}
    )
    loaded = scipy.io.loadmat(io.BytesIO(data))
    assert loaded["c"].shape == (2, 1) and loaded["s"].shape == (2, 1)


def test_matlab_73_is_hdf5_with_matlabs_marks(tmp_path: Path) -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    formats.mat73(
        tmp_path / "a.mat", {"m": matrix, "names": ["ab", "é"], "s": {"label": np.array([[1], [2]])}}
    )
    assert scipy.io.matlab.matfile_version(tmp_path / "a.mat") == (2, 0)
    with h5py.File(tmp_path / "a.mat") as file:
        assert file["m"][()].tolist() == matrix.T.tolist() and file["m"].attrs["MATLAB_class"] == b"double"
        assert file["names"].attrs["MATLAB_class"] == b"cell"
        texts = ["".join(map(chr, file[ref][()].ravel())) for ref in file["names"][()].ravel()]
        assert texts == ["ab", "é"] and file["s"].attrs["MATLAB_class"] == b"struct"
        assert file["s/label"][()].tolist() == [[1, 2]]


@settings(deadline=None)
@given(arrays.arrays(st.sampled_from([np.uint8, np.int32, np.float32]), arrays.array_shapes(max_dims=3)))
def test_idx_reads_back(array: np.ndarray[Any, Any]) -> None:
    data = formats.idx(array)
    zero, code, rank = struct.unpack(">HBB", data[:4])
    assert (zero, rank) == (0, array.ndim) and code in (0x08, 0x0C, 0x0D)
    assert struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank]) == array.shape
    values = np.frombuffer(data[4 + 4 * rank :], array.dtype.newbyteorder(">")).reshape(array.shape)
    np.testing.assert_array_equal(values, array)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=300),
        st.binary(max_size=300)
        | st.lists(st.integers(-(2**31), 2**31 - 1))
        | st.lists(st.binary(max_size=9)),
    )
)
def test_python_2_pickles_load_with_bytes_keys(value: dict[bytes, Any]) -> None:
    assert pickle.loads(formats.python2_pickle(value), encoding="bytes") == value


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_python_2_pickles_hold_arrays_under_numpys_old_names(kind: type) -> None:
    array = np.arange(12).reshape(3, 4).astype(kind)
    data = formats.python2_pickle({b"data": array})
    assert b"numpy.core.multiarray" in data and data.startswith(b"\x80\x02")
    loaded = pickle.loads(data, encoding="bytes")[b"data"]
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


def test_planes_are_channels_and_stl_turns_them() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    rows = np.frombuffer(formats.planes(image), np.uint8).reshape(3, 2, 3)
    columns = np.frombuffer(formats.planes(image, column_major=True), np.uint8).reshape(3, 3, 2)
    np.testing.assert_array_equal(rows.transpose(1, 2, 0), image)
    np.testing.assert_array_equal(columns.transpose(2, 1, 0), image)


def test_npz_reads_back() -> None:
    loaded = np.load(io.BytesIO(formats.npz(image=np.ones((2, 2)), target=np.array(3))))
    assert loaded["image"].sum() == 4 and int(loaded["target"]) == 3


def test_lmdb_reads_back_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        formats.lmdb(tmp_path / name, ((b"%04d" % n, bytes(n)) for n in range(300)))
    assert (tmp_path / "a/data.mdb").read_bytes() == (tmp_path / "b/data.mdb").read_bytes()
    assert (tmp_path / "a/lock.mdb").exists()
    with (
        lmdb.open(str(tmp_path / "a"), readonly=True, lock=False) as environment,
        environment.begin() as view,
    ):
        assert view.get(b"0299") == bytes(299) and view.stat()["entries"] == 300


def test_parquet_holds_images_as_structs_in_row_groups(tmp_path: Path) -> None:
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())]
    )
    rows = [{"image": formats.image_struct(RED, f"{n}.png"), "label": n} for n in range(5)]
    formats.parquet(tmp_path / "x.parquet", schema, rows, group=2)
    table = pq.ParquetFile(tmp_path / "x.parquet")
    assert table.num_row_groups == 3 and table.read().column("label").to_pylist() == list(range(5))
    stored = table.read().column("image").to_pylist()[4]
    assert stored["path"] == "4.png" and Image.open(io.BytesIO(stored["bytes"])).getpixel((0, 0)) == (
        255,
        0,
        0,
    )


def test_a_image_fits_a_field_of_a_tsv() -> None:
    field = formats.base64_image(RED, ".png")
    assert "\t" not in field and Image.open(io.BytesIO(base64.b64decode(field))).size == (4, 3)


def test_voc_escapes_names_and_keeps_boxes() -> None:
    one = {
        "name": "dog & <cat>",
        "box": (1, 2, 30, 40),
        "difficult": 1,
        "extra": "<actions><jumping>1</jumping></actions>",
    }
    tree = ElementTree.fromstring(
        formats.voc_xml("000001.jpg", (64, 48), [one, {"name": "b", "box": (5, 6, 7, 8)}])
    )
    assert tree.findtext("filename") == "000001.jpg" and tree.findtext("size/width") == "64"
    names = [found.findtext("name") for found in tree.iter("object")]
    assert names == ["dog & <cat>", "b"] and tree.findtext("object/difficult") == "1"
    assert [int(edge.text or 0) for edge in tree.iter("bndbox").__next__()] == [1, 2, 30, 40]
    assert tree.findtext("object/actions/jumping") == "1"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.io", None)
    with pytest.raises(MachineError, match="scipy") as error:
        formats.mat5({})
    assert "pip install" in error.value.hint
