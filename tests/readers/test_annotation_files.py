import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vision_flan.errors import BadRawError

S, N, F = pa.string(), pa.int64(), pa.float64()

VOC = """<?xml version="1.0"?>
<annotation>
  <filename> 000005.jpg </filename><size><width>500</width><height/></size>
  <object><name>chair</name><part><name>leg</name></part><bndbox><xmin>1.5</xmin></bndbox></object>
  <object><name>dog &amp; cat</name><bndbox><xmin>2</xmin></bndbox></object>
</annotation>"""
OBJECTS = pa.list_(pa.struct([("name", S), ("bndbox", pa.struct([("xmin", F)]))]))


def test_voc_objects_are_read_by_direct_children(folder: Any) -> None:
    folder.write("Annotations/000005.xml", VOC)
    folder.write("Annotations/000006", "<annotation><filename/></annotation>")
    kinds = {"filename": S, "size": pa.struct([("width", N), ("height", N)]), "object": OBJECTS, "absent": S}
    (row,) = folder.rows("xml", "Annotations/{id}.xml", kinds)
    assert row == {
        "id": "000005", "filename": "000005.jpg", "size": {"width": 500, "height": None},
        "object": [{"name": "chair", "bndbox": {"xmin": 1.5}}, {"name": "dog & cat", "bndbox": {"xmin": 2}}],
        "absent": None, "_file": "Annotations/000005.xml", "_index": 0,
    }  # fmt: skip
    assert folder.rows("xml", "Annotations/000006", kinds)[0]["object"] == []


def test_xml_attributes_rows_and_own_text(folder: Any) -> None:
    folder.write(
        "a.xml",
        '<Root><Set n="1"><image file="1.jpg">one<box left="5"><label>A</label></box></image>'
        '<image file="2.jpg">two</image></Set></Root>',
    )
    box = pa.list_(pa.struct([("left", N), ("label", S)]))
    rows = folder.rows("xml", "a.xml", {"file": S, "_text": S, "box": box}, at="Set", rows="image")
    assert [(row["file"], row["_text"], row["_index"]) for row in rows] == [
        ("1.jpg", "one", 0),
        ("2.jpg", "two", 1),
    ]
    assert rows[0]["box"] == [{"left": 5, "label": "A"}]
    assert folder.rows("xml", "a.xml", {"n": N}, at="Set")[0]["n"] == 1
    with pytest.raises(BadRawError, match="no element 'Nope' in <Root>"):
        folder.rows("xml", "a.xml", {"n": N}, at="Nope")


def test_xml_in_its_declared_encoding(folder: Any) -> None:
    folder.write("a.xml", '<?xml version="1.0" encoding="ISO-8859-1"?><a><v>é</v></a>'.encode("latin-1"))
    assert folder.rows("xml", "a.xml", {"v": S})[0]["v"] == "é"


BOMB = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;"><!ENTITY z "&y;&y;&y;&y;">]>
<a><v>&z;</v></a>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "a.xml:2: the document declares a document type"),
        (BOMB.encode("utf-16"), "declares a document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "declares a document type"),
        ("<a><v>rock & roll</v></a>", "a.xml:1:13: not valid XML: not well-formed"),
        ("<a><v>", "a.xml:1:7: not valid XML: no element found"),
        ("", "not valid XML"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "not valid XML"),
        (b"<a><v>\xff</v></a>", "not valid XML"),
        ("<a><v>x</v></a>", "record 0, column 'v': 'x' is not a valid int64"),
    ],
)
def test_bad_xml_is_told_with_its_place(folder: Any, text: str | bytes, message: str) -> None:
    folder.write("a.xml", text)
    with pytest.raises(BadRawError, match=message):
        folder.rows("xml", "a.xml", {"v": N})


def write_v5(folder: Any, path: str, variables: dict[str, Any]) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    out = io.BytesIO()
    savemat(out, variables)
    folder.write(path, out.getvalue())


def cell(*items: Any) -> np.ndarray:
    made = np.empty((len(items), 1), dtype=object)
    for at, item in enumerate(items):
        made[at, 0] = item
    return made


def structs(fields: dict[str, list[Any]]) -> np.ndarray:
    rows = len(next(iter(fields.values())))
    made = np.empty((1, rows), dtype=[(name, object) for name in fields])
    for name, items in fields.items():
        for at, item in enumerate(items):
            made[0, at][name] = item
    return made


