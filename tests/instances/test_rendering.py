from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.errors import Location, SpecError
from vision_flan.instances import rendering
from vision_flan.instances.rendering import Renderer, UnknownLabelError
from vision_flan.instances.text_filters import (
    TEXT_FILTERS,
    article,
    detokenize,
    enumerate_and,
    is_clean,
    question_mark,
    sentence,
    unglue,
)

HERE = Location("task.yaml", 7)


def render(template: str, **row: Any) -> str:
    return Renderer({"colors": {"r": "red"}}).compile(template, HERE).render(row)


def test_a_bare_name_is_the_field() -> None:
    assert render("caption", caption="A dog.") == "A dog."


TEXT = st.text(st.sampled_from("ab\n {}%#é\0"), max_size=4)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.dates(), st.text(max_size=5),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.just("k"), st.integers()),
)  # fmt: skip


@given(
    st.lists(st.one_of(TEXT, st.sampled_from(["{{ a }}", "{{b}}", "{{ a }}\n", "{{- b -}}", "{{ self }}"]))),
    st.dictionaries(st.sampled_from(["a", "b"]), VALUES),
)
def test_a_template_of_fields_and_fixed_texts_is_rendered_as_jinja_does(
    parts: list[str], row: dict[str, object]
) -> None:
    def outcome() -> str:
        try:
            return render("".join(parts), **row)
        except SpecError as error:
            return error.what

    ours = outcome()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rendering, "plain_pieces", lambda _: None)
        assert outcome() == ours


@given(
    st.lists(
        st.one_of(TEXT, st.sampled_from(["{{ a }}", "{{b}}", "{{ a }}\n", "{{- b -}}", "a", "{% if a %}"]))
    ),
    st.lists(st.fixed_dictionaries({"a": TEXT, "b": VALUES | st.integers()}), max_size=4),
)
def test_the_texts_of_a_column_are_those_of_its_rows(parts: list[str], rows: list[dict[str, Any]]) -> None:
    try:
        template = Renderer().compile("".join(parts), HERE)
    except SpecError:
        return
    columns = {name: [row[name] for row in rows] for name in ("a", "b")}
    column = template.column(columns, len(rows))
    assert column is None or column == [template.render(row) for row in rows]


def test_a_column_of_texts_or_whole_numbers_needs_no_rows() -> None:
    columns = {"a": ["x", "y "], "n": [1, 2], "m": ["x", None]}
    for template, texts in {
        "a": ["x", "y "], "n": ["1", "2"], "{{ a }}": ["x", "y"], "{{ n }}: {{ a }}.": ["1: x.", "2: y ."],
        "Say it. ": ["Say it."] * 2, "m": None, "{{ m }}": None, "{{ a | upper }}": None,
    }.items():  # fmt: skip
        assert Renderer().compile(template, HERE).column(columns, 2) == texts


def test_a_template_of_fields_is_no_longer_than_others_may_be() -> None:
    long = "x" * (rendering.MAX_RENDERED_CHARS // 2)
    assert len(render("{{ a }}{{ a }}", a=long)) == rendering.MAX_RENDERED_CHARS
    with pytest.raises(SpecError, match="renders to more than 200,000 characters"):
        render("{{ a }}.{{ a }}", a=long)


def test_null_renders_as_nothing_not_as_none() -> None:
    assert render("caption", caption=None) == ""
    assert render("[{{ caption }}]", caption=None) == "[]"


@pytest.mark.parametrize("name", TEXT_FILTERS)
def test_null_through_a_filter_of_text_is_no_text(name: str) -> None:
    call = {"replace": "replace('x', 'y')", "pad": "pad(4)"}.get(name, name)
    assert render("{{ caption | " + call + " }}", caption=None) == ""


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ words | join(', ') }}", "a, b"),
        ("{{ words | enumerate_and }}", "a and b"),
        ("{{ words[1] ~ words[0] ~ 1 }}", "a1"),
    ],
)
def test_null_in_a_list_or_beside_a_text_is_left_out(template: str, text: str) -> None:
    assert render(template, words=["a", None, "b"]) == text


def test_lists_of_structs_can_be_looped_over() -> None:
    template = "{% for x in qa %}Q{{ loop.index }}: {{ x.q }}\n{% endfor %}"
    assert render(template, qa=[{"q": "a"}, {"q": "b"}]) == "Q1: a\nQ2: b"


def test_a_key_of_a_struct_wins_over_a_method_of_the_same_name() -> None:
    assert render("{{ row.items }}", row={"items": "three"}) == "three"


def test_characters_of_html_become_themselves() -> None:
    text = "Vel&#225;zquez &amp; Sons&#146; &lt;b&gt; R&D"
    assert render("{{ text | unescape }}", text=text) == "Velázquez & Sons\u2019 <b> R&D"


