"""Turns a row into an instance, or drops it for a reason that is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vision_flan.columns import TEXT_COLUMNS, Turn
from vision_flan.errors import DamagedFileError, Location, MissingRawError, SpecError
from vision_flan.faults import explained
from vision_flan.instances.compose import Composer
from vision_flan.instances.derive import ORIENTATION, NoValueError, Pools, plan_fields
from vision_flan.instances.images import BadImageError, check_image
from vision_flan.instances.options import OptionsPlan
from vision_flan.instances.orientation import orientation_of
from vision_flan.instances.rendering import Renderer, UnknownLabelError, instruction_of
from vision_flan.instances.text_filters import is_clean
from vision_flan.limits import Step
from vision_flan.records.ordering import Draws
from vision_flan.spec.model import TaskSpec

#: Random stream of the options; no derived field can have this name (it starts with a space).
_OPTIONS_DRAW = " options"

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
        values = self.values
        turns = len(values[_PROMPT]) + len(values[_TARGET])
        for turn in self.later:
            turns += len(turn.user) + len(turn.assistant)
        return len(self.image) + sum(map(len, values)) + turns


class Dropped(NamedTuple):
    """Why a candidate is not written; `detail` is its image, or what is wrong with the image file."""

    reason: str
    detail: str = ""


class Text(NamedTuple):
    """The text of an instance."""

    instruction: str
    input: str
    options: list[str]
    target: str
    prompt: str
    later: tuple[Turn, ...] = ()  # of a conversation, what follows the first turn


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

    def references(self, row: Mapping[str, Any]) -> Sequence[str]:
        """What a row's image is read from, as far as that is known before the row is made."""
        try:
            if self.composer:
                return () if self.composer.reads & self._derived else self.composer.references(row)
            first = self.images[0]
            return () if first.names & self._derived else (first.render(row),)
        except Exception:  # whatever is wrong is said, or counted, when the row is made
            return ()

    def make(
        self, row: dict[str, Any], read: Callable[[str], bytes], *, full_check: bool
    ) -> Instance | Dropped:
        """Render a row and read its image.

        The image is read first only if the task has `reading_order`. If text and image both fail, the reason
        is that of the text in either case.

        Args:
            row: a candidate; `_key` is upstream's key.
            read: returns the bytes of a referenced image.
            full_check: decode every image.

        Raises:
            BadRawError: the fault is not one of a single image: a link out of the folder, an encrypted
                archive. A missing or damaged file only drops the candidate.
        """
        try:
            return self._make(row, read, full_check)
        except Exception as error:
            ours = explained(error)
            if ours is error:
                raise
            raise ours from error

    def _make(
        self, row: dict[str, Any], read: Callable[[str], bytes], full_check: bool
    ) -> Instance | Dropped:
        image = self._image(row, read, full_check) if self._image_first else None
        if image is not None and not isinstance(image, Dropped):
            row[ORIENTATION] = orientation_of(image[0])
        text = self.render(row)
        if isinstance(text, Dropped):
            return text
        if image is None:
            image = self._image(row, read, full_check)
        if isinstance(image, Dropped):
            return image
        data, path = image
        task = self.task
        key = row["_key"]
        values = (
            f"{task.id}/{key}", text.instruction, text.input, text.target, text.prompt,
            task.id, task.category, task.dataset, key,
        )  # fmt: skip
        return Instance(data, path, text.options, values, text.later)

    def render(self, row: dict[str, Any]) -> Text | Dropped:
        """The text of an instance. Adds the derived fields to the row.

        `reading_order` takes the image as stored upright unless the row has its orientation.
        """
        key = row["_key"]
        self._rendering.begin()
        try:
            for field in self.fields:
                row[field.name] = field.make(row, Draws(self._seed, key, field.name))
            if self.target is None:
                return self._conversation(row)
            answer = self.target.render(row)
            options: list[str] = []
            if self.options:
                if self.options.one_answer:  # it is compared with options, which are single lines
                    answer = " ".join(answer.split())
                options = self.options.build(row, answer, Draws(self._seed, key, _OPTIONS_DRAW))
        except NoValueError as error:
            return Dropped(str(error))
        except UnknownLabelError:
            return Dropped("unknown_label")
        if not answer:
            return Dropped("empty_target")
        row["options"] = options
        shown_input = self.input.render(row) if self.input else ""
        if self.input and not shown_input:
            return Dropped("empty_input")
        instruction = self.instruction.render(row)
        parts = [instruction, shown_input] if self.task.first == "instruction" else [shown_input, instruction]
        if self.options:
            parts.append("Options:\n" + self.options.shown(options))
            answer = self.options.target(answer, options)
        if not is_clean(key, instruction, shown_input, answer, *options):
            return Dropped("invalid_text")
        return Text(instruction, shown_input, options, answer, "\n".join(part for part in parts if part))

    def _conversation(self, row: Mapping[str, object]) -> Text | Dropped:
        """The text of an instance of several turns: the first is its input and target.

        Raises:
            SpecError: the field is not a list of {user, assistant}.
        """
        turns = self._turns(row)
        if not turns:
            return Dropped(f"empty_{self.task.turns}")
        if not all(turn.user for turn in turns):
            return Dropped("empty_input")
        if not all(turn.assistant for turn in turns):
            return Dropped("empty_target")
        if not is_clean(str(row["_key"]), *(text for turn in turns for text in turn)):
            return Dropped("invalid_text")
        (asked, answer), *later = turns
        return Text("", asked, [], answer, asked, tuple(later))

    def _turns(self, row: Mapping[str, object]) -> list[Turn]:
        name = self.task.turns or ""
        items, place = row.get(name), self.task.place("turns")
        if name not in row:
            raise SpecError(f"there is no field {name!r} here", where=place)
        turns = []
        for item in items if isinstance(items, list) else [items] if items is not None else []:
            if not isinstance(item, dict) or set(item) != set(Turn._fields):
                what = f"the field {name!r} is not a list of {{user, assistant}}"
                raise SpecError(what, where=place, hint="make it so in SQL")
            turns.append(Turn(*(str(item[part] or "").strip() for part in Turn._fields)))
        return turns

    def _image(
        self, row: dict[str, Any], read: Callable[[str], bytes], full: bool
    ) -> tuple[bytes, str] | Dropped:
        """The image and its upstream reference."""
        path = ""
        self._reading.begin()
        try:
            if self.composer:
                path = self._composed_name(row)
                return self.composer.make(row, read), path
            last = len(self.images) - 1
            for i, expression in enumerate(self.images):
                path = expression.render(row)
                if not path:
                    raise BadImageError("missing_image")
                try:
                    data = read(path)
                except MissingRawError:
                    if i == last:
                        raise
                    continue
                check_image(data, full=full)
                return data, path
        except BadImageError as error:
            return Dropped(str(error), path)
        except MissingRawError as error:
            return Dropped("missing_image", error.what if self.composer else path)
        except DamagedFileError as error:
            return Dropped("unreadable_image", f"{path}: {error.what}")
        return Dropped("missing_image")

    def _composed_name(self, row: Mapping[str, Any]) -> str:
        assert self.composer is not None
        first, *more = self.composer.references(row)
        return f"composed:{first}" + (f" and {len(more)} more" if more else "")
