"""Feed each target with random and damaged input for `FUZZ_SECONDS`; stop at what is not one of our errors.

Each target runs in a process with the limits of a check, so that a crash or a stall is a find too. Hypothesis
shrinks what fails to the smallest input, and prints it with the seed.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.raw_folder import RawFolder
from tests.readers.test_hostile_files import TABLES, read_all, whole_file
from tests.toy import square
from vision_flan import limits
from vision_flan.errors import Location, SpecError, VflanError
from vision_flan.instances.images import BadImageError, check_image
from vision_flan.instances.rendering import JINJA_FILTERS, Renderer, UnknownLabelError
from vision_flan.instances.text_filters import FILTERS
from vision_flan.raw.archives import Archive
from vision_flan.raw.patterns import LinePattern, Pattern
from vision_flan.records.sql import check_key, check_select
from vision_flan.spec.text import parse_yaml

HERE = Location("fuzz")
#: Numbers that sizes and offsets are made of.
_EDGES = st.sampled_from([0, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62])
_REFUSED = (VflanError, BadImageError, UnknownLabelError)


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """A file with some bytes changed, taken out, put in, repeated, or cut."""
    size = len(whole)
    place = st.integers(0, max(size - 1, 0))
    number = st.builds(
        lambda n, width, order: n.to_bytes(8, "little")[:width] if order else n.to_bytes(8, "big")[-width:],
        _EDGES,
        st.sampled_from([1, 2, 4, 8]),
        st.booleans(),
    )
    change = st.tuples(place, st.integers(0, 8), st.one_of(number, st.binary(max_size=8), st.just(b"")))

    def apply(changes: list[tuple[int, int, bytes]], cut: int | None, again: int) -> bytes:
        data = whole
        for at, gone, put in changes:
            data = data[:at] + put + data[at + gone :]
        data = data[:again] + data[: again // 2] + data[again:]
        return data if cut is None else data[:cut]

    return st.builds(apply, st.lists(change, max_size=6), st.none() | place, st.just(0) | place)


def reader_target(name: str) -> Callable[[bytes], None]:
    """Reads a table over a file of these bytes, and the images behind its rows."""
    folder = RawFolder(Path(tempfile.mkdtemp(prefix="vflan-fuzz-")))

    def target(data: bytes) -> None:
        folder.write("a", data)
        read_all(folder, name)

    return target


def archive_target(suffix: str) -> Callable[[bytes], None]:
    """Lists and reads the members of an archive of these bytes."""
    folder = RawFolder(Path(tempfile.mkdtemp(prefix="vflan-fuzz-")))
    folder.archives = [Archive(f"a{suffix}", "", None)]

    def target(data: bytes) -> None:
        folder.write(f"a{suffix}", data)
        raw = folder.raw
        try:
            for path, _ in islice(raw.list("{name*}"), 20):
                raw.read_bytes(path, 1 << 20)
        finally:
            raw.close()

    return target


def lmdb_target() -> tuple[Callable[..., None], st.SearchStrategy[object]]:
    """Reads an LMDB environment of these bytes, and the images behind its rows."""
    from tests.readers.test_lmdb_table import many, write_environment

    whole = write_environment(Path(tempfile.mkdtemp(prefix="vflan-fuzz-")), many())

    def target(data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="vflan-fuzz-") as place:
            folder = RawFolder(Path(place))
            folder.write("db/data.mdb", data)
            reader = folder.reader("lmdb", "db/data.mdb")
            for batch in folder.batches(reader):
                for row in batch.to_pylist()[:5]:
                    reader.open_image(folder.raw, row["image"].removeprefix("@t/"))

    return target, damaged(whole)


def hdf5_target() -> tuple[Callable[..., None], st.SearchStrategy[object]]:
    """Reads a variable of a MATLAB file of version 7.3."""
    import h5py
    import numpy as np

    folder = RawFolder(Path(tempfile.mkdtemp(prefix="vflan-fuzz-")))
    path = folder.root / "whole.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("v", data=np.arange(12.0).reshape(3, 4), chunks=(1, 4), compression="gzip")
        texts = file.create_group("#refs#").create_dataset("a", data=np.array([[104], [105]], np.uint16))
        texts.attrs["MATLAB_class"] = np.bytes_("char")
        file.create_dataset("w", data=np.array([[texts.ref]], h5py.ref_dtype))

    def target(data: bytes) -> None:
        folder.write("a", data)
        read_all(folder, "matlab")

    return target, damaged(path.read_bytes())


def files(case: tuple[str, list[str]]) -> None:
    """List files by a pattern among files of these names."""
    with tempfile.TemporaryDirectory(prefix="vflan-fuzz-") as place:
        folder = RawFolder(Path(place))
        for name in case[1]:
            parts = [part[:40] for part in name.replace("\0", "").split("/") if part not in ("", ".", "..")]
            with suppress(OSError):  # a file where a folder should be
                folder.write("/".join(parts) or "a", b"x")
        folder.rows("files", case[0])


_NAMES = ["name", "n", "items", "row", "nothing"]
_TOKENS = [
    "{{ ", " }}", "{% if ", "{% for x in ", "{% set a = ", " %}", "{% endif %}", "{% endfor %}", "{% else %}",
    " | ", "(", ")", "[", "]", "'a'", "0", "-1", "1e9", "2 ** ", " ~ ", " + ", " * ", " == ", " in ", " if ",
    " else ", "x", "a", ".x", "loop.index", ", ", "text", *_NAMES, *JINJA_FILTERS, *FILTERS,
]  # fmt: skip
_SQL = [
    "SELECT ", "name", "*", " FROM t", " WHERE ", "(", ")", ", ", "list(", "max(", "CAST(",
    " AS VARCHAR", "1", " UNION ALL ", " ORDER BY ", " LIMIT 1", "[", "]", "{'a': ", "}", " JOIN t ON ",
    "WITH x AS (", "x -> ", "'a'", " OVER ()", "CASE WHEN ", " THEN ", " END", ";", "--", "\n", "/*",
    "\"", "$1", "?", ".", "::INT", " IN ", "NULL",
]  # fmt: skip
_YAML = [
    "a: ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "'",
    '"',
    "&x ",
    "*x",
    "!!str ",
    "|\n",
    ">-\n",
    "#",
    "1",
]
_PATTERN = ["{a}", "{b:d}", "{c*}", "*", "/", "a", "1", "_", ".jpg", "{{", "}}", " ", "-", "\t", "é", "{"]


def joined(tokens: list[str]) -> st.SearchStrategy[str]:
    """Texts of a language's words, in any order."""
    return st.lists(st.sampled_from(tokens) | st.text(max_size=3), max_size=25).map("".join)


