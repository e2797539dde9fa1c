import re
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.errors import DamagedFileError, Location, SpecError
from vision_flan.raw.names import is_text
from vision_flan.raw.patterns import LinePattern, Pattern, is_inside, refuse_unsafe

PART = st.text(st.characters(codec="utf-8", exclude_characters="/\\{}*:\0\n"), min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..")
)


@pytest.mark.parametrize(
    ("pattern", "path", "parts"),
    [
        ("train/{class}/{name}.png", "train/cat/1.png", {"class": "cat", "name": "1"}),
        ("train/{class}/{name}.png", "train/cat/old/1.png", None),
        ("train/{class}/{name}.png", "train/cat/1.jpg", None),
        ("train/{class}/{name}.png", "train//1.png", None),
        ("{n:d}.txt", "0042.txt", {"n": "0042"}),
        ("{n:d}.txt", "x42.txt", None),
        ("images/{rest*}", "images/a/b/c.jpg", {"rest": "a/b/c.jpg"}),
        ("images/{rest*}.jpg", "images/.jpg", {"rest": ""}),
        ("data/*.csv", "data/x.csv", {}),
        ("data/*.csv", "data/a/x.csv", None),
        ("{class}/{class}_{n:d}.jpg", "cat/cat_1.jpg", {"class": "cat", "n": "1"}),
        ("{class}/{class}_{n:d}.jpg", "cat/dog_1.jpg", None),
        ("a.b+c(1)/{x}", "a.b+c(1)/y", {"x": "y"}),
        ("a.b/{x}", "aXb/y", None),
        ("{{x}}/{y}", "{x}/1", {"y": "1"}),
    ],
)
def test_path_pattern_names_the_parts_of_a_path(
    pattern: str, path: str, parts: dict[str, str] | None
) -> None:
    assert Pattern(pattern).match(path) == parts


@pytest.mark.parametrize("pattern", ["", "a/{", "a/}", "{a b}", "{a:x}", "{1}", "{}", "{a"])
def test_a_wrong_pattern_is_a_finding_at_its_place(pattern: str) -> None:
    with pytest.raises(SpecError) as caught:
        Pattern(pattern, Location("dataset.yaml", 7))
    assert caught.value.where == Location("dataset.yaml", 7)


def test_prefix_is_the_folders_before_the_first_field() -> None:
    assert Pattern("a/b/{x}/c").prefix == "a/b"
    assert Pattern("a/b{x}/c").prefix == "a"
    assert Pattern("{x}").prefix == ""
    assert Pattern("a/b.json").prefix == "a"
    assert Pattern("a/b.json").is_literal


@given(st.lists(PART, min_size=1, max_size=4), st.data())
def test_literal_text_around_fields_comes_back_as_written(parts: list[str], data: st.DataObject) -> None:
    is_field = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    names = [f"f{at}" for at in range(len(parts))]
    pattern = Pattern(
        "/".join(f"{{{n}}}" if f else p for n, p, f in zip(names, parts, is_field, strict=True))
    )
    expected = {n: normalize("NFC", p) for n, p, f in zip(names, parts, is_field, strict=True) if f}
    assert pattern.match("/".join(parts)) == expected
    assert pattern.names == tuple(expected)


@given(st.lists(PART, min_size=2, max_size=5))
def test_every_folder_above_a_match_may_be_entered(parts: list[str]) -> None:
    path = "/".join(parts)
    for pattern in (Pattern("{x*}"), Pattern("/".join(f"{{f{at}}}" for at in range(len(parts))))):
        assert pattern.match(path) is not None
        for level in range(len(parts) - 1):
            assert pattern.may_enter("/".join(parts[: level + 1]), level)


@pytest.mark.parametrize(
    ("pattern", "line", "parts"),
    [
        ("{path} {label:d}", "a/b c.jpg 3", {"path": "a/b c.jpg", "label": "3"}),
        ("{id} {label:d}", "000007  -1", {"id": "000007", "label": "-1"}),
        ("{a},{b}", "x,y,z", {"a": "x", "b": "y,z"}),
        ("{id} {name}", " 1 Black footed Albatross \r", {"id": "1", "name": "Black footed Albatross"}),
        ("{q}\t{a}", "Is it?\tYes", {"q": "Is it?", "a": "Yes"}),
        ("{points*}####{text*}", "1,2,####", {"points": "1,2,", "text": ""}),
        ("{path} {label:d}", "a.jpg cat", None),
        ("{path} {label:d}", "", None),
    ],
)
def test_line_pattern_gives_the_rest_to_the_last_field(
    pattern: str, line: str, parts: dict[str, str] | None
) -> None:
    assert LinePattern(pattern).match(line) == parts


@given(st.from_regex(re.compile(r"[a-z]([a-z./ ]*[a-z])?", re.ASCII), fullmatch=True), st.integers(-99, 99))
def test_a_written_list_line_reads_back(path: str, label: int) -> None:
    assert LinePattern("{path} {label:d}").match(f"{path} {label}") == {"path": path, "label": str(label)}


@given(st.one_of(st.text(st.sampled_from("a_C1:/\\. -é\0\n\udc80"), max_size=8), st.text(max_size=8)))
def test_a_path_is_refused_unless_it_is_text_and_inside(path: str) -> None:
    try:
        refuse_unsafe(path)
        refused = False
    except DamagedFileError:
        refused = True
    assert refused == (not is_inside(path) or not is_text(path))
