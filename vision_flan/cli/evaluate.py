"""`vflan score`, `vflan tables`."""

from __future__ import annotations

from pathlib import Path

import click

from vision_flan import __version__
from vision_flan.cli.options import EITHER, FILE, FOLDER, json_option, local_folder
from vision_flan.cli.output import echo, print_json, print_table, reporter
from vision_flan.errors import install_command
from vision_flan.evaluate.chat_api import KEY_VARIABLE, open_judge
from vision_flan.evaluate.experiment import load as load_experiment
from vision_flan.evaluate.experiment import names
from vision_flan.evaluate.figures import can_draw, write_tables
from vision_flan.evaluate.registry import BENCHMARKS
from vision_flan.evaluate.registry import score as score_of
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.tables import as_csv, build, markdown, open_models
from vision_flan.evaluate.values import Part, Score


@click.command(
    epilog="""\b
Examples:
  vflan score mme eval_tool/LaVIN
  vflan score pope answers/ --truth POPE/output/coco
  vflan score mm_vet llava.json --truth mm-vet.json \\
      --judge https://api.openai.com/v1 --judge-model gpt-4-0613"""
)
@click.argument("name", type=click.Choice(list(BENCHMARKS)))
@click.argument("path", type=EITHER)
@click.option(
    "--truth",
    type=EITHER,
    help="The benchmark's questions and references, if the answers lack them.",
)
@click.option(
    "--judge", "url", default="none", help="URL of an OpenAI-compatible server, or none.", show_default=True
)
@click.option("--judge-model", "model", default="", help="The judge's name on that server.")
@click.option(
    "--judge-cache",
    "cache",
    type=FILE,
    help="File of the judge's replies; none is requested twice.  [default: PATH.NAME.judge.jsonl]",
)
@click.option(
    "--judge-key",
    "key",
    default=KEY_VARIABLE,
    show_default=True,
    help="Environment variable that holds the judge's API key.",
)
@click.option(
    "--runs", type=click.IntRange(1), default=5, show_default=True, help="Gradings of an answer (mm_vet)."
)
@click.option("--spacy-model", default="en_core_web_sm", show_default=True, help="Entity recognizer (wit).")
@click.option(
    "--partial", is_flag=True, help="Score the answers given, even if the benchmark has more questions."
)
@json_option
def score(
    name: str,
    path: Path,
    truth: Path | None,
    url: str,
    model: str,
    cache: Path | None,
    key: str,
    runs: int,
    spacy_model: str,
    partial: bool,
    as_json: bool,
) -> None:
    """Score the answers in PATH by the rules of benchmark NAME.

    PATH is an answers.jsonl or the benchmark's own result file or folder, from any model.
    Wrong or incomplete answers are an error that names file and line.
    """
    judge = None
    if url != "none":
        if not model:
            raise click.UsageError("--judge needs --judge-model")
        judge = open_judge(url, model, cache or path.with_name(f"{path.name}.{name}.judge.jsonl"), key)
    with reporter(quiet=judge is None) as shown:
        request = Request(path, truth, partial, judge, runs, spacy_model, shown)
        found = score_of(name, request)
    if as_json:
        print_json({**found.as_dict(), "vision_flan": __version__})
    else:
        show(found)


def show(found: Score) -> None:
    """A score as text: the figure, its parts, its judge and its notes."""
    echo(
        f"{found.benchmark}: {found.metric} {figure(found.value, found.percent)} ({found.count:,} questions)"
    )
    if found.parts:
        columns = list(dict.fromkeys(column for part in found.parts for column in part.values))
        rows = [[part.name, f"{part.count:,}", *_cells(part, columns, found.percent)] for part in found.parts]
        print_table("", ["part", "questions", *columns], rows)
    if found.judge:
        judge = found.judge
        versions = ", ".join(judge.versions) or "version unknown"
        echo(f"judge: {judge.model} ({versions}) {judge.url}, {judge.replies:,} replies")
    for note in found.notes:
        echo(f"note: {note}")


def figure(value: float, percent: float) -> str:
    """Fractions with three decimals, as official tools print them, other figures with two."""
    return f"{value:.3f}" if percent == 100.0 else f"{value:.2f}"


def _cells(part: Part, columns: list[str], percent: float) -> list[str]:
    small = percent == 100.0
    return [
        "" if column not in part.values else _cell(part.values[column], small or column.startswith("acc"))
        for column in columns
    ]


def _cell(value: float, small: bool) -> str:
    return f"{value:.3f}" if small else f"{value:.2f}"


@click.command(
    epilog="""\b
Examples:
  vflan tables runs/stage1 runs/stage2
  vflan tables runs --only table3 --only figure4 --out report
  vflan tables "Ours=scores" --format csv"""
)
@click.argument("models", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--only",
    multiple=True,
    metavar="EXPERIMENT",
    help="table2 to table7, figure4 to figure9, figure12, or a YAML file.  "
    "[default: table2, and all others that have a figure of yours]",
)
@click.option("--out", type=FOLDER, help="Write each as .md and .csv, and figures as .png, into this folder.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "csv"]),
    default="markdown",
    show_default=True,
    help="Format.",
)
def tables(models: tuple[str, ...], only: tuple[str, ...], out: Path | None, form: str) -> None:
    """Print the paper's tables and figures with your scores beside its numbers.

    RUN is a run with scores, a folder of such runs, or MODEL=FOLDER with the files that `vflan score --json`
    printed. A run is put in the row of its name; in Table 2 any model has a row. Marks tell where judge,
    prompt, data or recipe are not the paper's.
    """
    for text in models:
        local_folder(text.partition("=")[2] or text)
    scored = open_models(models)
    built = [build(load_experiment(name), scored) for name in only or names()]
    shown = [t for t in built if only or t.has_ours or t.experiment.name == "table2"]
    if out is None:
        echo("\n\n".join(map(markdown, shown)) if form == "markdown" else as_csv(shown))
        return
    for path in write_tables(shown, out):
        echo(str(path))
    if any(table.experiment.is_figure for table in shown) and not can_draw():
        echo(f"note: no PNG, matplotlib is not installed: {install_command('report')}", err=True)
