"""Runs a task's SQL over the dataset's tables in a locked DuckDB, and yields its rows in selection order.

The SQL of a spec is untrusted: external access is off, the configuration is locked, and anything outside the
SQL of specs is refused here, whoever calls. Tables stream in from the readers and may spill to the work
folder; rows stream out in blocks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from vision_flan.errors import Location, SpecError
from vision_flan.limits import Step, current, current_step
from vision_flan.records.candidates import Candidates, machine_errors
from vision_flan.records.memory import memory_limit, spilling_limit
from vision_flan.records.parse import sql_error
from vision_flan.records.sorted_names import SortedNames
from vision_flan.records.sql import check_key, check_tables

#: Characters of an example: a record may be long.
_EXAMPLE_LENGTH = 300

#: Session settings that affect results, the same everywhere. The time zone belongs to an extension that some
#: builds lack; no type or function of specs depends on it.
_SETTINGS = {
    "TimeZone": "UTC",
    "Calendar": "gregorian",
    "default_collation": "",
    "default_order": "ASCENDING",
    "default_null_order": "NULLS_LAST",
    "ieee_floating_point_ops": "true",
    "integer_division": "false",
    "order_by_non_integer_literal": "false",
    "preserve_insertion_order": "true",
    "python_enable_replacements": "false",
    "scalar_subquery_error_on_multiple_rows": "true",
}
#: The name of the database's file in the work folder.
_DATABASE = "records.duckdb"
_OF_THE_TIME_ZONE_EXTENSION = frozenset({"TimeZone", "Calendar"})


def _pin(con: duckdb.DuckDBPyConnection) -> None:
    """Make a session behave as on any other machine, and lock it."""
    for name, value in _SETTINGS.items():
        try:
            con.execute(f"SET {name} = '{value}'")
        except duckdb.CatalogException:
            if name not in _OF_THE_TIME_ZONE_EXTENSION:
                raise
    con.execute("SET enable_progress_bar = false")  # it prints to standard output after two seconds
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def _config(spill: Path | None, memory: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": f"{memory}B",
        "threads": "2",
    }
    if spill is not None:
        config["temp_directory"] = str(spill / "spill")
        if current().spill:
            config["max_temp_directory_size"] = f"{current().spill}B"
    return config


class RecordStore:
    """Tables and candidates of one task. A context manager that closes its database.

    Args:
        work: folder for the database file and spilled data; None keeps everything in memory (to check specs).
    """

    def __init__(self, work: Path | None = None) -> None:
        self._work = work
        self._memory = memory_limit() if work is None else spilling_limit()
        self._open()

    def _open(self) -> None:
        database = ":memory:" if self._work is None else str(self._work / _DATABASE)
        with machine_errors():
            self._con = duckdb.connect(database, config=_config(self._work, self._memory))
        _pin(self._con)
        if self._work is not None:
            self._con.execute("BEGIN")  # and never a commit, which would wait for the disk to have it
        self._tables: set[str] = set()

    def begin_again(self) -> bool:
        """Drop all tables, and give SQL all the memory it may have; False if it had that.

        Lists and texts that an aggregate makes do not spill (DuckDB 2.0), so some SQL needs more than most.
        """
        if self._memory >= memory_limit() or self._work is None:
            return False
        self._con.close()
        for path in self._work.glob(f"{_DATABASE}*"):
            path.unlink()
        self._memory = memory_limit()
        self._open()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._con.close()

    @machine_errors()
    def load(self, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        """Stream a table in. Returns its number of rows; errors of the reader pass through unchanged."""
        failure: list[BaseException] = []

        def guarded() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except BaseException as error:
                # Arrow's C stream turns exceptions into text: keep the original for the caller
                failure.append(error)
                raise

        self._con.register("_incoming", pa.RecordBatchReader.from_batches(schema, guarded()))
        try:
            self._con.execute(f'CREATE TABLE "{name}" AS SELECT * FROM _incoming')
        except BaseException as error:
            if failure:
                raise failure[0] from None
            step = current_step()
            if step and ("bad allocation" in str(error) or isinstance(error, duckdb.OutOfMemoryException)):
                raise step.too_much("more memory or disk than it may take", "memory") from error
            raise
        finally:
            self._forget("_incoming")
        self._tables.add(name)
        return self._count(f'"{name}"')

    def load_labels(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        """Load label tables as SQL tables `label_<name>(key, value)`."""
        schema = pa.schema([("key", pa.string()), ("value", pa.string())])
        for name, labels in tables.items():
            columns = [list(labels.keys()), list(labels.values())]
            batch = pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=schema)
            self.load(f"label_{name}", schema, iter([batch]))

    def create_view(self, name: str, sql: str, place: Location) -> None:
        """Create a view, which later SQL may use as a table.

        Raises:
            SpecError: it is not valid SQL of a spec for these tables.
        """
        check_tables(sql, place, self._tables)
        self._run(f'CREATE VIEW "{name}" AS {sql}', place)
        self._tables.add(name)

    def names(self) -> SortedNames:
        """A table of the names of files."""
        return SortedNames(self._con)

    def describe(self, sql: str, place: Location) -> dict[str, str]:
        """Columns and SQL types of a SELECT, without running it.

        Raises:
            SpecError: it is not valid SQL of a spec for these tables.
        """
        check_tables(sql, place, self._tables)
        return self._columns(sql, place)

    def check_key(self, sql: str, key: str, place: Location) -> None:
        """Check a key over the columns of a SELECT that `describe` has passed.

        Raises:
            SpecError: it is not one valid expression of the SQL of specs over these columns.
        """
        check_key(key, place)
        self._columns(f"SELECT CAST(({key}\n) AS VARCHAR) AS k FROM ({sql}\n) AS _", place)

    @machine_errors()
    def matching(self, sql: str, column: str, values: pa.Table, place: Location) -> pa.Table:
        """The rows of a SELECT whose column is among values.

        Args:
            sql: one SELECT over the tables loaded.
            column: a column of the SELECT, compared as text.
            values: a table with one column `value`.
            place: location of the SQL, for errors.

        Raises:
            SpecError: it is not the SQL of a spec, or does not run.
            MachineError: there is not enough memory or disk.
        """
        self.describe(sql, place)
        self._con.register("_wanted", values)
        try:
            return self._con.sql(
                f'SELECT * FROM ({sql}\n) AS c WHERE CAST(c."{column}" AS VARCHAR) '
                "IN (SELECT value FROM _wanted)"
            ).to_arrow_table()
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise sql_error(error, place) from error
        finally:
            self._forget("_wanted")

    @machine_errors()
    def prepare(
        self,
        sql: str,
        key: str,
        seed: int,
        place: Location,
        key_place: Location | None = None,
        splits: Sequence[str] = (),
    ) -> Candidates:
        """Run a task's SELECT and put its rows in selection order.

        Args:
            sql: one SELECT over the tables loaded.
            key: SQL expression of upstream's key over the SELECT's columns.
            seed: seed of the order.
            place: location of the SQL, for errors.
            key_place: location of the key.
            splits: values of the column `split`, of which records of the first come first.

        Raises:
            SpecError: one of them is not the SQL of a spec, or does not run.
            MachineError: there is not enough memory or disk.
        """
        columns = self.describe(sql, place)
        self.check_key(sql, key, key_place or place)
        # rows of some readers have their own `_key`, which `key` may use and the task's key replaces
        fields = "* EXCLUDE (_key)" if "_key" in columns else "*"
        self._run(
            f"CREATE TABLE _candidates AS SELECT {fields}, CAST(({key}\n) AS VARCHAR) AS _key "
            f"FROM ({sql}\n) AS _",
            place,
        )
        with self._in_time(place):
            return self._in_order(seed, splits)

    def _in_order(self, seed: int, splits: Sequence[str]) -> Candidates:
        """The candidates, each key once."""
        total, keyed, distinct = self._con.execute(
            "SELECT count(*), count(_key), count(DISTINCT _key) FROM _candidates"
        ).fetchall()[0]
        dropped = {"no_key": total - keyed, "duplicate_key": keyed - distinct}
        dropped = {reason: count for reason, count in dropped.items() if count}
        examples = {reason: self._example(reason) for reason in dropped}
        if keyed > distinct:
            self._con.execute(
                "CREATE OR REPLACE TABLE _candidates AS SELECT * FROM _candidates AS c "
                "QUALIFY row_number() OVER (PARTITION BY _key ORDER BY md5(CAST(c AS VARCHAR))) = 1"
            )
        return Candidates(self._con, seed, total, dropped, examples, splits)

    def _example(self, reason: str) -> str:
        """One row dropped for a reason; the same one whatever the order in the files."""
        sql = {
            "no_key": "SELECT min(CAST(c AS VARCHAR)) FROM "
            "(SELECT * EXCLUDE (_key) FROM _candidates WHERE _key IS NULL) AS c",
            "duplicate_key": "SELECT min(_key) FROM "
            "(SELECT _key FROM _candidates WHERE _key IS NOT NULL GROUP BY _key HAVING count(*) > 1)",
        }
        example = str(self._con.execute(sql[reason]).fetchall()[0][0])
        return " ".join(example[:_EXAMPLE_LENGTH].split())

    def _forget(self, name: str) -> None:
        """Unregister what SQL read; after an error nothing more runs in a transaction."""
        with suppress(duckdb.TransactionException):
            self._con.unregister(name)

    def _columns(self, sql: str, place: Location) -> dict[str, str]:
        rows = self._run(f"DESCRIBE ({sql}\n)", place).fetchall()
        return {str(row[0]): str(row[1]) for row in rows}

    def _count(self, table: str) -> int:
        return int(self._con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def _run(self, sql: str, place: Location) -> duckdb.DuckDBPyConnection:
        with self._in_time(place):
            try:
                return self._con.execute(sql)
            except duckdb.Error as error:
                if isinstance(error, duckdb.InterruptException):
                    raise
                raise sql_error(error, place) from error

    @contextmanager
    def _in_time(self, place: Location) -> Iterator[None]:
        """Interrupt the SQL after the limit.

        Raises:
            SpecError: it was interrupted.
        """
        step, seconds = Step("running the SQL", place), current().sql
        step.begin()
        timer = threading.Timer(seconds or threading.TIMEOUT_MAX, self._con.interrupt)
        timer.daemon = True
        began = time.monotonic()
        timer.start()
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise sql_error(error, place) from error
        except (duckdb.InterruptException, RuntimeError) as error:
            if seconds and time.monotonic() - began >= seconds:
                raise SpecError(
                    f"the SQL runs for more than {seconds:,} s",
                    where=place,
                    hint="join on equal values, and filter first; VFLAN_LIMIT_SQL raises the limit",
                ) from error
            raise
        finally:
            timer.cancel()