@pytest.mark.parametrize(
    ("tokens", "typed"),
    [
        ("the dog 's bed ( a new one ) .", "the dog's bed (a new one)."),
        ("they do n't , we ’ll : 4 % [ about ]  so !", "they don't, we’ll: 4% [about] so!"),
        ('a sign , " open " , and " \'s top "', 'a sign, "open", and "\'s top"'),
        ("one - two & 'sup", "one - two & 'sup"),
    ],
)
def test_what_a_tokenizer_set_apart_is_as_one_types_it(tokens: str, typed: str) -> None:
    assert render("{{ text | detokenize }}", text=tokens) == typed


@pytest.mark.parametrize(
    ("glued", "apart"),
    [
        ("A cat.It sits!Why?It can.", "A cat. It sits! Why? It can."),
        ("in 1921.He (aged 7).She", "in 1921. He (aged 7). She"),
        ("The U.S.Army at 3.30 p.m. and www.example.org", "The U.S.Army at 3.30 p.m. and www.example.org"),
    ],
)
def test_sentences_that_lost_their_blank_get_one(glued: str, apart: str) -> None:
    assert render("{{ text | unglue }}", text=glued) == apart


@given(st.text(alphabet="ab .,\"'()[]%AZsnt’", max_size=60))
def test_only_blanks_come_and_go(text: str) -> None:
    for repaired in (detokenize(text), unglue(text)):
        assert repaired.replace(" ", "") == text.replace(" ", "")


def test_labels_are_looked_up_by_their_text() -> None:
    assert render("{{ c | label('colors') }}", c="r") == "red"


def test_a_value_without_a_label_is_no_spec_error_but_drops_the_record() -> None:
    with pytest.raises(UnknownLabelError):
        render("{{ c | label('colors') }}", c="x")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ row.nothing }}", "has no attribute 'nothing'"),
        ("{{ text.__class__ }}", "unsafe"),
        ("{{ text.__class__.__mro__ }}", "unsafe"),
        ("{{ row.keys() }}", "no calls"),
        ("{{ text.upper() }}", "no calls"),
        ("{{ text | attr('__class__') }}", "No filter named 'attr'"),
        ("{{ text | center(1000000000) }}", "No filter named 'center'"),
        ("{{ text * 1000000000 }}", "works on numbers only"),
        ("{{ '%1000000000d' % 1 }}", "works on numbers only"),
        ("{{ 10 ** 10 ** 10 }}", "works on numbers only"),
        ("{% macro m() %}{% endmacro %}", "no {% macro %}"),
        ("{% include '/etc/passwd' %}", "no {% include %}"),
        ("{% import 'os' as os %}", "no {% import %}"),
        ("{% for i in many recursive %}{% endfor %}", "no recursive loops"),
        ("{% for i in range(10) %}{% endfor %}", "no calls"),
        ("{{ text | label('cities') }}", "no label table 'cities'"),
        ("{{ text", "unexpected end of template"),
        ("{{ 1 // 0 }}", "zero"),
        ("{{ text | position('z') }}", "is not in list"),
        (
            "{% for a in many %}{% for b in many %}{% for c in many %}{% endfor %}{% endfor %}{% endfor %}",
            "loops more than",
        ),
        ("{% for a in many %}{% for b in many %}{{ long }}{% endfor %}{% endfor %}", "characters"),
    ],
)
def test_what_a_template_must_not_do_is_an_error_with_its_place(template: str, message: str) -> None:
    row = {"text": "abc", "row": {"a": 1}, "many": list(range(200)), "long": "x" * 1000}
    with pytest.raises(SpecError) as caught:
        render(template, **row)
    assert message in caught.value.what
    assert str(caught.value).startswith("task.yaml:7: ")


def test_a_template_in_a_file_names_its_own_line(tmp_path: Path) -> None:
    place = Location(tmp_path / "task.j2")
    with pytest.raises(SpecError) as caught:
        Renderer().compile("one\ntwo {% if %}\n", place)
    assert caught.value.where == Location(tmp_path / "task.j2", 2)


def test_a_template_larger_than_the_limit_is_refused() -> None:
    with pytest.raises(SpecError, match="larger than"):
        render("x" * (rendering.MAX_TEMPLATE_BYTES + 1) + " ")


def test_a_missing_instruction_says_where_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        rendering.read_template(tmp_path / "a.j2")
    assert str(tmp_path / "a.j2") in caught.value.hint