def render(template: str) -> None:
    """Compile and render a template."""
    row = {"name": "a_b", "n": 3, "items": ["x", None, "y"], "row": {"x": 1}}
    Renderer({"t": {"a": "b"}}).compile(template, HERE, False).render(row)


def match(case: tuple[str, str]) -> None:
    """Match a path and a line; it may take a second."""
    began = time.process_time()
    for kind in (Pattern, LinePattern):
        try:
            kind(case[0], HERE).match(case[1] * 40)
        except SpecError:
            continue
    assert time.process_time() - began < 5, "a pattern that takes long"


def sql(text: str) -> None:
    """Check a SELECT, and a key."""
    for check in (check_select, check_key):
        try:
            check(text, HERE)
        except SpecError:
            continue


def targets() -> dict[str, tuple[Callable[..., None], st.SearchStrategy[object]]]:
    """Name -> what is called, and with what."""
    from tests.security.test_files import tarred, zipped

    found: dict[str, tuple[Callable[..., None], st.SearchStrategy[object]]] = {
        name: (reader_target(name), damaged(whole_file(name))) for name in TABLES
    }
    tar, zip_file = tarred("a/b.txt", b"text" * 300), zipped(("a/b.txt", b"text" * 300), ("c", b""))
    found["zip"] = archive_target(".zip"), damaged(zip_file)
    found["tar"] = archive_target(".tar"), damaged(tar)
    found["tar.gz"] = archive_target(".tar.gz"), damaged(tar).map(gzip.compress) | damaged(gzip.compress(tar))
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        found[kind.lower()] = lambda data: check_image(data) and None, damaged(square("r", kind))
    found["template"] = render, joined(_TOKENS)
    found["sql"] = sql, joined(_SQL)
    found["yaml"] = lambda text: parse_yaml(text, Path("fuzz.yaml")) and None, joined(_YAML)
    found["lmdb"] = lmdb_target()
    found["hdf5"] = hdf5_target()
    found["files"] = files, st.tuples(joined(_PATTERN), st.lists(joined(_PATTERN), max_size=8))
    found["pattern"] = match, st.tuples(joined(_PATTERN), joined(_PATTERN))
    return found


def fuzz(target: Callable[..., None], strategy: st.SearchStrategy[object], seconds: float) -> int:
    """Run a target for some seconds; returns how often. What is not refused as it should be is raised."""
    end, count = time.monotonic() + seconds, 0

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def once(value: object) -> None:
        nonlocal count
        count += 1
        limits.Step(f"fuzzing with {value!r}"[:250], HERE).begin()
        try:
            target(value)
        except _REFUSED:
            return

    while time.monotonic() < end:
        seed(int.from_bytes(os.urandom(4), "big"))(once)()
    return count


def main(chosen: list[str]) -> int:
    """Fuzz the named targets, or all. Returns the number of targets with a find."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "20"))
    finds = 0
    for name, (target, strategy) in targets().items():
        if chosen and name not in chosen:
            continue
        child = os.fork()
        if child == 0:
            limits.apply(limits.CHECKING)
            try:
                print(f"{name}: {fuzz(target, strategy, seconds):,} inputs", flush=True)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            print(f"{name}: FOUND SOMETHING (exit code {code})", flush=True)
            finds += 1
    return finds


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
