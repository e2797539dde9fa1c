"""Instances: one, and many as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from vision_flan.columns import TEXT_COLUMNS, Turn
from vision_flan.instances.rows import Dropped

T = TypeVar("T")

_PROMPT, _TARGET = TEXT_COLUMNS.index("prompt"), TEXT_COLUMNS.index("target")


class Instance(NamedTuple):
    """One row of a config. `image_path` is the upstream reference, `values` are the text columns."""

    image: bytes
    image_path: str
    options: list[str]
    values: tuple[str, ...]  # in the order of columns.TEXT_COLUMNS
    later: tuple[Turn, ...] = ()  # of a conversation, what follows the first turn

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The whole exchange: prompt and target, and what follows them."""
        return Turn(self.values[_PROMPT], self.values[_TARGET]), *self.later

    @property
    def num_bytes(self) -> int:
        """Bytes in memory, as `dataset_info` counts them."""
        return Instances.of([self]).num_bytes


class Text(NamedTuple):
    """The text of an instance."""

    instruction: str
    input: str
    options: list[str]
    target: str
    prompt: str
    later: tuple[Turn, ...] = ()  # of a conversation, what follows the first turn


class Instances(NamedTuple):
    """Rows of a config, as columns.

    Attributes:
        texts: the columns of columns.TEXT_COLUMNS, in their order.
        later: of conversations, what follows the first turn; empty where no row has more than one.
        dropped: key and reason of the candidates that are not among them, in selection order.
    """

    images: list[bytes]
    paths: list[str]
    texts: tuple[Sequence[str], ...]
    options: list[list[str]]
    later: list[tuple[Turn, ...]]
    dropped: Sequence[tuple[str, Dropped]] = ()

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> Instances:
        """Some instances."""
        texts = tuple(zip(*(one.values for one in instances), strict=True)) or ((),) * len(TEXT_COLUMNS)
        later = [one.later for one in instances]
        return cls(
            [one.image for one in instances],
            [one.image_path for one in instances],
            texts,
            [one.options for one in instances],
            later if any(later) else [],
        )

    @classmethod
    def joined(cls, parts: Sequence[Instances]) -> Instances:
        """The rows of all parts, without what was dropped."""
        if len(parts) == 1:
            return parts[0]
        later = any(part.later for part in parts)
        return cls(
            _chained(part.images for part in parts),
            _chained(part.paths for part in parts),
            tuple(_chained(columns) for columns in zip(*(part.texts for part in parts), strict=True)),
            _chained(part.options for part in parts),
            _chained(part.later or [()] * part.rows for part in parts) if later else [],
        )

    @property
    def rows(self) -> int:
        """Their number."""
        return len(self.images)

    @property
    def num_bytes(self) -> int:
        """Bytes in memory, as `dataset_info` counts them: `turns` has prompt and target again."""
        columns = (*self.texts, self.texts[_PROMPT], self.texts[_TARGET])
        later = sum(len(text) for turns in self.later for turn in turns for text in turn)
        return sum(map(len, self.images)) + sum(len("".join(column)) for column in columns) + later

    def slice(self, offset: int = 0, length: int | None = None) -> Instances:
        """`length` rows from `offset` on, or all, without what was dropped."""
        part = slice(offset, None if length is None else offset + length)
        texts = tuple(column[part] for column in self.texts)
        return Instances(self.images[part], self.paths[part], texts, self.options[part], self.later[part])

    def one(self, at: int) -> Instance:
        """One of the rows."""
        values = tuple(column[at] for column in self.texts)
        later = self.later[at] if self.later else ()
        return Instance(self.images[at], self.paths[at], self.options[at], values, later)


def _chained(parts: Iterable[Iterable[T]]) -> list[T]:
    return [one for part in parts for one in part]
