"""`vflan score`, `vflan evaluate`, `vflan tables`, `vflan reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from vision_flan import __version__
from vision_flan.cli.options import EITHER, FILE, FOLDER, json_option, local_folder
from vision_flan.cli.output import echo, print_json, print_table, reporter
from vision_flan.errors import ExitCode, install_command
from vision_flan.evaluate.chat_api import KEY_VARIABLE, open_judge
from vision_flan.evaluate.costs import Cost, sizes
from vision_flan.evaluate.evaluation import Evaluation, Outcome, model_of, read_judges
from vision_flan.evaluate.evaluation import evaluate as run_evaluation
from vision_flan.evaluate.experiment import load as load_experiment
from vision_flan.evaluate.experiment import names
from vision_flan.evaluate.figures import can_draw, write_tables
from vision_flan.evaluate.generate import Generator
from vision_flan.evaluate.registry import BENCHMARKS
from vision_flan.evaluate.registry import score as score_of
from vision_flan.evaluate.reproduce import Options, commands
from vision_flan.evaluate.reproduce import run as run_commands
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.suite import load_suite
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
    short_help="Print the paper's tables and figures with your scores.",
    epilog="""\b
Examples:
  vflan tables runs/stage1 runs/stage2
  vflan tables runs --only table3 --only figure4 --out report
  vflan tables "Ours=scores" --format csv""",
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


@click.command(
    short_help="Have lmms-eval answer benchmarks, and score the answers.",
    epilog="""\b
Examples:
  vflan evaluate runs/stage1 --suite paper
  vflan evaluate runs/stage2 --benchmark mm_vet --benchmark cf --judges judges.yaml
  vflan evaluate runs/llava15 --model llava-hf/llava-1.5-13b-hf --gpus 8""",
)
@click.argument("folder", type=FOLDER, metavar="RUN")
@click.option("--suite", default="paper", show_default=True, help="Its benchmarks: paper, or a YAML file.")
@click.option("--benchmark", "benchmarks", multiple=True, help="Only this one; may be given several times.")
@click.option("--model", default="", help="A model folder or Hub id.  [default: RUN/hf, or RUN]")
@click.option(
    "--compiled",
    type=FOLDER,
    default="vision-flan",
    show_default=True,
    help="The compiled folder with the tasks that lmms-eval lacks.",
)
@click.option("--judges", type=FILE, help="YAML: benchmark -> url, model, key (an environment variable).")
@click.option("--limit", type=click.IntRange(1), help="Only so many questions of each task.")
@click.option("--partial", is_flag=True, help="Score benchmarks of which questions are missing.")
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="A process for each GPU.")
@click.option("--device", default="cuda", show_default=True, help="cuda or cpu.")
@click.option("--spacy-model", default="en_core_web_sm", show_default=True, help="Entity recognizer (wit).")
@click.option(
    "--lmms-python",
    "python",
    envvar="VFLAN_LMMS_PYTHON",
    default=sys.executable,
    help="Python of the environment that has lmms-eval.  [env: VFLAN_LMMS_PYTHON; default: this one]",
)
def evaluate(
    folder: Path,
    suite: str,
    benchmarks: tuple[str, ...],
    model: str,
    compiled: Path,
    judges: Path | None,
    limit: int | None,
    partial: bool,
    gpus: int,
    device: str,
    spacy_model: str,
    python: str,
) -> None:
    """Have lmms-eval answer the benchmarks of a suite, and score the answers.

    Answers go to RUN/evaluate, scores to RUN/scores, for `vflan tables RUN`. The same command again makes
    what is missing. Without a judge, MM-Vet and LLaVA-Bench get answers and no score. Exit code 1 if a
    benchmark failed; the others are scored all the same.
    """
    generator = Generator(python, device, gpus, limit or 0, compiled)
    known = load_suite(suite)
    failed = False
    with reporter(quiet=False) as shown:
        plan = Evaluation(
            folder,
            model or model_of(folder),
            known,
            generator,
            read_judges(judges) if judges else {},
            partial,
            spacy_model,
            shown,
        )
        for outcome in run_evaluation(plan, benchmarks or list(known)):
            failed |= outcome.error is not None
            _show_outcome(outcome)
    if failed:
        raise SystemExit(int(ExitCode.FAILED))


def _show_outcome(outcome: Outcome) -> None:
    if outcome.error is not None:
        echo(f"{outcome.benchmark}: failed: {outcome.error}", err=True)
    elif outcome.state == "unjudged":
        echo(f"{outcome.benchmark}: answered, no score: it needs a judge, pass --judges")
    else:
        before = " (as before)" if outcome.state == "kept" else ""
        echo(f"{outcome.benchmark}: {outcome.value:.2f}{before}")


@click.command(
    short_help="Run an experiment of the paper: train, score, compare.",
    epilog="""\b
Examples:
  vflan reproduce table3 --dry-run
  vflan reproduce table2 --train data.root=/data/vision-flan --judges judges.yaml""",
)
@click.argument("name", metavar="EXPERIMENT")
@click.option("--dry-run", is_flag=True, help="Print the commands and what they cost, run none.")
@click.option("--gpus", type=click.IntRange(1), default=8, show_default=True, help="GPUs of this machine.")
@click.option(
    "--train", "overrides", multiple=True, metavar="KEY=VALUE", help="A key of all recipes, as data.root=DIR."
)
@click.option("--judges", type=FILE, help="As in `vflan evaluate`.")
@click.option("--suite", help="As in `vflan evaluate`.")
@click.option("--compiled", type=FOLDER, help="As in `vflan evaluate`.")
@click.option("--limit", type=click.IntRange(1), help="As in `vflan evaluate`.")
@click.option("--device", help="As in `vflan evaluate`.")
@click.option("--partial", is_flag=True, help="As in `vflan evaluate`.")
@click.option("--lmms-python", help="As in `vflan evaluate`.")
def reproduce(
    name: str,
    dry_run: bool,
    gpus: int,
    overrides: tuple[str, ...],
    partial: bool,
    **options: str | int | Path | None,
) -> None:
    """Run an experiment of the paper: train its models, score them, write the table or figure.

    EXPERIMENT is table2 to table7, figure4 to figure9, figure12, or a YAML file of your own. What is there is
    not made again; after a fault the same command goes on. The table is written into runs/paper.
    """
    given = [
        word for key, value in options.items() if value for word in (f"--{key.replace('_', '-')}", str(value))
    ]
    given += ["--partial"] if partial else []
    todo = commands(load_experiment(name), Options(gpus, overrides, tuple(given)))
    if not dry_run:
        run_commands([command for command in todo if not command.is_done], lambda one: echo(f"$ {one}"))
        return
    for command in todo:
        echo(f"{'# there: ' if command.is_done else ''}{command}")
        echo(f"#   {_cost(command.cost)}")
    left = [command.cost.gpu_hours for command in todo if not command.is_done]
    total = "not known" if None in left else f"{sum(hours or 0.0 for hours in left):,.0f}"
    echo(f"# GPU hours left, estimated: {total}. Assumed, not measured: {sizes().assumed}")


def _cost(cost: Cost) -> str:
    if cost.steps is None or cost.samples is None or cost.gpu_hours is None:
        return "steps not known: they depend on what is compiled"
    facts = [f"{cost.steps:,} steps, {cost.samples:,} samples"] if cost.steps else []
    facts += [f"{cost.questions:,} questions"] if cost.questions else []
    facts += [f"about {cost.gpu_hours:,.1f} GPU hours"] if cost.gpu_hours else []
    return "; ".join(facts) or "no training"
