"""What of a SELECT runs but does not say what its writer means: no order, or a negation of NULL."""

from __future__ import annotations

import pytest

from vision_flan.records.sql import negated_columns, unordered


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum(a)", ["sum()"]),
        ("sum(a ORDER BY a)", []),
        ("mode(a)", ["mode()"]),
        ("count(a)", []),
        ("max(a)", []),
        ("row_number() OVER ()", ["row_number()"]),
        ("row_number() OVER (ORDER BY a)", []),
        ("lag(a) OVER (PARTITION BY b)", ["lag()"]),
        ("count(*) OVER ()", []),
        ("list(a) OVER ()", ["list()"]),
        ("(SELECT a FROM t LIMIT 1)", ["LIMIT"]),
        ("(SELECT a FROM t ORDER BY a LIMIT 1)", []),
        ("(SELECT DISTINCT ON (a) b FROM t)", ["DISTINCT ON"]),
        ("(SELECT DISTINCT ON (a) b FROM t ORDER BY a, b)", []),
        ("(SELECT DISTINCT a FROM t)", []),
    ],
)
def test_what_depends_on_the_order_of_rows_says_order_by(expression: str, found: list[str]) -> None:
    assert unordered(f"SELECT {expression} FROM t") == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("NOT a", ["a"]),
        ("NOT t.a", ["a"]),
        ("NOT a.b.c", ["c"]),
        ("a = false", ["a"]),
        ("a <> true", ["a"]),
        ("true != a", ["a"]),
        ("NOT list_has(b, 1)", []),
        ("a IS NOT TRUE", []),
        ("NOT coalesce(a, false)", []),
        ("a = true", []),
        ("a", []),
        ("NOT (a = b)", []),
        ("len(list_filter(b, lambda x: NOT x.a)) > 1", ["a"]),
    ],
)
def test_a_bare_negation_is_found(condition: str, found: list[str]) -> None:
    assert [name for name, _ in negated_columns(f"SELECT 1 FROM t WHERE {condition}")] == found