def test_an_instruction_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_bytes(b"caf\xe9")
    with pytest.raises(SpecError, match="not UTF-8"):
        rendering.read_template(tmp_path / "a.j2")


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("iron", "an iron"), ("cat", "a cat"), ("hour", "an hour"), ("hourglass", "an hourglass"),
        ("unicycle", "a unicycle"),
        ("university", "a university"), ("umbrella", "an umbrella"), ("unnamed dog", "an unnamed dog"),
        ("LA Graphic Tee", "an LA Graphic Tee"), ("NYC map", "an NYC map"), ("M-65 jacket", "an M-65 jacket"),
        ("UK Flag", "a UK Flag"), ("8 Ball", "an 8 Ball"), ("11", "an 11"), ("18-wheeler", "an 18-wheeler"),
        ("80s dress", "an 80s dress"), ("1 cent coin", "a 1 cent coin"), ("100 m race", "a 100 m race"),
        ("1850 house", "an 1850 house"), ("110 film", "a 110 film"), ("11,000 feet", "an 11,000 feet"),
        ("engine", "an engine"), ("honest man", "an honest man"), ("heir", "an heir"), ("TV", "a TV"),
        ("X-ray", "an X-ray"), ("T-shirt", "a T-shirt"), ("U-turn", "a U-turn"), ("LED lamp", "an LED lamp"),
        ("SUV", "an SUV"), ("RED HAT", "a RED HAT"), ("OWL", "an OWL"),
        ("unidentified bird", "an unidentified bird"),
        ("euro", "a euro"), ("ukulele", "a ukulele"), ("herb", "an herb"), ("ewe", "a ewe"),
        ("MRI", "an MRI"),
        ("USB stick", "a USB stick"), ("once", "a once"), ("onion", "an onion"), ("urn", "an urn"),
        ("European", "a European"), ("one-way street", "a one-way street"), ("utensil", "a utensil"),
        ("user", "a user"), ("elephant", "an elephant"), ("house", "a house"), (" apple ", "an apple"),
    ],
)  # fmt: skip
def test_the_article_follows_the_sound(noun: str, expected: str) -> None:
    assert article(noun) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a table,", "A table."), ("a table ,.", "A table."), ("a table .", "A table."), ("why ?", "Why?"),
        ("a table -", "A table."), ("a table;", "A table."), ('He said "stop"', 'He said "stop."'),
        ('He said "stop."', 'He said "stop."'), ("a dog (black)", "A dog (black)."),
        ("a board 12\"", 'A board 12".'),
        ("the dogs'", "The dogs'."), (" . ", ""), ("", ""), ("go!", "Go!"),
    ],
)  # fmt: skip
def test_a_sentence_ends_in_one_mark(text: str, expected: str) -> None:
    assert sentence(text) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{% set a = text %}" + "{% set a = a ~ a %}" * 40 + "{{ a | length }}",
        "{% set a = text %}" + "{% set a = a + a %}" * 40 + "{{ a | length }}",
        "{% set a = many %}" + "{% set a = a + a %}" * 40 + "{{ a | length }}",
        "{% set a = text %}" + "{% set a = a | replace('a', a) %}" * 40 + "{{ a | length }}",
        "{% set a = text %}" + "{% set a = [a, a, a] | join(a) %}" * 40 + "{{ a | length }}",
        "{% set a = [1] %}{% set b = [1] %}"
        + "{% set a = [a, a] %}{% set b = [b, b] %}" * 40
        + "{{ a == b }}",
        "{% for a in [[text, text]] %}{% for b in [[a, a]] %}{{ b == a }}{% endfor %}{% endfor %}",
        "{{ 1 | round(900000000) }}",
        "{{ many | map('map', 'upper') | list | length }}",
        "{% for a in many %}" * 25 + "{% endfor %}" * 25,
        "{% if text %}" * 110 + "{% endif %}" * 110,
        "{{ text | truncate(-5) }}",
        "{{ [text] | map('upper') }}",
        "{{ many }}",
        "{{ [many] | join }}",
        "{{ many | upper }}",
    ],
)
def test_what_would_fill_memory_or_write_an_object_is_refused(template: str) -> None:
    with pytest.raises(SpecError):
        render(template, text="abcabc", many=["x"] * 50)


def test_an_unknown_bare_name_is_an_error_with_the_nearest_field() -> None:
    with pytest.raises(SpecError) as caught:
        render("nmae", name="x", other="y")
    assert str(caught.value.where) == "task.yaml:7" and "did you mean 'name'?" in caught.value.hint


def test_an_instruction_of_one_word_is_a_text() -> None:
    assert Renderer().compile("Describe", HERE, False).render({}) == "Describe"


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_cannot_be_written_is_known(text: str) -> None:
    assert not is_clean("fine", text) and is_clean("fine", "\U0001f600")


@pytest.mark.parametrize(
    ("items", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_words_are_enumerated_as_in_a_sentence(items: list[str], expected: str) -> None:
    assert enumerate_and(items) == expected


@given(st.text())
def test_a_question_ends_in_one_question_mark_and_nothing_is_no_question(text: str) -> None:
    asked = question_mark(text)
    assert bool(asked) == bool(text.replace("?", " ").replace(".", " ").replace("!", " ").split())
    assert not asked or (asked.endswith("?") and not asked.endswith("??") and asked == asked.strip())


@given(st.text())
def test_a_sentence_is_the_same_when_made_twice(text: str) -> None:
    assert sentence(sentence(text)) == sentence(text)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(), min_size=1))
def test_fields_come_out_as_they_went_in_whatever_they_hold(row: dict[str, str]) -> None:
    reserved = {"none", "true", "false", "and", "or", "not", "if", "else", "in", "is", "loop", "self"}
    for name in row.keys() - reserved:
        assert Renderer().compile("<{{ " + name + " }}>", HERE).render(row) == f"<{row[name]}>"
