"""The one layout of specs: what `vflan validate --fix` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_flan.review.layout import WIDTH, fixed, rewrite
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.text import parse_yaml

CATALOG = Catalog.default()
SPECS = [(path, "dataset") for path in CATALOG.dataset_files.values()]
SPECS += [(path, "task") for path in CATALOG.task_files.values()]


def form(text: str, kind: str = "task") -> str:
    return fixed(text, kind, Path("spec.yaml"))


def test_keys_stand_in_the_order_of_the_schema_with_their_comments() -> None:
    text = "# first line\nid: a\n# why this table\ntable: t\n# who\ntitle: A\ncategory: OCR\n"
    assert form(text) == "# first line\nid: a\n# who\ntitle: A\ncategory: OCR\n# why this table\ntable: t\n"


def test_a_table_stands_on_one_line_where_it_fits() -> None:
    text = 'tables:\n  t:\n    reader: files\n    file: "{name}.jpg"\n'
    assert form(text, "dataset") == 'tables:\n  t: {reader: files, file: "{name}.jpg"}\n'


def test_a_table_that_does_not_fit_has_a_line_an_option() -> None:
    columns = ", ".join(f"column_{i}: VARCHAR" for i in range(6))
    text = f"tables:\n  t: {{reader: json, file: a.json, columns: {{{columns}}}}}\n"
    assert form(text, "dataset") == (
        "tables:\n  t:\n    reader: json\n    file: a.json\n"
        "    columns: {column_0: VARCHAR, column_1: VARCHAR, column_2: VARCHAR, column_3: VARCHAR, "
        "column_4: VARCHAR,\n"
        "              column_5: VARCHAR}\n"
    )


def test_a_comment_inside_of_a_table_keeps_it_as_it_is() -> None:
    text = "tables:\n  t:\n    reader: json  # one document\n    file: a.json\n"
    assert form(text, "dataset") == text


def test_from_begins_a_line_in_sql_that_spans_lines_and_clauses_where_a_line_is_too_long() -> None:
    long = "WHERE " + " AND ".join(f"column_{i} <> ''" for i in range(4))
    text = f"sql: |\n  SELECT a, b,\n    c FROM t {long} GROUP BY some_column_with_a_name, another_one\n"
    assert form(text) == (
        f"sql: |\n  SELECT a, b,\n    c\n  FROM t\n  {long}\n"
        "  GROUP BY some_column_with_a_name, another_one\n"
    )


@pytest.mark.parametrize("inside", ["(SELECT b FROM t)", "' FROM t'", "list(b ORDER BY b FILTER (b > 1))"])
def test_words_in_brackets_and_quotes_are_no_clauses(inside: str) -> None:
    text = f"sql: |\n  SELECT a, {inside} AS b\n  FROM t\n"
    assert form(text) == text


def test_a_long_comment_is_filled_with_the_lines_that_go_on_with_it() -> None:
    text = f"# quirk: {'word ' * 25}\n# and more of it\n# quirk: another\nid: a\n"
    lines = form(text).splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[1].endswith("and more of it") and lines[2:] == ["# quirk: another", "id: a"]


@pytest.mark.parametrize(("path", "kind"), SPECS, ids=lambda value: getattr(value, "stem", value))
def test_every_spec_has_the_layout(path: Path, kind: str) -> None:
    text = path.read_text("utf-8")
    assert fixed(text, kind, path) == text, "run: vflan validate --all --fix"


def test_only_files_that_change_are_written(tmp_path: Path) -> None:
    good, bad, broken = (tmp_path / name for name in ("good.yaml", "bad.yaml", "broken.yaml"))
    good.write_text("id: a\ntitle: A\n")
    bad.write_text("title: A\nid: a   \n")
    broken.write_text("id: [\n")
    assert rewrite([(path, "task") for path in (good, bad, broken)]) == [bad]
    assert bad.read_text() == good.read_text()
    assert parse_yaml(bad.read_text(), bad).data == {"id": "a", "title": "A"}
    assert broken.read_text() == "id: [\n"
