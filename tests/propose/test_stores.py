"""Stores of images in upstream's formats, from the raw folder to `load_dataset`: no Python, no edit."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.folders_of_files import photo
from tests.folders_of_users import put
from vision_flan.miniatures import registry
from vision_flan.miniatures.formats import cell, idx, lmdb, mat5, mat73, struct_array
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.roots import Root

KINDS = ("airplane", "bird", "cat")


def answers(rows: Any) -> dict[str, str]:
    """Target without its letter by upstream's key."""
    return {row["source_id"]: row["target"].partition(") ")[2] or row["target"] for row in rows}


def new(typed: Any, *more: str) -> str:
    return str(typed("new", "things", "things_task", "--raw", "raw", "--yes", *more))


def miniature_of(dataset: str, folder: Path, n: int = 60) -> Path:
    """The raw files of a shipped dataset as a user finds them, under a name without a spec."""
    registry.make(dataset, folder / "made", n, 1, catalog=Catalog.of([Root.of_package()]))
    (folder / "raw").mkdir(exist_ok=True)
    return Path(shutil.move(folder / "made" / dataset, folder / "raw/things"))


# --- pickle


def test_cifar_10_as_its_authors_ship_it(typed: Any, compiled: Any, tmp_path: Path) -> None:
    folder = miniature_of("cifar_10", tmp_path, 200)
    shown = new(typed)
    assert "data_batch_{part:d}, reader pickle, 100 rows" in shown
    assert "the names of the labels are those of cifar-10-batches-py/batches.meta" in shown
    rows = compiled("things_task")
    meta = pickle.loads((folder / "cifar-10-batches-py/batches.meta").read_bytes(), encoding="bytes")
    for row in rows:
        file, _, at = row["source_id"].removeprefix("@data_batch/").partition("#")
        batch = pickle.loads((folder / file).read_bytes(), encoding="bytes")
        name = meta[b"label_names"][batch[b"labels"][int(at)]].decode()
        assert row["target"].endswith(f") {name}")
        pixels = batch[b"data"][int(at)].reshape(3, 32, 32).transpose(1, 2, 0)
        assert (np.asarray(row["image"]) == pixels).all()
    assert len(rows) == 100


def test_cifar_100_has_fine_labels_before_coarse_ones(typed: Any, compiled: Any, tmp_path: Path) -> None:
    folder = miniature_of("cifar_100", tmp_path, 300)
    shown = new(typed, "--form", "label", "--table", "test")
    assert "label: fine_labels" in shown and "those of cifar-100-python/meta" in shown
    names = pickle.loads((folder / "cifar-100-python/meta").read_bytes(), encoding="bytes")[
        b"fine_label_names"
    ]
    test = pickle.loads((folder / "cifar-100-python/test").read_bytes(), encoding="bytes")
    true = Counter(names[label].decode().replace("_", " ") for label in test[b"fine_labels"])
    assert Counter(compiled("things_task")["target"]) == true


def test_a_pickle_of_python_3_with_records_and_files(typed: Any, compiled: Any, tmp_path: Path) -> None:
    records = [{"image": f"{i}.jpg", "caption": f"A {KINDS[i % 3]} on table {i}."} for i in range(12)]
    put(tmp_path / "raw/things/captions.pkl", pickle.dumps(records))
    for i in range(12):
        put(tmp_path / f"raw/things/photos/{i}.jpg", photo(i))
    new(typed)
    assert set(compiled("things_task")["target"]) == {record["caption"] for record in records}


# --- npz


