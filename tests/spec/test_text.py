from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.errors import Location, SpecError
from vision_flan.spec.files import MAX_BYTES
from vision_flan.spec.text import load_yaml, parse_yaml

HERE = Path("task.yaml")


def data(text: str) -> Any:
    return parse_yaml(text, HERE).data


def error(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_yaml(text, HERE)
    return caught.value


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("2012-01-01", "2012-01-01"), ("007", "007"), ("0", 0),
        ("1.10", "1.10"), ("+5", "+5"), ("-0", "-0"), ("12", 12), ("-3", -3), ("1.5", 1.5), ("1e3", "1e3"),
        ("true", True), ("~", None), ("null", None),
        ('"12"', "12"), ("'true'", "true"), ("12:30", "12:30"), ("0x1F", "0x1F"), ("1_000", "1_000"),
        ("1:30", "1:30"), ("0o17", "0o17"), (".inf", ".inf"), (".nan", ".nan"), ("off", "off"),
    ],
)  # fmt: skip
def test_scalars_are_what_they_look_like(written: str, read: object) -> None:
    assert data(f"key: {written}") == {"key": read}


def test_every_key_and_item_has_a_place() -> None:
    document = parse_yaml("a: 1\nb:\n  - x\n  - c: 2\n", HERE)
    assert document.place("a") == Location(HERE, 1, 1)
    assert document.place("b", 1, "c") == Location(HERE, 4, 5)
    assert document.place("b", 1, "nothing") == Location(HERE, 4, 5)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a: 1\na: 2", "'a' occurs twice, first on line 1", 2),
        ("a: !!python/object/apply:os.system ['true']", "is not allowed", 1),
        ("a: !custom x", "is not allowed", 1),
        ("a: 1\nb: !!str x", "the tag tag:yaml.org,2002:str is not allowed", 2),
        ("a: [1, !!binary eA==]", "the tag tag:yaml.org,2002:binary is not allowed", 1),
        ("a: !!set {x, y}", "the tag tag:yaml.org,2002:set is not allowed", 1),
        ("a: ! x", "the tag ! is not allowed", 1),
        ("!!python/none a: x", "is not allowed", 1),
        ("a: 1\nb: x\0y", "U+0000 is not allowed", 2),
        ("a: 9223372036854775808", "is too large", 1),
        ("a: [" + "1," * 300_000 + "]", "more than 250,000 lines and items", 0),
        ("a: &anchor x\nb: *anchor", "anchors and aliases", 1),
        ("a:\n\tb: 1", "cannot start any token", 2),
        ("a: [1, 2", "did not find expected", 2),
        ("? [a, b]\n: c", "a key must be text", 1),
        ("a: 1\nb: " + "[" * 500, "nested more than", 2),
        ("a: 1\nb:\n  " + "- " * 100_000, "nested more than", 3),
        ("a: 1\nb: " + "9" * 5000, "is too large", 2),
        ("a: 1\nb: 1e999", "is too large", 2),
        ("a: " + "[" * 40 + "]" * 40, "nested more than", 1),
    ],
)
def test_what_specs_may_not_hold_is_an_error_with_its_line(text: str, message: str, line: int) -> None:
    caught = error(text)
    assert message in caught.what
    assert caught.where is not None and caught.where.line == line


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    assert "anchors" in error("\n".join(lines)).what


def test_an_ampersand_in_text_is_no_anchor() -> None:
    assert data("a: R&D and *stars*") == {"a": "R&D and *stars*"}


def test_a_file_that_is_not_there_not_utf8_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot read the file"):
        load_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(SpecError, match="not UTF-8") as caught:
        load_yaml(tmp_path / "latin.yaml")
    assert caught.value.where == Location(tmp_path / "latin.yaml", 2)
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SpecError, match="the limit is"):
        load_yaml(tmp_path / "large.yaml")


def test_an_empty_file_is_no_data(tmp_path: Path) -> None:
    assert parse_yaml("", HERE).data is None


text = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
plain = st.recursive(
    text | st.integers(-(10**9), 10**9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(text, plain, max_size=5))
def test_what_yaml_writes_as_text_comes_back_as_it_was(value: dict[str, Any]) -> None:
    class Quoting(yaml.SafeDumper):
        """Quotes all text, as an author does who wants text."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Quoting.add_representer(
        str, lambda dumper, item: dumper.represent_scalar("tag:yaml.org,2002:str", item, style='"')
    )
    assert data(yaml.dump(value, Dumper=Quoting, allow_unicode=True)) == (value or {})


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        parse_yaml(text, HERE)
    except SpecError as caught:
        assert caught.where is not None and caught.where.file == HERE