CARS = {"fname": ["00001.jpg", "00002.jpg"], "class": [np.uint8(14), np.uint8(3)], "bbox": [[1, 2], [3, 4]]}


def test_matlab_struct_arrays_are_rows_by_field(folder: Any) -> None:
    write_v5(folder, "annos.mat", {"annotations": structs(CARS), "class_names": cell("AM General", "Audi")})
    kinds = {"fname": S, "class": N, "bbox": pa.list_(F)}
    rows = folder.rows("matlab", "annos.mat", kinds, variable="annotations")
    assert [(row["fname"], row["class"], row["bbox"]) for row in rows] == [
        ("00001.jpg", 14, [1.0, 2.0]),
        ("00002.jpg", 3, [3.0, 4.0]),
    ]
    names = folder.rows("matlab", "annos.mat", {"_value": S}, variable="class_names")
    assert [row["_value"] for row in names] == ["AM General", "Audi"]
    with pytest.raises(BadRawError, match="no variable 'nope'"):
        folder.rows("matlab", "annos.mat", {"_value": S}, variable="nope")
    with pytest.raises(BadRawError, match=r"no variable is named(.|\n)*annotations, class_names"):
        folder.rows("matlab", "annos.mat", {"_value": S})


def test_matlab_arrays_of_one_struct_or_one_text_are_still_rows(folder: Any) -> None:
    write_v5(
        folder, "a.mat", {"s": structs({"v": [7], "t": ["x"], "box": [5]}), "c": cell("only"), "t": "text"}
    )
    (row,) = folder.rows("matlab", "a.mat", {"v": N, "t": S, "box": pa.list_(N)}, variable="s")
    assert (row["v"], row["t"], row["box"]) == (7, "x", [5])
    assert [row["_value"] for row in folder.rows("matlab", "a.mat", {"_value": S}, variable="c")] == ["only"]
    assert [row["_value"] for row in folder.rows("matlab", "a.mat", {"_value": S}, variable="t")] == ["text"]


def test_matlab_matrices_are_rows_along_an_axis(folder: Any) -> None:
    matrix = np.array([[1, -1, np.nan], [0, 1, 1]])
    write_v5(folder, "anno.mat", {"anno_train": matrix})
    columns = [
        row["_values"] for row in folder.rows("matlab", "anno.mat", variable="anno_train", axis="columns")
    ]
    assert columns[:2] == [[1, 0], [-1, 1]]
    assert columns[2] == [None, 1]
    rows = folder.rows("matlab", "anno.mat", {"_values": pa.list_(F)}, axis="rows")
    assert rows[1]["_values"] == [0, 1, 1]
    with pytest.raises(BadRawError, match=r"matrix of shape \[2, 3\](.|\n)*set `axis:`"):
        folder.rows("matlab", "anno.mat", {"_value": F})


def test_matlab_cell_matrices_of_words_keep_points_text_and_empties(folder: Any) -> None:
    words = np.empty((2, 6), dtype=object)
    words[0] = ["x:", np.array([[1, 2, 3]], np.int16), "y:", np.array([[4, 5, 6]], np.int16), "PETRO", "c"]
    words[1] = ["x:", np.array([[7]], np.int16), "y:", np.array([[8]], np.int16), np.array([]), "#"]
    write_v5(folder, "poly_gt_img1.mat", {"polygt": words})
    rows = folder.rows("matlab", "poly_gt_img{n:d}.mat", {"_values": pa.list_(S)}, axis="rows")
    assert rows[0]["_values"] == ["x:", "[1,2,3]", "y:", "[4,5,6]", "PETRO", "c"]
    assert rows[1]["_values"] == ["x:", "7", "y:", "8", None, "#"]


