"""Commands that a document names exist and take the options they are named with, also where none runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.docs import test_links
from vision_flan.cli.main import vflan

#: Without the changelog, which names what was.
DOCUMENTS = [document for document in test_links.DOCUMENTS if document.name != "CHANGELOG.md"]

_BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(vflan(?:-compile)? [^`\n]+)`")
_LINE = re.compile(r"(?:^|&& |; |\| |\$ )(vflan(?:-compile)? .*)")
#: What ends a command in a shell.
_END = {"&&", "|", ";", "||", ">", "#", "&"}


def commands(document: Path) -> Iterator[str]:
    """What a document tells a reader to type, in text and in blocks."""
    text = document.read_text("utf-8")
    for block in _BLOCK.finditer(text):
        for line in block[1].replace("\\\n", " ").splitlines():
            yield from (found[1] for found in _LINE.finditer(line.strip()))
    yield from _INLINE.findall(_BLOCK.sub("", text))


def words(command: str) -> list[str]:
    """The words of the command up to what ends it."""
    try:
        found = shlex.split(command.replace("...", " "), comments=True)
    except ValueError:
        found = command.split()
    end = next((i for i, word in enumerate(found) if word in _END or word.endswith(";")), len(found))
    return found[:end]


def problem(command: str) -> str:
    """What is wrong with a command, "" for nothing."""
    first, *rest = words(command)
    if first == "vflan-compile":
        rest = ["compile", *rest]
    found: click.Command = vflan
    while isinstance(found, click.Group) and rest and not rest[0].startswith("-"):
        inner = found.get_command(click.Context(found), rest[0])
        if inner is None and found is vflan and rest[0].islower():
            return f"there is no command {rest[0]!r}"
        if inner is None:
            break
        found, rest = inner, rest[1:]
    if isinstance(found, click.Group):  # `vflan miniature DATASET` calls its command `make`
        found = found.get_command(click.Context(found), "make") or found
    known = {option for one in found.params for option in (*one.opts, *one.secondary_opts)}
    known |= {"-h", "--help", "--root"}
    options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    unknown = [option for option in options if option not in known]
    return f"{found.name} takes no {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_options_that_a_document_names_exist(document: Path) -> None:
    found = {command: problem(command) for command in commands(document)}
    assert {command: wrong for command, wrong in found.items() if wrong} == {}


def test_an_unknown_command_and_option_would_be_noticed() -> None:
    assert problem("vflan compil --task x") and problem("vflan compile --tasks x --raw y")
    assert not problem("vflan compile --task x --raw ~/raw > log.txt")
    assert sum(1 for document in DOCUMENTS for _ in commands(document)) > 100
