"""Turns a row into an instance, or drops it for a reason that is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from vision_flan.errors import DamagedFileError, Location, MissingRawError, SpecError
from vision_flan.faults import explained
from vision_flan.instances.compose import Composer
from vision_flan.instances.conversation import conversation
from vision_flan.instances.derive import ORIENTATION, Derived, Pools, plan_fields
from vision_flan.instances.images import BadImageError, check_image
from vision_flan.instances.instance import Instance, Instances, Text
from vision_flan.instances.options import OptionsPlan
from vision_flan.instances.orientation import orientation_of
from vision_flan.instances.rendering import Expression, Renderer, instruction_of
from vision_flan.instances.rows import Dropped, Row, Rows
from vision_flan.instances.text_filters import is_clean
from vision_flan.limits import Step
from vision_flan.records.ordering import Draws
from vision_flan.spec.model import TaskSpec

__all__ = ["GROUP_ROWS", "Dropped", "Instance", "InstanceMaker", "Instances", "Text"]

#: Rows that are best made together, and bytes of images with which they are handed on at the latest.
GROUP_ROWS, GROUP_BYTES = 100, 64 * 2**20
#: Rows of a group whose images are all read before their texts are made.
_IMAGES_FIRST = 10

#: Random stream of the options; no derived field can have this name (it starts with a space).
_OPTIONS_DRAW = " options"

T = TypeVar("T")
Read = Callable[[str], bytes]
Image = tuple[bytes, str]


class InstanceMaker:
    """Makes the instances of a task. Templates, options and derived fields are compiled once.

    Args:
        task: the spec.
        labels: label tables by name.
        instruction: the task's .j2 file.
        seed: seed of all random choices.
        candidates: records that `other` samples from; None when only checking a spec.
        text: of the instruction, if it is known (`instruction_of`); None reads the file.
    """

    def __init__(
        self,
        task: TaskSpec,
        labels: Mapping[str, Mapping[str, str]],
        instruction: Path,
        seed: int,
        candidates: Pools | None = None,
        text: str | None = None,
    ) -> None:
        renderer = Renderer(labels)
        self.task = task
        self._seed = seed
        self.fields = plan_fields(task.derive, renderer, task.place, candidates)
        self.options = OptionsPlan(task.options, labels, task.place("options")) if task.options else None
        text = instruction_of(task, instruction) if text is None else text
        self.instruction = renderer.compile(text, Location(instruction), False)
        self.input = renderer.compile(task.input, task.place("input")) if task.input else None
        self.target = renderer.compile(task.target, task.place("target")) if task.target else None
        self.images = [renderer.compile(text, task.place("image")) for text in task.image]
        self.composer = Composer(task.compose, renderer, task.place) if task.compose else None
        self._rendering = Step("rendering an instance", Location(instruction))
        self._reading = Step("reading an image", task.place("image"), of_raw=True)
        self._derived = {field.name for field in self.fields} | {"options"}
        self._image_first = any(field.needs_orientation for field in self.fields)
        if self._image_first:
            self._refuse_late_image()

    def _refuse_late_image(self) -> None:
        """`reading_order` needs the image before any field is derived.

        Raises:
            SpecError: the image is composed, or its reference uses a derived field.
        """
        if self.composer:
            what = "`reading_order` needs a single source image, but this task composes its image"
            raise SpecError(what, where=self.task.place("compose"))
        late = sorted(self._derived & {name for expression in self.images for name in expression.names})
        if late:
            raise SpecError(
                f"`image` uses {late[0]!r}, which is derived after `reading_order` has read the image",
                where=self.task.place("image"),
                hint="make the reference to the image in SQL",
            )

    @property
    def reads(self) -> frozenset[str]:
        """The fields that `references` uses."""
        return self.composer.reads if self.composer else self.images[0].names

    def references(self, row: Mapping[str, object]) -> Sequence[str]:
        """What a row's image is read from, as far as that is known before the row is made."""
        try:
            if self.composer:
                return () if self.composer.reads & self._derived else self.composer.references(row)
            first = self.images[0]
            return () if first.names & self._derived else (first.render(row),)
        except Exception:  # whatever is wrong is said, or counted, when the row is made
            return ()

    def references_in(self, table: pa.Table) -> Iterator[str]:
        """The references of all rows of a table."""
        used = [name for name in table.column_names if name in self.reads]
        for row in table.select(used).to_pylist():
            yield from self.references(row)

    def make(self, row: Row, read: Read, *, full_check: bool) -> Instance | Dropped:
        """`make_all` of a single row, to which derived fields are added. Raises the same errors."""
        with _explaining():
            made = next(self._made(Rows.one(row), read, full_check))
        return made.one(0) if made.rows else made.dropped[0][1]

    def make_all(self, table: pa.Table, read: Read, *, full_check: bool) -> Iterator[Instances]:
        """Render rows and read their images; what comes of them in one piece, or more if images are large.

        An image is read first only if the task has `reading_order`. If text and image both fail, the reason
        is that of the text in either case.

        Args:
            table: some GROUP_ROWS candidates; `_key` is upstream's key.
            read: returns the bytes of a referenced image.
            full_check: decode every image.

        Raises:
            BadRawError: the fault is not one of a single image: a link out of the folder, an encrypted
                archive. A missing or damaged file only drops the candidate.
        """
        at_once = _IMAGES_FIRST if self._image_first else GROUP_ROWS
        with _explaining():
            for at in range(0, table.num_rows, at_once):
                group = table.slice(at, at_once)
                try:
                    made = self._made(Rows.of(group), read, full_check)
                except Exception:  # it is to be that of the first such row, after what comes before it
                    alone = (Rows.of(group.slice(row, 1)) for row in range(group.num_rows))
                    made = chain.from_iterable(self._made(row, read, full_check) for row in alone)
                yield from made

    def _made(self, rows: Rows, read: Read, full_check: bool) -> Iterator[Instances]:
        """Render rows; what comes of them when their images are read, if that is not done first."""
        if not self._image_first:
            self._render(rows)
            self._refer(rows)
            return self._with_images(rows, self._images(rows, read, full_check))
        self._refer(rows)
        images = dict(zip(rows.places, self._images(rows, read, full_check), strict=True))
        turns = [
            None if isinstance(image, Dropped) else orientation_of(image[0]) for image in images.values()
        ]
        rows.put(ORIENTATION, turns)
        self._render(rows)
        return self._with_images(rows, [images[place] for place in rows.places])

    def render(self, row: Row) -> Text | Dropped:
        """The text of an instance. Adds the derived fields to the row.

        `reading_order` takes the image as stored upright unless the row has its orientation.
        """
        rows = Rows.one(row)
        self._render(rows)
        if rows.dropped:
            return rows.dropped[0]
        texts = {name: column[0] for name, column in rows.texts.items()}
        return Text(options=rows.options[0], later=rows.later[0] if rows.later else (), **texts)

    def _render(self, rows: Rows) -> None:
        """Add the texts of rows."""
        self._rendering.begin()
        for field in self.fields:
            rows.put(field.name, rows.each(partial(self._derive, field)))
        if self.target is None:
            self._converse(rows)
            return
        self._answer(rows, self.target)
        self._ask(rows)

    def _derive(self, field: Derived, row: Row) -> object:
        return field.make(row, Draws(self._seed, row["_key"], field.name))

    def _answer(self, rows: Rows, target: Expression) -> None:
        """Add targets and options."""
        texts = rows.texts
        texts["target"] = rows.rendered(target)
        if self.options:
            if self.options.one_answer:  # it is compared with options, which are single lines
                texts["target"] = [" ".join(answer.split()) for answer in texts["target"]]
            rows.options = rows.each(partial(self._choose, self.options), texts["target"])
        else:
            rows.options = [[]] * len(rows)
        rows.drop_empty("target", "empty_target")
        rows.put("options", rows.options)

    def _choose(self, options: OptionsPlan, row: Row, answer: str) -> list[str]:
        return options.build(row, answer, Draws(self._seed, row["_key"], _OPTIONS_DRAW))

    def _ask(self, rows: Rows) -> None:
        """Add what is asked, and drop what cannot be stored."""
        texts = rows.texts
        texts["input"] = rows.rendered(self.input) if self.input else [""] * len(rows)
        if self.input:
            rows.drop_empty("input", "empty_input")
        texts["instruction"] = rows.rendered(self.instruction)
        asked = ["instruction", "input"] if self.task.first == "instruction" else ["input", "instruction"]
        parts = [texts[name] for name in asked if name == "instruction" or self.input]
        if self.options:
            parts.append([f"Options:\n{self.options.shown(options)}" for options in rows.options])
            texts["target"] = list(map(self.options.target, texts["target"], rows.options))
        prompts = ["\n".join(filter(None, row)) for row in zip(*parts, strict=True)]
        texts["prompt"] = prompts if len(parts) > 1 else parts[0]
        columns = [rows.fields["_key"], texts["instruction"], texts["input"], texts["target"]]
        if not is_clean(*map("".join, (*columns, *rows.options))):
            each = enumerate(zip(*columns, rows.options, strict=True))
            unclean = (at for at, (*row, options) in each if not is_clean(*row, *options))
            rows.drop(dict.fromkeys(unclean, Dropped("invalid_text")))

    def _converse(self, rows: Rows) -> None:
        """Add the texts of conversations: the first turn is prompt and target."""
        talks = rows.each(partial(conversation, self.task))
        asked, answers = [talk[0].user for talk in talks], [talk[0].assistant for talk in talks]
        rows.texts |= {"instruction": [""] * len(rows), "input": asked, "target": answers, "prompt": asked}
        rows.options = [[]] * len(rows)
        rows.later = [tuple(talk[1:]) for talk in talks]

    def _refer(self, rows: Rows) -> None:
        """Add the references to images, where there is one for each row."""
        if not self.composer and len(self.images) == 1:
            rows.refs = rows.rendered(self.images[0])

    def _with_images(self, rows: Rows, images: Iterable[Image | Dropped]) -> Iterator[Instances]:
        """Instances of rendered rows; with the last ones comes what dropped."""
        found: list[Image] = []
        at: list[int] = []
        size = 0
        for row, image in zip(range(len(rows)), images, strict=False):
            if isinstance(image, Dropped):
                rows.dropped[rows.places[row]] = image
                continue
            found.append(image)
            at.append(row)
            size += len(image[0])
            if size >= GROUP_BYTES:
                yield self._instances(rows, at, found)
                found, at, size = [], [], 0
        dropped = [(rows.keys[place], rows.dropped[place]) for place in sorted(rows.dropped)]
        yield self._instances(rows, at, found)._replace(dropped=dropped)

    def _instances(self, rows: Rows, at: Sequence[int], found: Sequence[Image]) -> Instances:
        """The rows that are there with their images."""

        def of(column: list[T]) -> list[T]:
            return column if len(at) == len(column) else [column[row] for row in at]

        task, texts, keys = self.task, rows.texts, of(rows.fields["_key"])
        same = [[text] * len(at) for text in (task.id, task.category, task.dataset)]
        columns = (
            [f"{task.id}/{key}" for key in keys], of(texts["instruction"]), of(texts["input"]),
            of(texts["target"]), of(texts["prompt"]), *same, keys,
        )  # fmt: skip
        images, paths = [data for data, _ in found], [path for _, path in found]
        return Instances(images, paths, columns, of(rows.options), of(rows.later) if rows.later else [])

    def _images(self, rows: Rows, read: Read, full: bool) -> Iterator[Image | Dropped]:
        """The image of each row with its upstream reference."""
        if self.composer:
            for row in rows.rows:
                self._reading.begin()
                yield self._composed(self.composer, row, read)
            return
        tries: Iterable[Iterable[str]] = zip(rows.refs, strict=True)
        if len(self.images) > 1:
            tries = ((expression.render(row) for expression in self.images) for row in rows.rows)
        for refs in tries:
            self._reading.begin()
            yield self._image(refs, read, full)

    @staticmethod
    def _image(refs: Iterable[str], read: Read, full: bool) -> Image | Dropped:
        """The first of some images that is there."""
        ref = ""
        try:
            for ref in refs:
                if not ref:
                    raise BadImageError("missing_image")
                try:
                    data = read(ref)
                except MissingRawError:
                    continue
                check_image(data, full=full)
                return data, ref
        except BadImageError as error:
            return Dropped(str(error), ref)
        except DamagedFileError as error:
            return Dropped("unreadable_image", f"{ref}: {error.what}")
        return Dropped("missing_image", ref)

    @staticmethod
    def _composed(composer: Composer, row: Row, read: Read) -> Image | Dropped:
        """The image that is made of others."""
        name = ""
        try:
            first, *more = composer.references(row)
            name = f"composed:{first}" + (f" and {len(more)} more" if more else "")
            return composer.make(row, read), name
        except BadImageError as error:
            return Dropped(str(error), name)
        except MissingRawError as error:
            return Dropped("missing_image", error.what)
        except DamagedFileError as error:
            return Dropped("unreadable_image", f"{name}: {error.what}")


@contextmanager
def _explaining() -> Iterator[None]:
    """What nothing foresaw is an error with what was being done."""
    try:
        yield
    except Exception as error:
        ours = explained(error)
        if ours is error:
            raise
        raise ours from error
