from __future__ import annotations

import doctest
import re
from pathlib import Path

import click
import pytest

from tests.docs.api_document import api_document
from tests.docs.generate import DOCS, cli_document, with_licenses_table
from tests.docs.spec_examples import EXAMPLES, examples_document, with_shipped_specs
from vision_flan import api
from vision_flan.cli.main import COMMANDS, vflan
from vision_flan.miniatures import registry
from vision_flan.spec.catalog import Catalog


def test_the_help_pages_are_those_of_the_commands() -> None:
    assert (DOCS / "cli.md").read_text("utf-8") == cli_document(), "run `make docs`"


def test_the_page_of_the_api_is_made_of_its_docstrings() -> None:
    document = api_document()
    assert (DOCS / "api.md").read_text("utf-8") == document, "run `make docs`"
    for name in api.__all__:
        assert f"## vf.{name}\n" in document


@pytest.mark.parametrize("name", api.__all__)
def test_the_examples_of_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    registry.make("textocr", tmp_path / "raw", 60, 0)
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name, globs={})
    assert example.examples
    printed: list[str] = []
    failed = doctest.DocTestRunner().run(example, out=printed.append).failed
    assert not failed, "".join(printed)


def test_the_page_of_tasks_has_a_line_for_each_and_no_other() -> None:
    shown = re.findall(r"^\| `(\w+)` \| ", (DOCS / "tasks.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(shown) == list(Catalog.default().task_files), "run `make docs`"


def test_the_table_of_licenses_is_that_of_the_specs() -> None:
    text, catalog = (DOCS / "licenses.md").read_text("utf-8"), Catalog.default()
    assert text == with_licenses_table(text, catalog), "run `make docs`"
    assert all(f"| [{slug}](" in text for slug in catalog.dataset_files)


def test_the_examples_of_specs_are_those_that_ship() -> None:
    assert (DOCS / "examples.md").read_text("utf-8") == examples_document(Catalog.default()), (
        "run `make docs`"
    )


def test_examples_of_specs_name_tasks_of_many_readers() -> None:
    catalog = Catalog.default()
    datasets = {catalog.task(name).dataset for name in EXAMPLES}
    readers = {table["reader"] for name in datasets for table in catalog.dataset(name).tables.values()}
    assert len(EXAMPLES) >= 10 and len(readers) >= 7


def test_the_specs_in_the_reference_are_those_that_ship() -> None:
    text = (DOCS / "spec.md").read_text("utf-8")
    assert text.count("<!-- from task_specs/") >= 3
    assert text == with_shipped_specs(text, Catalog.default()), "run `make docs`"


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
