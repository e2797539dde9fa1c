"""Cuts rows into row groups, in whatever pieces they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

ROW_GROUP_ROWS = 100
ROW_GROUP_BYTES = 64 * 2**20


class Piece(Protocol):
    """Rows that can be cut."""

    def slice(self, offset: int = 0, length: int | None = None) -> Self:
        """`length` rows from `offset` on, or all."""
        ...


P = TypeVar("P", bound=Piece)


class RowGroups(Generic[P]):
    """Holds rows until they are a row group: 100, or 64 MB of images, with the row that makes them so much.

    Args:
        write: takes the pieces of a row group.
    """

    def __init__(self, write: Callable[[list[P]], None]) -> None:
        self._write = write
        self._pending: list[P] = []
        self._rows = self._bytes = 0

    def add(self, piece: P, sizes: Sequence[int]) -> None:
        """Append rows.

        Args:
            sizes: bytes of each row's image.
        """
        rows, total, start = len(sizes), sum(sizes), 0
        if rows and not self._is_full(rows - 1, total):  # it ends before a row group does, or with it
            self._pending.append(piece)
            self._count(rows, total)
            return
        for row, size in enumerate(sizes, 1):
            if self._is_full(1, size):
                self._pending.append(piece.slice(start, row - start))
                start = row
            self._count(1, size)
        if start < rows:
            self._pending.append(piece.slice(start))

    def end(self) -> None:
        """Write what is left."""
        if self._pending:
            self._write(self._pending)
        self._pending = []
        self._rows = self._bytes = 0

    def _is_full(self, rows: int, size: int) -> bool:
        return self._rows + rows >= ROW_GROUP_ROWS or self._bytes + size >= ROW_GROUP_BYTES

    def _count(self, rows: int, size: int) -> None:
        full = self._is_full(rows, size)
        self._rows += rows
        self._bytes += size
        if full:
            self.end()
