"""An experiment as commands: train what its rows need, score it, write the table. Each with what it costs.

What is there is not made again, so the same experiment goes on after a fault.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_flan.errors import Location, VflanError
from vision_flan.evaluate.cells import is_another
from vision_flan.evaluate.costs import Cost, evaluation_cost, training_cost
from vision_flan.evaluate.experiment import Experiment, RunSpec
from vision_flan.evaluate.programs import call


class ReproduceError(VflanError):
    """A command of an experiment failed, or its runs need one another in a circle."""


@dataclass(frozen=True)
class Command:
    """One command, as a user types it.

    Attributes:
        makes: the folder it writes.
        is_done: whether what it makes is there already.
    """

    words: tuple[str, ...]
    makes: Path
    cost: Cost
    is_done: bool

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True)
class Options:
    """What the commands are given.

    Attributes:
        gpus: of this machine; 1 trains without torchrun.
        train, evaluate: further arguments of `vflan train` (`data.root=...`) and `vflan evaluate`.
    """

    gpus: int = 8
    train: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = ()


def commands(experiment: Experiment, options: Options) -> list[Command]:
    """Every command of an experiment, in an order in which they can run.

    Raises:
        ReproduceError: runs need one another in a circle.
    """
    ordered: dict[str, RunSpec] = {}
    for row in experiment.rows:
        for run in _with_needed(row.run, experiment.runs, ()):
            ordered.setdefault(run.name, run)
    scored = list(dict.fromkeys(row.run.name for row in experiment.rows))
    found = [made for run in ordered.values() if (made := _make(run, experiment.runs, options))]
    found += [_evaluate(ordered[name], experiment.benchmarks, options) for name in scored]
    folders = [str(ordered[name].folder) for name in scored]
    named = [f"{name}={folder}" for name, folder in zip(scored, folders, strict=True)]
    out = Path("runs") / "paper"
    words = ("vflan", "tables", *named, "--only", _name(experiment), "--out", str(out))
    return [*found, Command(words, out, Cost(), is_done=False)]


def _name(experiment: Experiment) -> str:
    return str(experiment.path) if experiment.path else experiment.name


def _with_needed(run: RunSpec, runs: Mapping[str, RunSpec], above: tuple[str, ...]) -> Iterator[RunSpec]:
    """The runs this one starts from, deepest first, then itself."""
    if run.name in above:
        raise ReproduceError(f"runs need one another: {' -> '.join((*above, run.name))}")
    for name in _needs(run, runs):
        yield from _with_needed(runs[name], runs, (*above, run.name))
    yield run


def _needs(run: RunSpec, runs: Mapping[str, RunSpec]) -> list[str]:
    if run.exchange:
        if run.exchange not in runs:
            raise ReproduceError(f"run {run.name} exchanges a part of {run.exchange!r}, which is no run")
        return [run.exchange]
    config = run.config()
    if config is None:
        return []
    starts = {config.init.from_, config.init.llm, config.init.projector, config.init.vision} - {""}
    return [name for name, other in runs.items() if not other.model and other.weights in starts]


def _make(run: RunSpec, runs: Mapping[str, RunSpec], options: Options) -> Command | None:
    """The command that makes a model; None of a published one."""
    config = run.config(options.train)
    if config is not None:
        words: tuple[str, ...] = ("vflan", "train")
        if options.gpus > 1 and not config.train.untuned:
            words = ("torchrun", "--nproc-per-node", str(options.gpus), "-m", "vision_flan.train")
        words += (run.recipe, *run.overrides, *options.train)
        if config.folder != run.folder:
            words += (f"out={run.folder}",)
        done = (run.folder / "hf" / "config.json").is_file() and not is_another(
            run.folder, run, options.train
        )
        return Command(words, run.folder, training_cost(config), done)
    if not run.exchange:
        return None
    parts = {"--projector": run.projector, "--llm": run.llm, "--prompt": run.prompt}
    words = ("vflan", "projector", "exchange", runs[run.exchange].weights)
    words += tuple(word for option, value in parts.items() if value for word in (option, value))
    words += ("--out", str(run.folder))
    return Command(words, run.folder, Cost(), (run.folder / "config.json").is_file())


def _evaluate(run: RunSpec, benchmarks: Sequence[str], options: Options) -> Command:
    words: tuple[str, ...] = ("vflan", "evaluate", str(run.folder))
    words += tuple(word for name in benchmarks for word in ("--benchmark", name))
    words += ("--model", run.model) if run.model else ()
    words += ("--gpus", str(options.gpus)) if options.gpus > 1 else ()
    made = run.folder / "hf" / "config.json" if run.recipe else run.folder / "config.json"
    scores = [run.folder / "scores" / f"{name}.json" for name in benchmarks]
    done = all(path.is_file() for path in scores) and (bool(run.model) or made.is_file())
    if done and not run.model:
        done = all(path.stat().st_mtime >= made.stat().st_mtime for path in scores)
    return Command((*words, *options.evaluate), run.folder / "scores", evaluation_cost(benchmarks), done)


_PROGRAMS = {
    "vflan": ("-c", "from vision_flan.cli.main import main; main()"),
    "torchrun": ("-m", "torch.distributed.run"),
}


def run(todo: Sequence[Command], before: Callable[[Command], None]) -> None:
    """Runs commands one after another with this Python; each resumes what a run before it left.

    Raises:
        ReproduceError: at the first that fails.
    """
    for command in todo:
        before(command)
        code = call([sys.executable, *_PROGRAMS[command.words[0]], *command.words[1:]])
        if code:
            raise ReproduceError(
                f"exit code {code}: {command}",
                where=Location(command.makes),
                hint="the same `vflan reproduce` goes on here",
            )
