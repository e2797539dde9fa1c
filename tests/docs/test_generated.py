from __future__ import annotations

import click
import pytest

from tests.docs.generate import DOCS, cli_document
from vision_flan.cli.main import COMMANDS, vflan


def test_the_help_pages_are_those_of_the_commands() -> None:
    assert (DOCS / "cli.md").read_text("utf-8") == cli_document(), "run `make docs`"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_says_in_a_sentence_what_it_does_and_shows_an_example(name: str) -> None:
    command = vflan.get_command(click.Context(vflan), name)
    assert command is not None and command.help and command.help.split("\n")[0].strip().endswith(".")
    pages = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    assert any("Example" in f"{page.help}{page.epilog}" for page in pages)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_says_what_it_is_for(name: str) -> None:
    command = vflan.get_command(click.Context(vflan), name)
    assert command is not None
    pages = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for page in pages:
        for option in page.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.name}"
