"""A run and a suite in; `RUN/evaluate/<benchmark>/answers.jsonl` and `RUN/scores/<benchmark>.json` out.

What is there is not made again: answers while model, questions and their number stay the same, scores while
the answers and the judge do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vision_flan import __version__
from vision_flan.errors import Location, MachineError, VflanError
from vision_flan.evaluate.chat_api import KEY_VARIABLE, open_judge
from vision_flan.evaluate.convert import answer_line
from vision_flan.evaluate.files import is_sealed, sealed
from vision_flan.evaluate.generate import Generator, generate, version
from vision_flan.evaluate.judge import Judge
from vision_flan.evaluate.registry import JUDGED, score
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.suite import Suite, SuiteTask
from vision_flan.report import Reporter, Silent
from vision_flan.spec.text import own_yaml

#: Benchmarks that cannot be scored without a judge.
NEEDS_JUDGE = ("mm_vet", "llava_bench")
#: Scores that read the answers of another benchmark.
SAME_ANSWERS = {"yes_ratio": "pope"}
_END = 1 << 20


@dataclass(frozen=True)
class JudgeSpec:
    """Where a judge is: an OpenAI-compatible URL, the model's name, the environment variable of the key."""

    url: str
    model: str
    key: str = KEY_VARIABLE


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate, and how.

    Attributes:
        run: the run's folder.
        model: the exported model, or a Hub id.
        partial: score the questions that are there, as `vflan score --partial`.
        judges: by benchmark; a benchmark of `NEEDS_JUDGE` that has none gets answers, no score.
    """

    run: Path
    model: str
    suite: Suite
    generator: Generator
    judges: Mapping[str, JudgeSpec] = field(default_factory=dict)
    partial: bool = False
    spacy_model: str = "en_core_web_sm"
    reporter: Reporter = Silent()  # noqa: RUF009 - it has no state

    def answers(self, benchmark: str) -> Path:
        """The answers to a benchmark."""
        return self.run / "evaluate" / benchmark / "answers.jsonl"

    def score(self, benchmark: str) -> Path:
        """The score of a benchmark."""
        return self.run / "scores" / f"{benchmark}.json"


@dataclass(frozen=True)
class Outcome:
    """What became of a benchmark: `scored`, `kept` from before, `unjudged`, or `failed` with its error."""

    benchmark: str
    state: str
    value: float | None = None
    error: VflanError | None = None


def model_of(run: Path) -> str:
    """The exported model of a run: `RUN/hf`, or the folder itself.

    Raises:
        VflanError: there is none.
    """
    for folder in (run / "hf", run):
        if (folder / "config.json").is_file():
            return str(folder)
    raise VflanError("no exported model", where=Location(run), hint="train it first, or pass --model")


def read_judges(path: Path) -> dict[str, JudgeSpec]:
    """`benchmark: {url, model, key}` from YAML; `key` names an environment variable.

    Raises:
        VflanError: the file says something else.
    """
    tree = own_yaml(path, VflanError)
    found = {}
    for name, keys in tree.items() if isinstance(tree, dict) else [("", None)]:
        known = isinstance(keys, dict) and {"url", "model"} <= keys.keys() <= {"url", "model", "key"}
        if name not in JUDGED or not isinstance(keys, dict) or not known:
            raise VflanError(
                f"{name or 'the file'}: {keys!r} is no judge",
                where=Location(path),
                hint=f"one of {', '.join(JUDGED)}, each with url, model and perhaps key",
            )
        found[str(name)] = JudgeSpec(**{str(key): str(value) for key, value in keys.items()})
    return found


def evaluate(plan: Evaluation, benchmarks: Sequence[str]) -> Iterator[Outcome]:
    """Generates and scores one benchmark after another; the failure of one does not stop the others.

    Raises:
        VflanError: the suite has no such benchmark.
        MachineError: the disk is full, or cannot be written.
    """
    for name in benchmarks:
        if SAME_ANSWERS.get(name, name) not in plan.suite:
            hint = f"it has {', '.join(plan.suite)}"
            raise VflanError(f"the suite has no benchmark {name!r}", hint=hint)
    model = model_digest(plan.model)
    for name in benchmarks:
        try:
            source = SAME_ANSWERS.get(name, name)
            _make_answers(plan, source, model)
            yield _make_score(plan, name, source)
        except MachineError:  # a full disk, which fails the others too
            raise
        except VflanError as error:
            yield Outcome(name, "failed", error=error)


def model_digest(model: str) -> str:
    """A digest of a folder: names, sizes, the first and last MiB of each file; of a Hub model, of its id.

    A card, which `vflan train push` writes and which holds the scores, is no part of the model.
    """
    folder, digest = Path(model), hashlib.sha256(model.encode() if not Path(model).is_dir() else b"")
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file() and path.name != "README.md":
            size = path.stat().st_size
            digest.update(f"{path.name} {size}\n".encode())
            with path.open("rb") as file:
                digest.update(file.read(_END))
                file.seek(max(0, size - _END))
                digest.update(file.read(_END))
    return digest.hexdigest()[:32]


def _make_answers(plan: Evaluation, benchmark: str, model: str) -> None:
    """Generates the answers, unless they are there; the file appears when it is whole."""
    tasks, path = plan.suite[benchmark], plan.answers(benchmark)
    made_of: dict[str, object] = {
        "model": model,
        "tasks": [asdict(task) for task in tasks],
        "limit": plan.generator.limit,
        "data": {
            task.compiled: _data_digest(plan.generator.compiled / task.compiled)
            for task in tasks
            if task.compiled
        },
    }
    made_of = json.loads(json.dumps(made_of))
    about = path.with_name("about.json")
    stored = _stored(about)
    if stored.get("made_of") == made_of and path.is_file() and stored.get("sha256") == _sha256(path):
        return
    plan.reporter.note(f"{benchmark}: lmms-eval answers {', '.join(task.name for task in tasks)}")
    folder = path.parent / "lmms-eval"
    found = generate(plan.generator, plan.model, tasks, folder)
    lines = [answer_line(benchmark, part, record) for part, records in found.items() for record in records]
    _write(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    empty = sum(not str(line["prediction"]).strip() for line in lines)
    facts = {"made_of": made_of, "sha256": _sha256(path), "empty": empty, "lmms_eval": version(folder)}
    _write(about, json.dumps(facts, indent=1) + "\n")


def _data_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.parquet")):
        digest.update(f"{path.name} {_sha256(path)}\n".encode())
    return digest.hexdigest()[:32]


def _make_score(plan: Evaluation, name: str, source: str) -> Outcome:
    """Scores the answers, unless a score of these answers by this judge is there."""
    answers, out = plan.answers(source), plan.score(name)
    spec = plan.judges.get(name)
    if spec is None and name in NEEDS_JUDGE:
        return Outcome(name, "unjudged")
    made_of = {"answers": _sha256(answers), "judge": asdict(spec) if spec else None, "partial": plan.partial}
    kept = _stored(out)
    if kept.get("made_of") == made_of and is_sealed(kept) and _is_score(kept):
        return Outcome(name, "kept", kept["value"] * kept["percent"])
    tasks = plan.suite[source]
    partial = plan.partial or bool(plan.generator.limit)
    request = Request(answers, partial=partial, judge=_judge(plan, name, spec))
    request = replace(request, spacy_model=plan.spacy_model, reporter=plan.reporter)
    found = score(name, request)
    empty = _stored(answers.with_name("about.json")).get("empty")
    if empty and isinstance(empty, int):
        found = found.with_notes(f"{empty:,} answers are empty")
    data = {**found.as_dict(), "prompt": _prompt(tasks), "made_of": made_of, "vision_flan": __version__}
    _write(out, json.dumps(sealed(json.loads(json.dumps(data))), indent=1, ensure_ascii=False) + "\n")
    return Outcome(name, "scored", found.value * found.percent)


def _is_score(kept: Mapping[str, Any]) -> bool:
    return all(isinstance(kept.get(key), int | float) for key in ("value", "percent"))


def _prompt(tasks: Sequence[SuiteTask]) -> str:
    return "official" if all(task.include for task in tasks) else "ours"


def _judge(plan: Evaluation, name: str, spec: JudgeSpec | None) -> Judge | None:
    if spec is None:
        return None
    cache = plan.answers(name).with_name("judge.jsonl")
    return open_judge(spec.url, spec.model, cache, spec.key)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stored(path: Path) -> dict[str, Any]:
    """What a run before left; nothing where it is not there, or damaged: it is made again."""
    try:
        found: object = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
