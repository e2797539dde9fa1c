"""Views of a dataset: SQL that several of its tasks share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy import DATASET, TASK, Toy
from vision_flan.errors import SpecError
from vision_flan.records.tables import task_sources
from vision_flan.spec.catalog import Catalog

VIEWS = """\
views:
  warm: SELECT * FROM records WHERE color IN ('r', 'y')
  warm_red: |
    SELECT w.*
    FROM warm AS w WHERE color = 'r'
"""


def colors(toy: Toy) -> set[str]:
    toy.compile()
    return {row["target"].split(" ", 1)[1] for row in toy.rows()}


def test_a_task_names_a_view_as_its_table(toy: Toy) -> None:
    toy.write_specs(DATASET + VIEWS, TASK.replace("table: records", "table: warm"))
    assert colors(toy) == {"red", "yellow"}


def test_a_view_reads_the_views_above_it_and_where_narrows_it(toy: Toy) -> None:
    toy.write_specs(
        DATASET + VIEWS, TASK.replace("table: records", "table: warm_red\nwhere: name <> 'nobody'")
    )
    assert colors(toy) == {"red"}


def test_sql_joins_views_with_tables(toy: Toy) -> None:
    sql = "sql: SELECT r.* FROM records AS r JOIN warm_red AS w ON w.name = r.name"
    toy.write_specs(DATASET + VIEWS, TASK.replace("table: records", sql))
    assert colors(toy) == {"red"}


def test_only_the_tables_behind_the_views_of_a_task_are_read(toy: Toy) -> None:
    more = "  other: {reader: json, file: other.json, columns: {name: VARCHAR}}\n"
    views = VIEWS + "  apart: SELECT * FROM other\n"
    toy.write_specs(DATASET + more + views, TASK.replace("table: records", "table: warm_red"))
    catalog = Catalog(toy.specs, toy.instructions)
    sources = task_sources(catalog.task("toy_color"), catalog)
    assert (list(sources.readers), sources.views) == (["records"], ("warm", "warm_red"))


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ("SELECT * FROM warm_later", "which is neither a table of the dataset nor a view above it"),
        ("SELECT * FROM loop", "which is neither a table of the dataset nor a view above it"),
        ("SELECT color, random() AS r FROM records", "random"),
        ("DELETE FROM records", "one SELECT"),
        ("SELECT nothing FROM records", "nothing"),
    ],
)
def test_a_wrong_view_is_refused_with_its_line(toy: Toy, view: str, message: str) -> None:
    views = f"views:\n  loop: {view}\n  warm_later: SELECT * FROM records\n"
    toy.write_specs(DATASET + views, TASK.replace("table: records", "table: loop"))
    with pytest.raises(SpecError, match=message) as caught:
        toy.compile()
    where = caught.value.where
    assert where and Path(where.file).name == "dataset.yaml"
    line = (toy.specs / "toy" / "dataset.yaml").read_text().splitlines()[where.line - 1]
    assert line.startswith("  loop:")