def test_matlab_variables_or_fields_of_one_length_are_columns(folder: Any) -> None:
    write_v5(
        folder,
        "train_list.mat",
        {"file_list": cell("a/1.jpg", "b/2.jpg"), "labels": np.array([[1.0], [2.0]])},
    )
    rows = folder.rows("matlab", "train_list.mat", {"file_list": S, "labels": N})
    assert [(row["file_list"], row["labels"]) for row in rows] == [("a/1.jpg", 1), ("b/2.jpg", 2)]
    table = {"name": cell("a", "b"), "box": np.array([[1, 2], [3, 4]])}
    write_v5(folder, "nested.mat", {"top": {"inner": table, "n": 2}})
    kinds = {"name": S, "box": pa.list_(N)}
    found = folder.rows("matlab", "nested.mat", kinds, variable="top", field="inner", axis="rows")
    assert [(row["name"], row["box"]) for row in found] == [("a", [1, 2]), ("b", [3, 4])]
    with pytest.raises(BadRawError, match=r"no field 'nope'(.|\n)*fields are inner, n"):
        folder.rows("matlab", "nested.mat", kinds, field="nope")
    write_v5(folder, "uneven.mat", {"file_list": cell("a"), "labels": np.array([[1.0], [2.0]])})
    with pytest.raises(BadRawError, match="different lengths: file_list 1, labels 2"):
        folder.rows("matlab", "uneven.mat", {"file_list": S, "labels": N})


def test_matlab_structs_in_structs_follow_the_declared_type(folder: Any) -> None:
    people = structs({"id": [1, 2], "joints": [structs({"x": [5.0, 6.0]}), structs({"x": [7.0]})]})
    write_v5(folder, "mpii.mat", {"people": people})
    kind = pa.list_(pa.struct([("x", F)]))
    rows = folder.rows("matlab", "mpii.mat", {"id": N, "joints": kind})
    assert [row["joints"] for row in rows] == [[{"x": 5.0}, {"x": 6.0}], [{"x": 7.0}]]
    with pytest.raises(BadRawError, match=r"record 0, column 'joints': .* is not a valid int64"):
        folder.rows("matlab", "mpii.mat", {"joints": N})


def write_v73(folder: Any, path: str) -> None:
    """A file as MATLAB 7.3 writes it: axes the other way round, characters as uint16, cells as references."""
    h5py = pytest.importorskip("h5py")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        refs = file.create_group("#refs#")

        def text(where: Any, name: str, value: str) -> Any:
            made = where.create_dataset(name, data=np.array([[ord(char)] for char in value], np.uint16))
            made.attrs["MATLAB_class"] = np.bytes_("char")
            return made.ref

        def references(where: Any, name: str, made: list[Any], kind: str | None) -> None:
            stored = where.create_dataset(name, (1, len(made)), dtype=h5py.ref_dtype)
            for at, ref in enumerate(made):
                stored[0, at] = ref
            if kind:
                stored.attrs["MATLAB_class"] = np.bytes_(kind)

        references(file, "names", [text(refs, "a", "one"), text(refs, "b", "two")], "cell")
        matrix = file.create_dataset("matrix", data=np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).T)
        matrix.attrs["MATLAB_class"] = np.bytes_("double")
        people = file.create_group("people")
        people.attrs["MATLAB_class"] = np.bytes_("struct")
        references(people, "name", [text(refs, "c", "Ada"), text(refs, "d", "Bob")], None)
        ages = [refs.create_dataset(f"age{age}", data=[[float(age)]]).ref for age in (36, 40)]
        references(people, "age", ages, None)
    folder.write(path, b"MATLAB 7.3 MAT-file".ljust(512) + out.getvalue())


def test_matlab_7_3_files_read_the_same(folder: Any) -> None:
    write_v73(folder, "a.mat")
    names = folder.rows("matlab", "a.mat", {"_value": S}, variable="names")
    assert [row["_value"] for row in names] == ["one", "two"]
    matrix = folder.rows("matlab", "a.mat", variable="matrix", axis="rows")
    assert [row["_values"] for row in matrix] == [[1, 2, 3], [4, 5, 6]]
    people = folder.rows("matlab", "a.mat", {"name": S, "age": N}, variable="people")
    assert [(row["name"], row["age"]) for row in people] == [("Ada", 36), ("Bob", 40)]


@pytest.mark.parametrize("data", [b"", b"nothing " * 100, b"\x89HDF\r\n\x1a\n" + b"x" * 600])
def test_damaged_matlab_files_are_told(folder: Any, data: bytes) -> None:
    pytest.importorskip("h5py")
    folder.write("a.mat", data)
    with pytest.raises(BadRawError, match=r"a.mat: not a valid MATLAB file"):
        folder.rows("matlab", "a.mat", {"_value": S}, variable="v")
