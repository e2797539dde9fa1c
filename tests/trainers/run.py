"""Read the exports with the trainers' own loaders: `python -m tests.trainers.run [TRAINER...]`.

Exit code 1 if a trainer reads something else than was exported, 2 if one could not be installed and the rest
read all. An environment takes up to three gigabytes, and is removed again unless `--keep` names a folder.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import click

from tests.train import drawn
from vision_flan.exports.placeholders import harmless
from vision_flan.exports.write import export

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Seconds for an installation, and for reading.
INSTALL, READ = 600, 300
#: Marks that the tiny model's processor puts in an image's place: 32 pixels, patches of 8.
MARKS = 16


class Trainer(NamedTuple):
    """A trainer: what is installed, the format it reads, and the script that reads it."""

    packages: tuple[str, ...]
    form: str
    script: str


TRAINERS = {
    "trl": Trainer(("trl", "pillow"), "trl", "read_trl.py"),
    "llamafactory": Trainer(("llamafactory",), "messages", "read_llamafactory.py"),
    "ms-swift": Trainer(("ms-swift",), "messages", "read_swift.py"),
    "axolotl": Trainer(("axolotl",), "axolotl", "read_axolotl.py"),
}
#: Gigabytes for GPUs. The wheels of torchvision and torchaudio that the index has load with CUDA's libraries
#: alone; torch comes before, in the build that fits the machine.
NOT_INSTALLED = (
    *("triton", "xformers", "bitsandbytes", "flash-attn", "deepspeed", "cuda-toolkit"),
    *("torch", "torchvision", "torchaudio"),
)


class Example(TypedDict):
    """What a trainer made of a record: its text, what is learned of it, marks and images."""

    text: str
    learned: str
    marks: int
    images: int


class Expected(NamedTuple):
    """A record of an export: its questions and answers, what is learned, and how many images it has."""

    said: tuple[str, ...]
    learned: tuple[str, ...]
    images: int


TALK = (
    ("What is it?", "A seven."),
    ("<image> Is it red, as <|video|> says?", "No, <ima<image>ge> is not."),
    ("What else?", "Nothing."),
)


def rows() -> dict[str, list[dict[str, Any]]]:
    """Digits with images, texts without, and a conversation whose texts hold trainers' marks."""
    image = drawn.draw_digit(7, random.Random(1), (32, 32))
    words = [drawn.row("text_only", f"{n}", None, f"Repeat {n}.", f"word {n}", "Text") for n in range(3)]
    chat = [drawn.row("chat", "1", image, *TALK[0], "Visual Dialogue", TALK[1:])]
    return {"object_digits": drawn.digit_rows("object_digits", 8, 0), "text_only": words, "chat": chat}


def expected(form: str) -> list[Expected]:
    """What the trainer of a format should make of `rows`; TRL learns one answer an example."""
    found = []
    for row in (row for some in rows().values() for row in some):
        turns = [[harmless(turn[part]) for part in ("user", "assistant")] for turn in row["turns"]]
        images = int(row["image"] is not None)
        for last in range(len(turns)) if form == "trl" else [len(turns) - 1]:
            said = tuple(text for turn in turns[: last + 1] for text in turn)
            learned = (said[-1],) if form == "trl" else said[1::2]
            found.append(Expected(said, learned, images))
    return found


def faults(wanted: Sequence[Expected], examples: Sequence[Example]) -> Iterator[str]:
    """What a trainer got wrong; trainers shuffle, so an example is looked for by what is learned of it."""
    if len(wanted) != len(examples):
        yield f"{len(examples)} examples of {len(wanted)}"
    learned = Counter(_plain(example["learned"]) for example in examples)
    yield from (
        f"learns {text!r} {learned[text]} times, not {count}"
        for text, count in Counter(_plain(" ".join(one.learned)) for one in wanted).items()
        if learned[text] != count
    )
    for one in wanted:
        same = [
            example for example in examples if _plain(example["learned"]) == _plain(" ".join(one.learned))
        ]
        if same and not any(_holds(example, one) for example in same):
            yield f"{one} became {same[0]}"


def _holds(example: Example, one: Expected) -> bool:
    """Whether an example has all that was said, in order, the image, and no mark but the image's."""
    at, text = 0, _plain(example["text"])
    for part in map(_plain, one.said):
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return (example["images"], example["marks"]) == (one.images, MARKS * one.images)