@pytest.mark.parametrize("names", [("x_train", "y_train"), ("train_images", "train_labels")])
@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3)])
def test_an_npz_of_images_and_labels(
    names: tuple[str, str], shape: tuple[int, ...], typed: Any, compiled: Any, tmp_path: Path
) -> None:
    images = np.random.default_rng(1).integers(0, 255, (90, *shape), dtype=np.uint8)
    labels = np.arange(90, dtype=np.uint8) % 3
    if names[1] == "train_labels":
        labels = labels[:, None]  # as MedMNIST has them
    test = {
        name.replace("train", "test"): array[:20] for name, array in zip(names, (images, labels), strict=True)
    }
    (tmp_path / "raw/things").mkdir(parents=True)
    np.savez_compressed(tmp_path / "raw/things/mnist.npz", **{names[0]: images, names[1]: labels}, **test)
    put(tmp_path / "raw/things/classes.txt", "\n".join(KINDS) + "\n")
    shown = new(typed)
    assert "reader npz" in shown and "those of classes.txt" in shown
    rows = compiled("things_task")
    assert answers(rows) == {str(i): KINDS[i % 3] for i in range(90)}
    for row in rows:
        assert (np.asarray(row["image"]) == images[int(row["source_id"])]).all()
    small = tmp_path / "mine/tests/miniatures/things/raw/mnist.npz"
    with np.load(small) as found:
        assert 8 <= len(found[names[0]]) == len(found[names[1]]) < 20


def test_an_npz_for_each_record_in_class_folders(typed: Any, compiled: Any, tmp_path: Path) -> None:
    for i in range(24):
        folder = tmp_path / f"raw/things/train/{KINDS[i % 3]}"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{i:03}.npz", image=np.full((16, 16, 3), i, np.uint8), angle=np.float32(i))
    new(typed)
    rows = compiled("things_task")
    assert Counter(answers(rows).values()) == dict.fromkeys(KINDS, 8)
    assert rows[0]["image"].size == (16, 16)


# --- LMDB


def test_lsun_is_an_environment_for_each_category(typed: Any, compiled: Any, tmp_path: Path) -> None:
    miniature_of("lsun", tmp_path)
    shown = new(typed)
    assert "{class}_{split}_lmdb/data.mdb, reader lmdb" in shown
    assert "lock.mdb" in shown and "(the lock of an LMDB environment)" in shown
    rows = compiled("things_task")
    kinds = {path.name.removesuffix("_train_lmdb") for path in (tmp_path / "raw/things").glob("*_train_lmdb")}
    assert set(answers(rows).values()) == {kind.replace("_", " ") for kind in kinds}
    assert all(len(row["source_id"]) == 40 for row in rows)


def test_a_table_names_the_keys_of_an_lmdb(typed: Any, compiled: Any, tmp_path: Path) -> None:
    (tmp_path / "raw/things/images").mkdir(parents=True)
    lmdb(tmp_path / "raw/things/images", [(f"{i:05}".encode(), photo(i, form="PNG")) for i in range(24)])
    rows = [f"{i:05},{KINDS[i % 3]}" for i in range(24)]
    put(tmp_path / "raw/things/labels.csv", "\n".join(["key,kind", *rows]) + "\n")
    new(typed)
    assert answers(compiled("things_task")) == {f"{i:05}": KINDS[i % 3] for i in range(24)}


# --- MATLAB


def struct_of_annotations(version: str, folder: Path) -> None:
    records = [{"fname": f"{i:03}.jpg", "class": np.uint8(i % 3 + 1)} for i in range(24)]
    if version == "5":
        put(folder / "devkit/annos.mat", mat5({"annotations": struct_array(records)}))
        put(folder / "devkit/meta.mat", mat5({"class_names": cell(KINDS)}))
    else:
        (folder / "devkit").mkdir(parents=True)
        mat73(folder / "devkit/annos.mat", {"annotations": records})
        mat73(folder / "devkit/meta.mat", {"class_names": list(KINDS)})


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_structs_of_a_matlab_file_with_names_in_another(
    version: str, typed: Any, compiled: Any, tmp_path: Path
) -> None:
    struct_of_annotations(version, tmp_path / "raw/things")
    for i in range(24):
        put(tmp_path / f"raw/things/images/{i:03}.jpg", photo(i))
    shown = new(typed)
    assert "those of devkit/meta.mat" in shown
    assert answers(compiled("things_task")) == {f"{i:03}.jpg": KINDS[i % 3] for i in range(24)}
    small = (tmp_path / "mine/tests/miniatures/things/raw/devkit/annos.mat").read_bytes()
    assert small.startswith(b"MATLAB 5.0" if version == "5" else b"MATLAB 7.3")


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("place", ["side by side", "in a struct", "struct of a struct"])
def test_lists_of_a_matlab_file_that_belong_together(
    place: str, version: str, typed: Any, compiled: Any, tmp_path: Path
) -> None:
    files: Any = [f"{i:03}.jpg" for i in range(24)]
    columns: dict[str, Any] = {"file_list": files, "kinds": [KINDS[i % 3] for i in range(24)]}
    if version == "5":
        columns = {name: cell(values, column=True) for name, values in columns.items()}
    wrap = (lambda value: struct_array([value])) if version == "5" else (lambda value: value)
    variables: dict[str, Any] = columns
    if place != "side by side":
        variables = {"release": wrap(columns)}
    if place == "struct of a struct":
        variables = {"release": wrap({"train": wrap(columns), "version": 1.0})}
    (tmp_path / "raw/things").mkdir(parents=True)
    if version == "5":
        put(tmp_path / "raw/things/lists.mat", mat5(variables))
    else:
        mat73(tmp_path / "raw/things/lists.mat", variables)
    for i in range(24):
        put(tmp_path / f"raw/things/images/{i:03}.jpg", photo(i))
    new(typed)
    assert answers(compiled("things_task")) == {f"{i:03}.jpg": KINDS[i % 3] for i in range(24)}


