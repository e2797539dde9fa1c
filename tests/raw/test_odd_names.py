"""Names with letters that no normalization gives back are found by the names that a listing gives."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.raw.folder import Archive, RawDataset

#: The units angstrom, kelvin and ohm, a compatibility ideograph, and letters with both forms.
LETTERS = ["a", "\u212b", "\u212a", "\u2126", "\uf900", "\u00e9", "e\u0301", "\uac00", "\u1100\u1161"]
NAME = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=3).map("".join)
PATH = st.lists(NAME, min_size=1, max_size=3).map("/".join)


def written(root: Path, path: str, packed: bool) -> RawDataset:
    if packed:
        with zipfile.ZipFile(root / "x.zip", "w") as archive:
            archive.writestr(path + ".png", b"x")
    else:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / (path + ".png")).write_bytes(b"x")
    return RawDataset(root, "toy", [Archive("x.zip")] if packed else [])


@pytest.mark.parametrize("packed", [False, True])
@settings(max_examples=25, deadline=None)
@given(path=PATH)
def test_what_is_listed_is_found_by_its_fields(packed: bool, path: str) -> None:
    with tempfile.TemporaryDirectory() as folder, written(Path(folder), path, packed) as raw:
        ((listed, fields),) = list(raw.list("{name*}.png"))
        assert listed == path + ".png"
        name = fields["name"]
        for asked in (listed, name + ".png", normalize("NFD", name) + ".png", name + ".PNG"):
            assert raw.read_bytes(asked) == b"x"
            assert raw.exists(asked)
        assert not raw.exists(name + "\u212b.png")


def test_the_name_as_it_is_given_comes_first(tmp_path: Path) -> None:
    for name in ("\u212b", "\u00c5", "A\u030a"):
        (tmp_path / f"{name}.png").write_text(name)
    raw = RawDataset(tmp_path, "toy")
    for name in ("\u212b", "\u00c5", "A\u030a"):
        assert raw.read_bytes(f"{name}.png").decode() == name