def _plain(text: str) -> str:
    """Without ends of sequences, and with single spaces: what tokenizers do to a text is not compared."""
    return " ".join(text.replace("</s>", " ").split())


def install(trainer: Trainer, folder: Path, uv: str) -> None:
    """Make an environment with a trainer, unless it is there.

    Raises:
        subprocess.SubprocessError: it cannot be installed, or not in time.
    """
    made = folder / "made"
    if made.exists():
        return
    python = folder / "bin" / "python"
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], INSTALL)
    _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(ROOT / "lock" / "torch.txt")], INSTALL)
    excludes = folder / "excludes.txt"
    excludes.write_text("\n".join(NOT_INSTALLED) + "\n")
    command = [uv, "pip", "install", "--quiet", "--python", str(python), "--excludes", str(excludes)]
    _run([*command, *trainer.packages], INSTALL)
    made.touch()


def read(trainer: Trainer, environment: Path, data: Path) -> list[Example]:
    """The examples that a trainer makes of its export.

    Raises:
        subprocess.SubprocessError: it fails, or takes too long.
    """
    with tempfile.TemporaryDirectory(dir=data) as scratch:
        command = [environment / "bin" / "python", HERE / trainer.script]
        arguments = [data / trainer.form, data / "model", scratch]
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": scratch, "MODELSCOPE_CACHE": scratch}
        quiet = {"DO_NOT_TRACK": "1", "AXOLOTL_DO_NOT_TRACK": "1"}
        said = _run([str(part) for part in (*command, *arguments)], READ, {**offline, **quiet})
    found: list[Example] = json.loads(said.splitlines()[-1])
    return found


def _run(command: Sequence[str], seconds: int, more: dict[str, str] | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        env={**environment, **(more or {})},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=True,
    )
    return done.stdout


def reason(error: subprocess.SubprocessError) -> str:
    """Why a command failed, in a line: the last that it wrote, or that it took too long."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {error.timeout:.0f} seconds"
    output = str(getattr(error, "stderr", "") or "").strip() or str(error)
    return output.splitlines()[-1].strip()


def make_data(folder: Path) -> None:
    """The exports, each in a folder of its format's name, and a random model."""
    from vision_flan.train.tiny import create  # needs torch, which the comparison does not

    drawn.write_compiled(folder / "compiled", rows())
    texts = [text for one in expected("messages") for text in one.said]
    create(folder / "model", texts * 3, layers=1)
    for form in sorted({trainer.form for trainer in TRAINERS.values()}):
        export(folder / "compiled", folder / form, form)


@click.command()
@click.argument("names", nargs=-1, metavar="[TRAINER]...")
@click.option("--uv", default="uv", show_default=True, help="The uv that installs.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the environments here for the next run.")
def main(names: tuple[str, ...], uv: str, keep: Path | None) -> None:
    """Install each trainer, read its export with it, and say what was read or why not."""
    unknown = [name for name in names if name not in TRAINERS]
    if unknown:
        raise click.UsageError(f"no trainer {unknown[0]}; there are {', '.join(TRAINERS)}")
    codes = []
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary, "data")
        make_data(data)
        for name in names or TRAINERS:
            with tempfile.TemporaryDirectory() as fresh:
                environment = (keep or Path(fresh)).resolve() / name
                codes.append(check(name, environment, data, uv))
    sys.exit(1 if 1 in codes else max(codes))


def check(name: str, environment: Path, data: Path, uv: str) -> int:
    """Check one trainer and print a line; the exit code."""
    trainer = TRAINERS[name]
    try:
        install(trainer, environment, uv)
    except (subprocess.SubprocessError, OSError) as error:
        why = reason(error) if isinstance(error, subprocess.SubprocessError) else str(error)
        click.echo(f"{name}\tnot installed: {why}")
        return 2
    listed = json.loads(_run([uv, "pip", "list", "--format", "json", "--python", str(environment)], INSTALL))
    version = next(package["version"] for package in listed if package["name"] == trainer.packages[0])
    try:
        found = list(faults(expected(trainer.form), examples := read(trainer, environment, data)))
    except subprocess.SubprocessError as error:
        click.echo(f"{name} {version}\tdoes not read --format {trainer.form}: {reason(error)}")
        return 1
    for fault in found:
        click.echo(f"{name} {version}\t{fault}")
    if not found:
        click.echo(f"{name} {version}\treads --format {trainer.form}: {len(examples)} examples")
    return int(bool(found))


if __name__ == "__main__":
    main()