# --- idx and Parquet


def test_mnist_as_its_authors_ship_it(typed: Any, compiled: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (60, 28, 28), dtype=np.uint8)
    labels = np.arange(60, dtype=np.uint8) % 10
    for split, count in (("train", 60), ("t10k", 20)):
        put(tmp_path / f"raw/things/{split}-images-idx3-ubyte.gz", gzip.compress(idx(pixels[:count])))
        put(tmp_path / f"raw/things/{split}-labels-idx1-ubyte.gz", gzip.compress(idx(labels[:count])))
    new(typed, "--form", "label")
    rows = compiled("things_task")
    assert answers(rows) == {f"train/{i}": f"class {i % 10}" for i in range(60)}
    shown = {row["source_id"]: np.asarray(row["image"]) for row in rows}
    assert all((shown[f"train/{i}"] == pixels[i]).all() for i in range(60))


def hub_parquet(folder: Path, names: list[str]) -> None:
    """Files as the Hub has them: ClassLabel, image structs, and names with a checksum."""
    feature = {"label": {"names": list(KINDS), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    for part, name in enumerate(names):
        cells = [{"bytes": photo(f"{part}{i}", form="PNG"), "path": f"{i}.png"} for i in range(12)]
        table = pa.table({"image": cells, "label": [i % 3 for i in range(12)]})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": feature}})})
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)


@pytest.mark.parametrize("checksum", ["", "-a09b74b3ef9c3b56"])
def test_parquet_of_the_hub_with_its_class_names(
    checksum: str, typed: Any, compiled: Any, tmp_path: Path
) -> None:
    parts = [f"data/train-{part:05}-of-00002{checksum}.parquet" for part in range(2)]
    hub_parquet(tmp_path / "raw/things", [*parts, f"data/test-00000-of-00001{checksum}.parquet"])
    put(tmp_path / "raw/things/README.md", "---\nlicense: mit\n---\n")
    put(tmp_path / "raw/things/.gitattributes", "*.parquet filter=lfs diff=lfs merge=lfs -text\n")
    shown = new(typed)
    assert "split: split = train" in shown
    rows = compiled("things_task")
    assert len(rows) == 24 and Counter(answers(rows).values()) == dict.fromkeys(KINDS, 8)


def test_a_copy_in_the_cache_of_the_hub_is_read_through_its_links(
    typed: Any, compiled: Any, tmp_path: Path
) -> None:
    """`huggingface-cli download` makes snapshots of links to blobs."""
    cache = tmp_path / "raw/things"
    hub_parquet(cache / "blobs", ["0123abcd"])
    snapshot = cache / "snapshots/5e2f/data"
    snapshot.mkdir(parents=True)
    (snapshot / "train-00000-of-00001.parquet").symlink_to("../../../blobs/0123abcd")
    put(cache / "refs/main", "5e2f")
    new(typed)
    rows = compiled("things_task")
    assert len(rows) == 12 and set(answers(rows).values()) == set(KINDS)
