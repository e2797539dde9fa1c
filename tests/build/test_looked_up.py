"""The image files of a build: gathered, sorted and kept without all of them in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.test_identity import Notes
from tests.toy import Toy
from vision_flan.build import looked_up
from vision_flan.build.inputs import Seen
from vision_flan.build.looked_up import DamagedRecordError, Gathering, LookedUp
from vision_flan.build.work import installed_record
from vision_flan.records.store import RecordStore

#: Names, among them those that are not UTF-8, and stamps of what is there or not.
BLOCKS = st.lists(
    st.dictionaries(
        st.text(st.sampled_from("ab/é\U0001f600\udc80"), min_size=1, max_size=3),
        st.sampled_from(["", "refused", "7 123 toy", "12 99 toy"]),
        max_size=6,
    ),
    max_size=6,
)
#: Gathers a number of files, and prints the memory that the process took at most, in kB.
MEASURE = """
import sys
from pathlib import Path
from tests.benchmarks.memory import own_peak
from vision_flan import limits
from vision_flan.build.inputs import Seen
from vision_flan.build.looked_up import Gathering
from vision_flan.records.store import RecordStore
limits.apply(limits.Limits(sql_memory=64 * 2**20))
with RecordStore(Path(sys.argv[1])) as store:
    gathering = Gathering(store)
    for block in range(int(sys.argv[2])):
        names = range(block * 10_000, (block + 1) * 10_000)
        gathering.add(Seen({f"images/train/{name:012}.png": f"{name} 1700000000 toy" for name in names}))
    images, facts = gathering.finish(Path(sys.argv[1]) / "images.jsonl")
    assert sum(len(seen.stamps) for seen in images) == facts["files"]
    print(own_peak() >> 10)
"""


def gathered(blocks: list[Seen], folder: Path, *, held: int) -> tuple[LookedUp, dict[str, object]]:
    with pytest.MonkeyPatch.context() as patch, RecordStore() as store:
        patch.setattr(looked_up, "HELD", held)
        patch.setattr(looked_up, "PIECE", 2)
        gathering = Gathering(store)
        for seen in blocks:
            gathering.add(Seen(dict(seen.stamps), dict(seen.sums)))
        return gathering.finish(folder / "images.jsonl")


@settings(max_examples=30)
@given(BLOCKS, st.integers(1, 5))
def test_what_goes_through_the_database_is_what_would_fit_in_memory(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[dict[str, str]], held: int
) -> None:
    blocks_seen = [Seen(block, {path: f"sum of {path!a}" for path in list(block)[::2]}) for block in blocks]
    folder, found = tmp_path_factory.mktemp("work"), []
    for limit in (held, 1_000):
        images, facts = gathered(blocks_seen, folder, held=limit)
        pieces = list(images)
        stamps = {path: was for piece in pieces for path, was in piece.stamps.items()}
        found.append((stamps, facts))
        assert list(stamps) == sorted(stamps)
        assert stamps == {path: was for block in reversed(blocks) for path, was in block.items()}
        assert all(known == f"sum of {path!a}" for piece in pieces for path, known in piece.sums.items())
        assert sum(len(list(images.share(which, 3))) for which in range(3)) == images.pieces == len(pieces)
    assert found[0] == found[1]


def test_twice_the_files_take_little_more_memory(tmp_path: Path) -> None:
    def peak(blocks: int) -> int:
        work = tmp_path / str(blocks)
        work.mkdir()
        typed = [sys.executable, "-c", MEASURE, str(work), str(blocks)]
        return int(subprocess.run(typed, capture_output=True, text=True, check=True).stdout)

    more = peak(60) - peak(30)
    assert more < 50_000, "300,000 names and stamps more take 90,000 kB where all are held"


@pytest.mark.parametrize("damage", [lambda lines: lines[:1], lambda lines: [lines[0], lines[1][:20] + "\n"]])
def test_a_record_whose_images_are_damaged_is_no_record(
    toy: Toy, damage: Callable[[list[str]], list[str]]
) -> None:
    toy.compile()
    record = installed_record(toy.out, "toy_color")
    lines = record.read_text().splitlines(keepends=True)
    assert json.loads(lines[0])["images"] == len(lines) - 1 == 1
    record.write_text("".join(damage(lines)))
    notes = Notes()
    assert toy.compile(report=notes).built
    assert any("the record of image files changed" in note for note in notes.notes), notes.notes


def test_a_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "installed.json"
    path.write_text("{}\n[1]\n")
    with pytest.raises(DamagedRecordError, match="record of image files is damaged"):
        list(LookedUp(path, 1, 1))
    with pytest.raises(DamagedRecordError, match="1 pieces of 2"):
        list(LookedUp(path, 1, 2).lines())
