"""A session answers the same on every machine, and what the machine lacks is not the spec's fault."""

from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pytest

from vision_flan.errors import Location, MachineError, SpecError
from vision_flan.records.parse import sql_error
from vision_flan.records.store import RecordStore

HERE = Location("task.yaml", 10)

_TEXTS = """
from vision_flan.errors import Location
from vision_flan.records.store import RecordStore
expressions = [
    "CAST(strptime('2020-07-01 12:00:00 +0000', '%Y-%m-%d %H:%M:%S %z') AS VARCHAR)",
    "strftime(TIMESTAMP '2020-07-01 12:00:00', '%c %Z')",
    "CAST(CAST('2020-07-01 12:00:00+05' AS TIMESTAMP) AS VARCHAR)",
    "CAST(epoch(DATE '2020-07-01') AS VARCHAR)",
    "CAST(epoch_ms(1593604800000) AS VARCHAR)",
    "CAST(list_sort(['b', 'A', NULL, 'é', 'a']) AS VARCHAR)",
    "CAST(7 / 2 AS VARCHAR)",
    "dayname(DATE '2020-07-01') || upper('iß')",
]
with RecordStore() as store:
    columns = ", ".join(f"{expression} AS c{i}" for i, expression in enumerate(expressions))
    rows = store.prepare("SELECT " + columns, "1", 0, Location("x"))
    print(ascii(rows.block(0, 1)))
"""


def test_neither_time_zone_nor_locale_of_a_machine_changes_a_result() -> None:
    answers = {
        subprocess.run(
            [sys.executable, "-c", _TEXTS],
            env={**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone, locale in (("UTC", "C"), ("Asia/Tokyo", "C.UTF-8"), ("America/New_York", "C"))
    }
    (answer,) = answers
    assert "2020-07-01 12:00:00" in answer and "'3.5'" in answer


def test_a_disk_that_runs_out_is_not_the_specs_fault() -> None:
    full = duckdb.IOException("could not allocate block of size 256.0 KiB (953.6 MiB/953.6 MiB used)")
    error = sql_error(full, HERE)
    assert isinstance(error, MachineError)
    assert "953.6 MiB" in error.what and "--memory" in error.hint and "TMPDIR" in error.hint


def test_a_select_beyond_the_memory_limit_is_an_error_with_its_line() -> None:
    with RecordStore() as store, pytest.raises(SpecError, match="more memory or disk than it may") as caught:
        store.prepare("SELECT list(a ORDER BY a) AS c FROM range(400_000_000) AS t (a)", "1", 0, HERE)
    assert caught.value.where == HERE
