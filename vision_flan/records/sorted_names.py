"""Names of files with facts about them, sorted by name, of which there may be more than fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from vision_flan.records.candidates import machine_errors

#: Name, stamp and checksum of a file.
Named = tuple[str, str, str]
_COLUMNS = ("name", "stamp", "sum")


class SortedNames:
    """A table in the database of a task's records, which spills and ends with it."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._added = 0

    @machine_errors()
    def add(self, rows: Sequence[Named]) -> None:
        """Add names; the first row of a name is the one that counts."""
        if not self._added:
            columns = ", ".join(f"{column} BLOB" for column in _COLUMNS)
            self._con.execute(f"CREATE TABLE _names ({columns}, added INTEGER)")
        self._added += 1
        batch = pa.record_batch([_blobs(texts) for texts in zip(*rows, strict=True)], names=list(_COLUMNS))
        # a stream, which is empty once it was read: DuckDB keeps what it was given, as nothing is committed
        self._con.register("_more", pa.RecordBatchReader.from_batches(batch.schema, iter([batch])))
        del batch
        try:
            self._con.execute(f"INSERT INTO _names SELECT *, {self._added} FROM _more")
        finally:
            self._con.unregister("_more")

    def in_order(self, at_once: int) -> Iterator[Named]:
        """Each name once, sorted by its code points.

        Args:
            at_once: names that are in memory at a time.
        """
        last = None
        with machine_errors():
            found = self._con.sql(f"SELECT {', '.join(_COLUMNS)} FROM _names ORDER BY name, added")
            for batch in found.to_arrow_reader(at_once):
                names, stamps, sums = map(_texts, batch.columns)
                for name, stamp, known in zip(names, stamps, sums, strict=True):
                    if name != last:
                        last = name
                        yield name, stamp, known


def _blobs(texts: Sequence[str]) -> pa.Array:
    """UTF-8 sorts as code points do; a name of an archive may have half of a surrogate pair."""
    return pa.array([text.encode("utf-8", "surrogatepass") for text in texts], pa.binary())


def _texts(column: pa.Array) -> list[str]:
    return [data.decode("utf-8", "surrogatepass") for data in column.to_pylist()]
