"""Every command that reads a task's records checks its SQL and its key first."""

from __future__ import annotations

import pytest

from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.errors import Location
from vision_flan.records.sql import check_key
from vision_flan.spec.catalog import Catalog

HERE = Location("task.yaml", 10)


@pytest.mark.parametrize(
    "key", ["a", "replace(a, '.png', '')", "a || '/' || b -- both", "CAST(a AS VARCHAR)"]
)
def test_a_key_is_an_expression(key: str) -> None:
    check_key(key, HERE)


@pytest.mark.parametrize(
    "key",
    [
        "random()",
        "uuid()",
        "now()",
        "current_date",
        "(SELECT max(value) FROM duckdb_settings())",
        "a), (b",
        "a) FROM t --",
        "(SELECT 1)",
        "EXISTS (SELECT 1)",
        "a FROM t",
        "*",
        "a; SELECT 1",
    ],
)
def test_compile_refuses_a_key_with_file_and_line_before_it_reads(
    key: str, toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    toy.replace("key: name", "key: " + repr(key))
    (toy.raw / "toy/toy.json").write_text("not read")
    for command in (["compile", "--task", "toy_color"], ["preview", "toy_color"], ["show", "toy_color"]):
        code = run(vflan, [*command, "--raw", str(toy.raw)])
        printed = capsys.readouterr()
        assert code == 1, command
        assert "toy_color.yaml:7" in printed.err and "Traceback" not in printed.err


def test_compile_refuses_the_sql_of_a_spec_with_file_and_line(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    toy.replace("table: records", "sql: |\n  SELECT name, color\n  FROM records\n  ORDER BY rnadom()")
    assert run(vflan, ["compile", "--task", "toy_color", "--raw", str(toy.raw)]) == 1
    assert "toy_color.yaml:9: rnadom() is not among the functions of specs" in capsys.readouterr().err
