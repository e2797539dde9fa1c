"""The shards of a run of blocks, joined from the parts in which it was made."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from vision_flan.build.blocks import Made, Span, facts_file, part_file
from vision_flan.build.inputs import Seen
from vision_flan.build.looked_up import Gathering
from vision_flan.dataset.behind import Behind
from vision_flan.dataset.contents import Contents
from vision_flan.dataset.shards import ShardFacts, ShardWriter, batches_of


class Joining:
    """Makes the shards of a run from its parts, which come one by one in selection order. Close it at last.

    Args:
        folder: where blocks are stored.
        span: the whole run.
        behind: shards are written in a thread of its own.
        apart: parts are joined in another, so that who hands them over goes on at once; errors are raised by
            the next call, or by `made`.
    """

    def __init__(self, folder: Path, span: Span, *, behind: bool, apart: bool = False) -> None:
        self._folder = folder
        self._span = span
        self._parts: list[Made] = []
        self._calls = Behind(apart=apart, ahead=None)
        self._writer = ShardWriter(folder, f"{span.first:05}", behind=behind, counts=False)
        self._made: Made | None = None

    def add(self, part: Made) -> None:
        """Append the next part."""
        self._calls.run(partial(self._append, part))

    def end(self) -> None:
        """There are no more parts: complete the shards, and remove the parts."""
        self._calls.run(self._finish)

    def made(self) -> Made:
        """The run, when it is complete. Raises what went wrong."""
        try:
            self._calls.wait()
        finally:
            self.close()
        if self._made is None:
            raise RuntimeError("a run of blocks was asked for before its end")
        return self._made

    def close(self) -> None:
        """Give up the shards if they are not complete."""
        self._calls.close()
        self._writer.give_up()

    def _append(self, part: Made) -> None:
        for batch in batches_of(part_file(self._folder, part.span)):
            self._writer.add_batch(batch)
        self._parts.append(part)

    def _finish(self) -> None:
        self._writer.finish()
        made = _joined(self._span, self._writer.facts, self._parts)
        made.write(facts_file(self._folder, self._span.first, part=False))
        for part in self._parts:
            facts_file(self._folder, part.span.first, part=True).unlink(missing_ok=True)
            part_file(self._folder, part.span).unlink(missing_ok=True)
        self._made = made


class Runs:
    """The finished runs, in order; parts are joined to one as they come, or in a worker when all are there.

    Args:
        joining: makes the shards of a run in this process; None: in a worker.
        join: starts a unit that makes them in a worker.
        gathering: gets the files that the runs looked up.
        at_once: runs that may be joined at one time.
    """

    def __init__(
        self,
        joining: Callable[[Span], Joining] | None,
        join: Callable[[Span, Sequence[Made]], Callable[[], Made]],
        gathering: Gathering,
        at_once: int,
    ) -> None:
        self._joining, self._join, self._at_once = joining, join, at_once
        self._gathering = gathering
        self._made: list[Made] = []
        self._ended: deque[tuple[Callable[[], Made], Joining | None]] = deque()
        self._parts: list[Made] = []
        self._open: Joining | None = None

    def add(self, made: Made) -> None:
        """A run that was made in one piece."""
        self._ended.append((lambda: made, None))
        self._take(self._at_once)

    def add_part(self, part: Made, run: Span) -> None:
        """The next part of a run."""
        if self._joining is None:
            self._parts.append(part)
            return
        if self._open is None:
            self._open = self._joining(run)
        self._open.add(part)

    def end(self, run: Span) -> None:
        """A run has all parts it will have, if it was made in parts at all."""
        if self._parts:
            self._ended.append((self._join(run, self._parts), None))
            self._parts = []
        if self._open is not None:
            self._open.end()
            self._ended.append((self._open.made, self._open))
            self._open = None
        self._take(self._at_once)

    def all(self) -> list[Made]:
        """Wait for those that are being joined."""
        self._take(1)
        return self._made

    def _take(self, at_once: int) -> None:
        """Wait for the oldest until fewer are being joined. Files of all runs would not fit in memory."""
        while len(self._ended) >= at_once:
            made = self._ended.popleft()[0]()
            self._gathering.add(made.seen)
            self._made.append(made)

    def close(self) -> None:
        """Give up the runs that are not finished."""
        for joining in (self._open, *(joining for _, joining in self._ended)):
            if joining is not None:
                joining.close()


def _joined(span: Span, shards: tuple[ShardFacts, ...], parts: Sequence[Made]) -> Made:
    """The facts of blocks whose parts were joined."""
    dropped: Counter[str] = Counter()
    examples: dict[str, str] = {}
    seen, contents = Seen(), Contents()
    for part in parts:
        dropped.update(part.dropped)
        examples = part.examples | examples  # keep the first in selection order
        seen.add(part.seen)
        contents.merge(part.contents)
    rows, size = sum(part.rows for part in parts), sum(part.content_bytes for part in parts)
    return Made(span, rows, shards, "", size, dict(dropped), examples, seen, contents)
