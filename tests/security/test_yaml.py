"""YAML that is more than plain data, or too much of it: each file is refused with its line, all in one command."""

# ruff: noqa: E501 - an attempt is a line

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.security.conftest import Victim
from tests.toy import DATASET

_TITLE = "title: Toy\n"


def titled(text: str) -> Callable[[str], bytes]:
    """The dataset with another line for its title."""
    return lambda whole: whole.replace(_TITLE, text).encode("utf-8", "surrogatepass")


def sized(number: str) -> Callable[[str], bytes]:
    """The dataset with another size of its first file."""
    return lambda whole: whole.replace("bytes: 1234", f"bytes: {number}").encode()


def labels(text: str) -> Callable[[str], bytes]:
    return lambda whole: whole.replace("colors: {", f"colors: {{{text}, ").encode()


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
#: What must not be read -> the file, from the toy's dataset.yaml; and what is said of it.
ATTEMPTS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "a billion laughs": (lambda whole: (whole + LAUGHS).encode(), "anchors and aliases"),
    "an alias of itself": (titled("title: &a [*a]\n"), "anchors and aliases"),
    "an anchor on a key": (titled("&a title: Toy\n"), "anchors and aliases"),
    "an alias as a key": (titled("title: &a Toy\n*a : x\n"), "anchors and aliases"),
    "an anchor after a mark of byte order": (lambda whole: b"\xef\xbb\xbf&a " + whole.encode(), "anchors and aliases"),
    "a merge": (titled(_TITLE + "<<: {title: x}\n"), "no key '<<'"),
    "a merge of labels": (lambda whole: whole.replace("labels:\n", "labels:\n  <<: {a: {b: c}}\n").encode(), "'<<'"),
    "an object of Python": (titled("title: !!python/object/apply:os.system [id]\n"), "the tag"),
    "a name of Python": (titled("title: !!python/name:os.system x\n"), "the tag"),
    "a tag by its address": (titled("title: !<tag:yaml.org,2002:python/none> x\n"), "the tag"),
    "a tag by another handle": (
        lambda whole: b"%TAG !e! tag:yaml.org,2002:python/\n---\n" + whole.replace("Toy\n", "!e!none x\n", 1).encode(), "the tag",
    ),
    "a tag on a key": (titled("!!python/none title: Toy\n"), "the tag"),
    "a tag of our own": (titled("title: !mine Toy\n"), "the tag"),
    "a tag of no name": (titled("title: ! Toy\n"), "the tag"),
    "bytes": (titled("title: !!binary aGVsbG8=\n"), "the tag"),
    "a set": (lambda whole: whole.replace("labels:\n", "labels: !!set\n").encode(), "the tag"),
    "an ordered mapping": (titled("title: !!omap [a: b]\n"), "the tag"),
    "a number that is none": (titled("title: !!int x\n"), "the tag"),
    "a time": (titled("title: !!timestamp 2012-01-01\n"), "the tag"),
    "a key that occurs twice": (titled(_TITLE * 2), "occurs twice, first on line 2"),
    "a label that occurs twice": (labels("1: x, '1': y"), "occurs twice"),
    "an empty label that occurs twice": (labels("~: x, ~: y"), "occurs twice"),
    "a key that is a list": (titled(_TITLE + "? [a, b]\n: c\n"), "a key must be text"),
    "a key that is a mapping": (titled(_TITLE + "? {a: b}\n: c\n"), "a key must be text"),
    "a key with a letter of another script": (titled("tit\u04cfe: Toy\n"), "lacks title"),
    "a key with a space of no width": (titled("t\u200bitle: Toy\n"), "lacks title"),
    "30,000 keys": (titled(_TITLE + "".join(f"k{n}: 1\n" for n in range(30_000))), "more keys like these"),
    "a key of a megabyte": (titled(_TITLE + "x" * 1_000_000 + ": y\n"), "could not find expected"),
    "a million items": (titled("title: [" + "1," * 900_000 + "]\n"), "lines and items"),
    "a text of a megabyte": (titled("title: " + "x" * 1_000_000 + "\n"), "title: "),
    "more than two megabytes": (titled("title: " + "x" * 2_000_000 + "\n"), "the limit is"),
    "lists in lists": (titled("title: " + "[" * 100_000 + "]" * 100_000 + "\n"), "nest"),
    "items in items": (titled("title:\n  " + "- " * 50_000 + "x\n"), "nested more than"),
    "keys in keys": (titled("title:\n  " + "? " * 50_000 + "x\n"), "nested more than"),
    "pairs in pairs": (titled("title: " + "[a: " * 50_000 + "\n"), "nested more than"),
    "mappings by their indents": (lambda whole: "".join(" " * n + "a:\n" for n in range(1_500)).encode(), "nested more than"),
    "Latin-1": (lambda whole: whole.encode().replace(b"Toy", b"T\xf8y", 1), "is not UTF-8"),
    "UTF-16": (lambda whole: whole.encode("utf-16"), "is not UTF-8"),
    "UTF-16 without its mark": (lambda whole: whole.encode("utf-16-le"), "U+0000"),
    "UTF-32": (lambda whole: whole.encode("utf-32"), "is not UTF-8"),
    "half of a pair of UTF-16": (titled("title: \ud800\n"), "is not UTF-8"),
    "a letter in too many bytes": (lambda whole: whole.encode().replace(b"Toy", b"\xc1\xbf", 1), "is not UTF-8"),
    "NUL": (titled("title: T\0y\n"), "U+0000"),
    "a control character": (titled("title: T\x1by\n"), "U+001B"),
    "an escape beyond Unicode": (titled('title: "\\U00110000"\n'), "invalid Unicode"),
    "an escape of half a pair": (titled('title: "\\ud800"\n'), "invalid Unicode"),
    "text that turns its direction": (titled("title: Toy # \u202e yoT :eltit\n"), "U+202E"),
    "an isolate that hides the rest": (titled("title: Toy\u2066\n"), "U+2066"),
    "two documents": (lambda whole: f"{whole}\n---\n{whole}".encode(), "another document"),
    "text after the end": (lambda whole: f"{whole}\n...\nx: y\n".encode(), "did not find expected"),
    "a version that there is not": (lambda whole: b"%YAML 9.9\n---\n" + whole.encode(), "incompatible"),
    "nothing": (lambda whole: b"", "mapping of keys"),
    "a list": (lambda whole: b"- a\n", "mapping of keys"),
    "indents of tabs": (lambda whole: whole.replace("  records", "\trecords").encode(), "cannot start any token"),
    "a line that another one hides": (titled("title: Toy\u2028evil: 1\n"), "no key 'evil'"),
    "a size of 400 digits": (sized("9" * 400), "too large"),
    "a size beyond 64 bits": (sized("9223372036854775808"), "too large"),
    "a size beyond a float": (sized("1e999"), "too large"),
    "a size below nothing": (sized("-1"), "minimum"),
    "a size in floating point": (sized("1e3"), "not of type"),
    "a size that is half": (sized("1.5"), "not of type"),
    "a size without end": (sized(".inf"), "not of type"),
    "a size that is no number": (sized(".nan"), "not of type"),
    "a size in hexadecimal": (sized("0x10"), "not of type"),
    "a size in sixties": (sized("1:30:00"), "not of type"),
    "a size that is true": (sized("true"), "not of type"),
    "a title that is true": (titled("title: true\n"), "not of type"),
    "a label that is a list": (labels("a: [b]"), "labels"),
    "a name that ends in a line": (lambda whole: whole.replace("colors: {", '"colors\\n": {').encode(), "does not match"),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, warm: object) -> tuple[int, str, Path]:
    """What `vflan validate` says of all of them."""
    victim = Victim(tmp_path_factory.mktemp("yaml"), warm)  # type: ignore[arg-type]
    for number, (made, _) in enumerate(ATTEMPTS.values()):
        folder = victim.specs / f"a{number:03}"
        folder.mkdir()
        (folder / "dataset.yaml").write_bytes(made(DATASET.replace("dataset: toy", f"dataset: a{number:03}")))
    code, text = victim.vflan("validate", "--all", "--not-rendered")
    victim.is_unharmed()
    return code, text, victim.specs


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_spec_holds(said: tuple[int, str, Path], attempt: str) -> None:
    code, text, specs = said
    assert code == 1
    assert "Traceback" not in text and "unexpected while" not in text
    path = re.escape(f"{specs}/a{list(ATTEMPTS).index(attempt):03}/dataset.yaml")
    errors = re.findall(rf"^{path}(?::\d+)*: error: .*$", text, re.MULTILINE)
    assert errors and any(ATTEMPTS[attempt][1] in error for error in errors), errors
    assert all(len(error) < 1000 for error in errors)
    if attempt not in ("nothing", "more than two megabytes", "a million items", "UTF-32", "UTF-16"):
        assert any(re.match(rf"{path}:\d+", error) for error in errors)


def test_what_looks_like_more_is_text(victim: Victim) -> None:
    """Words, dates and numbers of YAML 1.1 are names in a label table, as they are written."""
    table = "no: on\nyes: off\ny: ~\n2012-01-01: 1.10\n1:30: 007\n0x1F: .nan\n+5: 1_000\n"
    (victim.specs / "toy/table.yaml").write_text(table)
    victim.replace("form: options", "form: options\nlabels: {colors: table.yaml}")
    colors = ["no", "yes", "2012-01-01", "1:30", "0x1F", "+5"]
    victim.write_records([{"name": f"000{at}.png", "color": color} for at, color in enumerate(colors)])
    assert victim.compiled()[0] == 0
    targets = {
        row["messages"][-1]["content"][0]["text"] if "messages" in row else str(row) for row in victim.rows()
    }
    for name in ("on", "off", "1.10", "007", ".nan", "1_000"):
        assert any(name in target for target in targets), (name, targets)
