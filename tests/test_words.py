"""Names, messages, help and pages use the field's words in American spelling.

What is data is left alone: instructions, instances in docs/tasks.md and docs/examples.md, the prompts of
judges, and what miniatures write.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "vision_flan"

#: What is not written -> what is. Patterns of whole words; a name is split at `_` and at capitals first.
BANNED = {
    r"pictures?": "image",
    r"full stops?": "period",
    r"licenc(e|es|ed|ing)": "license",
    r"blanks?(?! (line|image|page|canvas))": "space",
    r"anew": "again, or a verb with re-",
    r"mend(s|ed|ing)?": "fix",
    r"sub-folders?": "subfolder",
    r"(un)?label(led|ling)": "labeled, labeling",
    r"(cancel|travel|model|signal|fuel|level|channel|total|equal)(led|ling)": "one l",
    r"judgements?": "judgment",
    r"whilst|amongst|learnt|spelt|burnt|dreamt": "while, among, learned, ...",
    r"(water|dis|tri|multi|un)?colour(s|ed|ing|ful|less|ation)?": "color",
    r"(behavi|fav|hon|hum|lab|neighb|rum|harb|flav|endeav|rig)our(s|ed|ing|al|ite|able|hood)?": "-or",
    r"grey(s|ed|ish|scale)?": "gray",
    r"cent(re|res|red|ring)|metres?|kilomet(re|res)|theatres?|fibres?|litres?": "-er",
    r"catalogu(e|es|ed|ing)": "catalog",
    r"(defence|offence|pretence)s?": "-ense",
    r"(anal|paral|catal)ys(e|es|ed|ing)(?<!analyses)": "-yze",
    r"artefacts?": "artifact",
    r"programmes?": "program",
    r"(real|normal|organ|recogn|optim|initial|serial|summar|token|general|categor|final|minim|maxim|random"
    r"|equal|synchron|standard|visual|util|custom|emphas|character|local|special|author|capital|central|symbol"
    r"|vector|quant|regular|material|parallel|canonical|factor|harmon|memor|prior|stabil|penal)"
    r"is(e|es|ed|er|ers|ing|ation|ations)": "-ize",
}
_BANNED = re.compile("|".join(rf"(?:\b(?:{pattern})\b)" for pattern in BANNED), re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

#: An option of the reader `lines`, which specs may give; and an image without content is blank in any field.
ALLOWED_NAMES = {"skip_blank", "blank"}


class Hit(NamedTuple):
    """A banned word and where it stands."""

    file: str
    line: int
    text: str


def found(text: str) -> list[str]:
    """The banned words of a text."""
    return [match.group() for match in _BANNED.finditer(text)]


def words_of(name: str) -> str:
    """`normalise_RGBPictures` -> normalise RGB Pictures."""
    return " ".join(_WORDS.findall(name))


def instead_of(word: str) -> str:
    """What is written in place of a banned word."""
    return next(
        (better for pattern, better in BANNED.items() if re.fullmatch(pattern, word, re.IGNORECASE)), ""
    )


def in_text(path: Path, text: str, first_line: int = 1) -> Iterator[Hit]:
    for number, line in enumerate(text.splitlines(), first_line):
        for word in found(line):
            yield Hit(str(path.relative_to(REPOSITORY)), number, word)


def is_data(path: Path) -> bool:
    """Whether the strings of a module are content of miniatures."""
    return path.parent.name == "datasets" or path == PACKAGE / "miniatures" / "text.py"


def in_module(path: Path) -> Iterator[Hit]:
    """Hits in names, comments, docstrings, and strings that hold a space."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            text = node.value.replace("skip_blank", "")
            if id(node) in docstrings or not is_data(path):
                yield from in_text(path, text, node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from in_text(path, token.string, token.start[0])
        elif token.type == tokenize.NAME and token.string.lstrip("_") not in ALLOWED_NAMES:
            yield from in_text(path, words_of(token.string), token.start[0])


def in_page(path: Path) -> Iterator[Hit]:
    """Hits in a page; what stands in code is a quotation where a page is made of data, or of what was."""
    text = path.read_text("utf-8").replace("skip_blank", "")
    if path.name == "examples.md":
        text = re.sub(r"^```.*?^```", lambda block: "\n" * block.group().count("\n"), text, flags=re.M | re.S)
    if path.name in ("CHANGELOG.md", "examples.md"):
        text = re.sub(r"`[^`\n]*`", "", text)
    yield from in_text(path, text)


PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *(path for path in sorted((REPOSITORY / "docs").glob("*.md")) if path.name != "tasks.md"),
    *sorted(PACKAGE.rglob("*.md.j2")),
    *sorted(PACKAGE.rglob("*.html.j2")),
    *sorted(PACKAGE.rglob("*.schema.json")),
    *sorted(PACKAGE.rglob("recipes/*.yaml")),
    *(REPOSITORY / name for name in ("Makefile", "pyproject.toml", ".ci/run")),
]


def report(hits: list[Hit]) -> str:
    return "\n".join(f"{hit.file}:{hit.line}: {hit.text}: write {instead_of(hit.text)}" for hit in hits)


def test_names_and_messages_of_the_package_use_the_words_of_the_field() -> None:
    hits = [hit for path in sorted(PACKAGE.rglob("*.py")) for hit in in_module(path)]
    assert not hits, report(hits)


def test_pages_use_the_words_of_the_field() -> None:
    assert len(PAGES) > 20
    hits = [hit for path in PAGES for hit in in_page(path)]
    assert not hits, report(hits)


@pytest.mark.parametrize(
    "text",
    [
        "Pictures of cats", "one picture", "a full stop", "The licence of", "a blank between", "made anew",
        "mends it", "one sub-folder", "labelled", "a judgement", "the colours", "watercolour", "discoloured",
        "behaviour", "neighbours", "favourite", "grey", "grayscale or greyscale", "centred", "a catalogue",
        "in defence of", "analysed", "artefacts", "normalised", "recognise", "Tokenisation",
        words_of("normalise_images"), words_of("PictureFolder"), words_of("imageLicence"),
        words_of("_blanks"),
    ],
)  # fmt: skip
def test_words_of_another_field_or_country_are_found(text: str) -> None:
    assert found(text) and all(instead_of(word) for word in found(text))


@pytest.mark.parametrize(
    "text",
    [
        "An image of a gray dog, a greyhound", "labeled, licensed, centered", "blank lines are skipped",
        "a blank image", "recommended and amended", "the people pictured", "Two analyses", "color, colors",
        "four hours of ours, your source", "precise otherwise raise noise exercise", "paralyzed", "canceled",
        "a stop", "full", "a center, a meter", "behavior", words_of("catalog_of_licenses"),
    ],
)  # fmt: skip
def test_right_words_are_not_found(text: str) -> None:
    assert not found(text)
