"""Names that only look like others, and places that a map of raw folders or a miniature must not lead to."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.security.conftest import SECRET, Victim
from tests.toy import DATASET

#: What must be no task's id, nor a dataset's.
IDS = {
    "a letter of another script": "toy_c\u043elor",
    "a wide letter": "toy_\uff43olor",
    "a space of no width": "toy_\u200bcolor",
    "a joiner": "toy_\u200dcolor",
    "a turn of direction": "toy_\u202ecolor",
    "a decomposed letter": "toy_e\u0301",
    "a composed letter": "toy_\u00e9",
    "digits of another script": "toy_\u0661\u0662",
    "the end of a line": "toy_color\n",
    "a capital": "Toy_Color",
    "a dot at its end": "toy_color.",
    "a space at its end": "toy_color ",
    "a dash at its start": "-toy",
    "65 letters": "a" * 65,
    "a device of Windows": "con",
    "nothing of Windows": "nul",
    "a printer of Windows": "prn",
    "a port of Windows": "lpt9",
    "an interface of Windows": "aux",
}
#: What must be no column beside `name`.
COLUMNS = {
    "capitals": "NAME",
    "one capital": "Name",
    "a wide letter": "\uff4eame",
    "a letter of mathematics": "\U0001d427ame",
    "a long s": "\u017fize",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, warm: object) -> tuple[int, str, Path]:
    """What `vflan validate` says of all of them."""
    victim = Victim(tmp_path_factory.mktemp("names"), warm)  # type: ignore[arg-type]
    task = (victim.specs / "toy/toy_color.yaml").read_text()
    for name in IDS.values():
        text = task.replace("id: toy_color", f'id: "{name}"').replace("\n", "\\n", name.count("\n"))
        (victim.specs / "toy" / f"{name}.yaml").write_text(text.replace("Toy+color", f"Toy+{len(text)}"))
        (victim.specs / f"d{name}").mkdir()
        slug = DATASET.replace("dataset: toy", f'dataset: "{name}"'.replace("\n", "\\n"))
        (victim.specs / f"d{name}" / "dataset.yaml").write_text(slug)
    for number, name in enumerate(COLUMNS.values()):
        folder = victim.specs / f"c{number}"
        folder.mkdir()
        columns = f"color: VARCHAR, size: VARCHAR, {name!r}: VARCHAR}}"
        text = DATASET.replace("dataset: toy", f"dataset: c{number}").replace("color: VARCHAR}", columns)
        (folder / "dataset.yaml").write_text(text)
    code, text = victim.vflan("validate", "--all", "--not-rendered")
    victim.is_unharmed()
    return code, text, victim.specs


@pytest.mark.parametrize("kind", ["task", "dataset"])
@pytest.mark.parametrize("attempt", IDS)
def test_no_name_has(said: tuple[int, str, Path], attempt: str, kind: str) -> None:
    code, text, _ = said
    assert code == 1 and "Traceback" not in text
    shown = re.escape(repr(IDS[attempt])[1:-1]).replace("\\\\n", ".{1,4}")
    key = "id" if kind == "task" else "dataset"
    found = re.findall(rf":\d+:\d+: error: {key}: '{shown}.{{0,9}}(?: does not match| is a name)", text)
    assert found or ("\u202e" in IDS[attempt] and "U+202E" in text), text[:2000]


@pytest.mark.parametrize("attempt", COLUMNS)
def test_no_column_differs_by(said: tuple[int, str, Path], attempt: str) -> None:
    path = re.escape(f"{said[2]}/c{list(COLUMNS).index(attempt)}/dataset.yaml")
    assert re.search(rf"^{path}:\d+:\d+: error: .*are one name to SQL", said[1], re.MULTILINE)


def piped(victim: Victim) -> list[str]:
    os.mkfifo(victim.root / "map.toml")
    return ["--raw-map", str(victim.root / "map.toml")]


def linked(victim: Victim) -> list[str]:
    (victim.root / "map.toml").symlink_to("/dev/zero")
    return ["--raw-map", str(victim.root / "map.toml")]


def sparse(victim: Victim) -> list[str]:
    (victim.root / "map.toml").touch()
    os.truncate(victim.root / "map.toml", 20 << 30)
    return ["--raw-map", str(victim.root / "map.toml")]


def mapped(text: str, name: str = "raw.yaml") -> Callable[[Victim], list[str]]:
    def write(victim: Victim) -> list[str]:
        (victim.root / "here" / name).write_text(text.replace("SECRET", str(victim.secret)))
        return []

    return write


DEEP = "[tool.vision-flan.raw]\n" + "x = " + "[\n" * 5000 + "]\n" * 5000
#: What a map of raw folders must not be -> the arguments, the exit code, what is said.
MAPS: dict[str, tuple[Callable[[Victim], list[str]], int, str]] = {
    "a pipe": (piped, 1, "not a regular file"),
    "a device": (linked, 1, "not a regular file"),
    "a file of 20 GB": (sparse, 1, "the limit is"),
    "TOML that nests": (mapped(DEEP, "pyproject.toml"), 1, "nested too deeply"),
    "TOML of 200,000 dots": (mapped("a" + ".a" * 200_000 + " = 1\n", "pyproject.toml"), 1, "a line of"),
    "TOML of 50 MB": (mapped("x = '" + "a" * 50_000_000 + "'\n", "pyproject.toml"), 1, "the limit is"),
    "TOML that is none": (mapped("[tool.vision-flan.raw\n", "pyproject.toml"), 1, "cannot read the raw map"),
    "TOML of a date": (
        mapped("[tool.vision-flan.raw]\ntoy = 2012-01-01\n", "pyproject.toml"),
        1,
        "not a folder",
    ),
    "anchors": (mapped("a: &x /tmp\ntoy: *x\n"), 1, "anchors and aliases"),
    "of 20,000 places": (mapped("toy: [" + "/tmp," * 20_000 + "]\n"), 1, "more than 100 places"),
    "to the home of nobody": (mapped("toy: ~nobody-at-all/x\n"), 1, "home directory"),
    "to a file of the user": (mapped("toy: SECRET\n"), 4, "not an archive"),
    "to a name of 5,000 letters": (mapped("toy: " + "x" * 5000 + "\n"), 3, "does not exist"),
    "to NUL": (mapped('toy: "a\\0b"\n'), 3, "does not exist"),
    "to a server": (mapped("toy: https://example.org/x.zip\n"), 3, "does not exist"),
    "to the kernel": (mapped("toy: /proc\n"), 3, "are missing: toy.json"),
    "to a device that never ends": (mapped("toy: /dev/zero\n"), 3, "are missing: toy.json"),
}


@pytest.mark.parametrize("attempt", MAPS)
def test_no_map_of_raw_folders_is(victim: Victim, attempt: str) -> None:
    make, code, words = MAPS[attempt]
    ended, text = victim.vflan("compile", "--task", "toy_color", "--out", str(victim.out), *make(victim))
    assert ended == code and words in text, text
    assert "Traceback" not in text and SECRET not in text and len(text) < 3000
    for name in ("raw.yaml", "pyproject.toml"):
        (victim.root / "here" / name).unlink(missing_ok=True)
    victim.is_unharmed()


def as_link(path: Path, to: Path | str) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(to)


#: What a cut miniature must not be -> how it becomes that.
MINIATURES: dict[str, Callable[[Victim, Path], object]] = {
    "a folder that is elsewhere": lambda v, mini: (
        mini.rename(v.root / "there"),
        as_link(mini, v.root / "there"),
    ),
    "raw files that are elsewhere": lambda v, mini: as_link(mini / "raw", v.home),
    "borrowed files that are elsewhere": lambda v, mini: as_link(mini / "borrowed", v.root),
    "a folder of raw files that is elsewhere": lambda v, mini: as_link(mini / "raw/more", v.home),
    "a link to a file of the user": lambda v, mini: as_link(mini / "raw/id_rsa", v.secret),
    "a link to a device": lambda v, mini: as_link(mini / "raw/id_rsa", "/dev/zero"),
    "a pipe": lambda v, mini: os.mkfifo(mini / "raw/id_rsa"),
    "a file of 20 GB": lambda v, mini: (
        (mini / "raw/id_rsa").touch(),
        os.truncate(mini / "raw/id_rsa", 20 << 30),
    ),
    "a link of what it must become": lambda v, mini: as_link(mini / "expected.jsonl", v.secret),
}


@pytest.mark.parametrize("attempt", MINIATURES)
@pytest.mark.parametrize("command", ["preview", "miniature", "expect"])
def test_no_miniature_has(victim: Victim, attempt: str, command: str) -> None:
    folder = victim.root / "tests/miniatures/toy"
    shutil.copytree(victim.raw / "toy", folder / "raw")
    (folder / "expected.jsonl").touch()
    MINIATURES[attempt](victim, folder)
    arguments = {
        "preview": ("preview", "toy_color"),
        "miniature": ("miniature", "make", "toy", "--out", str(victim.root / "here/made")),
        "expect": ("miniature", "expect", "toy"),
    }
    text = victim.refuses(*arguments[command])
    assert "link" in text or "not a regular file" in text or "the limit is" in text, text
