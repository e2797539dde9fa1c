"""Arrays of many files are loaded twice at most, whatever the order in which their images are asked for."""

from __future__ import annotations

import io
import pickle
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision_flan.errors import BadRawError, MissingRawError
from vision_flan.readers.pixels import ArrayCache

FILES, EACH = 6, 40
RNG = np.random.default_rng(0)
ARRAYS = [RNG.integers(0, 256, (EACH, 5, 7, 3), dtype=np.uint8) for _ in range(FILES)]


def npz(folder: Any) -> Any:
    for i, array in enumerate(ARRAYS):
        sink = io.BytesIO()
        np.savez(sink, image=array)
        folder.write(f"{i}.npz", sink.getvalue())
    return folder.reader("npz", "{n}.npz", {}, images={"array": "image", "order": "HWC"})


def pickled(folder: Any) -> Any:
    for i, array in enumerate(ARRAYS):
        folder.write(f"{i}.npz", pickle.dumps({"data": array.reshape(EACH, -1)}))
    images = {"key": "data", "shape": [5, 7, 3], "order": "HWC"}
    return folder.reader("pickle", "{n}.npz", {}, images=images)


@pytest.mark.parametrize("make", [npz, pickled])
@pytest.mark.parametrize("room", [True, False])
def test_images_of_many_files_in_random_order(
    folder: Any, monkeypatch: pytest.MonkeyPatch, make: Any, room: bool
) -> None:
    reader = make(folder)
    reader._arrays = ArrayCache(limit=2 * ARRAYS[0].nbytes)
    loads: Counter[str] = Counter()
    get = ArrayCache.get

    def counted(self: ArrayCache, file: str, load: Any) -> Any:
        def loaded() -> Any:
            loads[file] += 1
            return load()

        return get(self, file, loaded)

    monkeypatch.setattr(ArrayCache, "get", counted)
    if not room:
        monkeypatch.setattr("vision_flan.readers.pixels._SHARE_OF_FREE", 1 << 60)
    places = [(file, row) for file in range(FILES) for row in range(EACH)]
    random.Random(0).shuffle(places)
    for file, row in places:
        image = Image.open(io.BytesIO(reader.open_image(folder.raw, f"{file}.npz#{row}")))
        assert np.array_equal(np.asarray(image), ARRAYS[file][row])
    assert len(loads) == FILES
    assert max(loads.values()) == 2 if room else max(loads.values()) > 20
    with pytest.raises(MissingRawError, match=f"no record {EACH}, the file has {EACH}"):
        reader.open_image(folder.raw, f"0.npz#{EACH}")


def test_an_array_that_is_one_image_is_read_whole_from_the_disk_too(folder: Any) -> None:
    for i in range(3):
        sink = io.BytesIO()
        np.savez(sink, image=ARRAYS[0][i])
        folder.write(f"{i}.npz", sink.getvalue())
    reader = folder.reader("npz", "{n}.npz", {}, images={"array": "image"})
    reader._arrays = ArrayCache(limit=1)
    for i in (0, 1, 2, 0, 1, 2, 0, 1, 2):
        image = Image.open(io.BytesIO(reader.open_image(folder.raw, f"{i}.npz")))
        assert np.array_equal(np.asarray(image), ARRAYS[0][i])
    assert len(reader._arrays._on_disk) == 2  # one stays in memory


def test_what_is_no_image_is_refused_as_before(folder: Any) -> None:
    sink = io.BytesIO()
    np.savez(sink, image=np.float64(3))
    folder.write("0.npz", sink.getvalue())
    reader = folder.reader("npz", "{n}.npz", {}, images={"array": "image"})
    for _ in range(3):
        with pytest.raises(BadRawError, match="is not an image|is not HW"):
            reader.open_image(folder.raw, "0.npz")
