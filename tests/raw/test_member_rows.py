"""The index of an archive: what a dict of names would say, in a third of its memory."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.raw import member_rows, zip_archive
from vision_flan.raw.member_rows import MemberRows
from vision_flan.raw.zip_archive import ZipArchive

NAMES = st.text(st.sampled_from("ab/é\U0001f600\udc80"), max_size=3)
#: A name and what it stands for: a member, no member, or another name of one.
ADDED = st.lists(st.tuples(NAMES, st.sampled_from(["member", "none"])), max_size=20)
LATE = st.lists(st.tuples(NAMES, st.none() | st.integers(0, 30)), max_size=3)


@given(ADDED, LATE, st.lists(NAMES, max_size=5), st.booleans())
def test_it_says_what_a_dict_would_say(
    added: list[tuple[str, str]], late: list[tuple[str, int | None]], others: list[str], few: bool
) -> None:
    rows, known = MemberRows(), dict[str, int]()
    for row, (name, kind) in enumerate(added):
        rows.add(name)
        known[name] = row
        if kind == "none":
            rows.set(name, None)
            del known[name]
    for name, target in late:
        rows.set(name, target)
        known.pop(name, None)
        if target is not None:
            known[name] = target
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member_rows, "_FEW", 1_000 if few else 1)
        assert list(rows.in_order()) == sorted(known)
    assert sorted(rows) == sorted(known)
    for name in {*known, *others, *(name for name, _ in added)}:
        assert (name in rows) == (name in known)
        assert rows.get(name) == known.get(name)
    for name in known:
        assert rows[name] == known[name]
    with pytest.raises(KeyError):
        rows["not there"]


def test_members_cannot_be_added_when_some_were_asked_for() -> None:
    rows = MemberRows()
    assert "a" not in rows
    with pytest.raises(ValueError, match="before all were added"):
        rows.add("a")


def test_a_member_takes_some_fifty_bytes() -> None:
    tracemalloc.start()
    try:
        rows = MemberRows()
        for number in range(100_000):
            rows.add(f"images/{number:07}.png")
        assert rows["images/0099999.png"] == 99_999
        taken, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 50 * 100_000, "a dict takes 160"
    assert most < 70 * 100_000


def test_a_list_of_members_is_read_a_piece_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "images.zip"
    names = [f"{'long/' * (number % 40)}{number:04}.png" for number in range(500)]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    monkeypatch.setattr(zip_archive, "_AT_ONCE", 1_000)
    monkeypatch.setattr(zip_archive, "_LONGEST_ENTRY", 400)
    opened = ZipArchive(path)
    assert list(opened.rows) == names
    assert [opened.read(name).decode() for name in names] == names
    opened.close()
