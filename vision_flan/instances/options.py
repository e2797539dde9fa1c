"""Answer options: which ones, in what order, and how they are displayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_flan.errors import Location, SpecError
from vision_flan.instances.derive import NoValueError
from vision_flan.instances.text_filters import letter
from vision_flan.records.ordering import Draws

LETTERS = "letters"


class OptionsPlan:
    """`options:` of a task.

    The options are the correct answer, the fields in `include`, and random values from the pool (`values`,
    `labels` or `field`) up to `count`, excluding the fields in `except`.
    """

    def __init__(
        self, spec: Mapping[str, Any], labels: Mapping[str, Mapping[str, str]], place: Location
    ) -> None:
        self._pool: tuple[str, ...] = tuple(spec.get("values", ()))
        if "labels" in spec:
            table = labels.get(spec["labels"])
            if table is None:
                raise SpecError(f"there is no label table {spec['labels']!r}", where=place)
            self._pool = tuple(dict.fromkeys(table.values()))
        self._field: str | None = spec.get("field")
        self._include = _names(spec.get("include"))
        self._except = _names(spec.get("except"))
        self.count: int | None = spec.get("count")
        self._shuffled = spec.get("order", "shuffled") == "shuffled"
        self.style: str = spec.get("style", LETTERS)
        self.one_answer = spec.get("answer", "one") == "one"
        size = self.count or len(self._pool)
        if self.style == LETTERS and size > 26:
            raise SpecError(
                f"{size} options are more than there are letters",
                where=place,
                hint="set `style: lines`, or `count` to at most 26",
            )

    @property
    def reads(self) -> frozenset[str]:
        """Fields that the options use."""
        return frozenset((*self._include, *self._except, *((self._field,) if self._field else ())))

    def build(self, row: Mapping[str, Any], answer: str, draws: Draws) -> list[str]:
        """The options in display order.

        Raises:
            NoValueError: fewer than two options, or the answer is not in the pool.
        """
        pool = self._pool if self._field is None else tuple(_texts(row[self._field]))
        wanted = [answer] if self.one_answer else []
        for name in self._include:
            wanted.extend(_texts(row[name]))
        excluded = {text for name in self._except for text in _texts(row[name])}
        if self.one_answer and self._pool and answer not in self._pool:
            raise NoValueError("target_not_in_options")
        chosen = self._fill(list(dict.fromkeys(wanted)), pool, excluded, draws)
        if len(chosen) < 2:
            raise NoValueError("too_few_options")
        return draws.shuffled(chosen) if self._shuffled else self._in_given_order(chosen, pool)

    def _fill(self, wanted: list[str], pool: tuple[str, ...], excluded: set[str], draws: Draws) -> list[str]:
        rest = [text for text in dict.fromkeys(pool) if text not in wanted and text not in excluded]
        if self.count is None:
            return wanted + rest
        return wanted + draws.sample(rest, self.count - len(wanted)) if len(wanted) < self.count else wanted

    @staticmethod
    def _in_given_order(chosen: list[str], pool: tuple[str, ...]) -> list[str]:
        rank = {text: i for i, text in enumerate(pool)}
        return sorted(chosen, key=lambda text: rank.get(text, len(rank)))

    def shown(self, options: list[str]) -> str:
        """The options as text for the prompt."""
        if self.style == LETTERS:
            return "\n".join(f"({letter(i)}) {text}" for i, text in enumerate(options))
        return "\n".join(f"- {text}" for text in options)

    def target(self, answer: str, options: list[str]) -> str:
        """The expected answer; it includes its letter if the options have letters."""
        if self.style == LETTERS and self.one_answer:
            return f"({letter(options.index(answer))}) {answer}"
        return answer


def _names(value: str | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _texts(value: Any) -> list[str]:
    """A field's text, or a list field's texts."""
    if value is None:
        return []
    items = value if isinstance(value, list | tuple) else [value]
    return [" ".join(str(item).split()) for item in items if item is not None]
