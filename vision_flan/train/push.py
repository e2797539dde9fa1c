"""A finished run's model on the Hub, with a card that says what it was made of and how it scores."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import yaml
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from vision_flan.errors import Location, VflanError
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.markdown import cell, fenced, shown
from vision_flan.spec.text import own_yaml
from vision_flan.train.identity import FILE, Identity

_CLIENT_ERRORS = (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError, RuntimeError, ValueError)
_BASES = ("init.from", "init.llm", "init.vision", "init.projector")


class PushError(VflanError):
    """A run that has no model, or a Hub that does not take it."""


@dataclass(frozen=True)
class Facts:
    """What the card of a run tells.

    Attributes:
        config: what `config.yaml` says.
        identity: recipe, weights and data of its newest checkpoint; None for a model that was only joined.
        scores: what `vflan evaluate` left in `scores/`, by benchmark.
    """

    name: str
    config: Mapping[str, object]
    identity: Identity | None
    scores: Mapping[str, Mapping[str, object]]

    @classmethod
    def read(cls, run: Path) -> Facts:
        """The facts of a finished run.

        Raises:
            PushError: the folder has no exported model or no recipe.
        """
        for needed in ("hf/config.json", "config.yaml"):
            if not (run / needed).is_file():
                raise PushError(
                    f"no finished run: {needed} is not there",
                    where=Location(run),
                    hint="run `vflan train` to its end first",
                )
        newest = max(run.glob(f"checkpoints/step-*/{FILE}"), default=None)
        scores, read = {}, newest or run
        try:
            identity = Identity.read(newest.parent) if newest else None
            for read in sorted(run.glob("scores/*.json")):
                scores[read.stem] = dict(json.loads(read.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise PushError(f"not readable: {error}", where=Location(read)) from error
        config = own_yaml(run / "config.yaml", PushError)
        if not isinstance(config, dict):
            raise PushError("no recipe", where=Location(run / "config.yaml"))
        return cls(run.resolve().name, config, identity, scores)

    @property
    def tasks(self) -> dict[str, str]:
        """Task -> how many instances of how many, and the digest of its data."""
        data = self.identity.data if self.identity else {}
        return {re.sub(r" of source \d+$", "", key): value for key, value in data.items()}


def push(run: Path, repo: str, *, private: bool = True, api: HfApi | None = None) -> str:
    """Creates a model repository where there is none and uploads `<run>/hf` and its card; the address.

    What is there already is not sent again, so after an interruption the same call goes on.

    Raises:
        PushError: the run has no model, a file of it is a link, or the Hub refuses.
    """
    facts = Facts.read(run)
    refuse_links(run / "hf")
    api = api or HfApi(library_name="vision-flan")
    _write(run / "hf" / "README.md", card(facts))
    try:
        api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo, repo_type="model", folder_path=run / "hf", commit_message=f"Model {facts.name}"
        )
    except _CLIENT_ERRORS as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        token = api.token if isinstance(api.token, str) else get_token()
        text = text.replace(token, "***") if token else text  # a server may repeat it
        raise PushError(
            f"the Hub does not take {repo}: {text}",
            hint="a token that may write (hf auth login), a name as OWNER/NAME; then run it again",
        ) from error
    return f"{api.endpoint}/{repo}"


def refuse_links(folder: Path) -> None:
    """Refuse a model's folder with links or pipes in it: what they lead to would be uploaded.

    Raises:
        PushError: names the first.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PushError(
                "a link or a pipe among the files of the model",
                where=Location(path),
                hint="put the file itself there, if it is to be uploaded",
            )


def _write(path: Path, text: str) -> None:
    """Write a file; what stood in its place is replaced, not written to."""
    made = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    made.write_text(text, encoding="utf-8")
    made.replace(path)


def card(facts: Facts, catalog: Catalog | None = None) -> str:
    """The README.md of a model: front matter, recipe, data with its digest and licenses, scores."""
    init = facts.config.get("init")
    bases = [init.get(key.partition(".")[2]) for key in _BASES] if isinstance(init, Mapping) else []
    front = {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["llava", "vision-flan"],
        "base_model": [base for base in bases if isinstance(base, str) and _is_repository(base)],
    }
    front = {key: value for key, value in front.items() if value}
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n# {shown(facts.name)}\n",
        "A LLaVA, trained by vision-flan (https://github.com/vision-flan/vision-flan).",
        *_scores(facts.scores),
        *_data(facts, catalog or Catalog.default()),
        "## Recipe\n",
        fenced(yaml.safe_dump(_without_places(facts.config), sort_keys=False).strip(), "yaml"),
    ]
    return "\n".join(parts) + "\n"


def _without_places(value: object) -> object:
    """A recipe without the folders of the machine it ran on: of a full path, the last name is left."""
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    if isinstance(value, str) and value.startswith(("/", "~", "..")):
        return Path(value).name
    return value


def _is_repository(name: str) -> bool:
    """Whether a name is one on the Hub: a path of the machine goes into no card's front matter."""
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", name)) and not Path(name).exists() and name[:5] != "runs/"


def _scores(scores: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    if not scores:
        return
    yield "## Scores\n\n| benchmark | figure | | questions | judge |\n|---|---|---:|---:|---|"
    for name, score in scores.items():
        judge = score.get("judge")
        judged = str(judge.get("model", "")) if isinstance(judge, dict) else ""
        value = score.get("value")
        figure = f"{value:.4g}" if isinstance(value, (int, float)) else ""
        metric, count = str(score.get("metric", "")), str(score.get("count", ""))
        yield f"| {' | '.join(map(cell, (name, metric, figure, count, judged)))} |"
    yield "\nOf these models and answers, by vision-flan's scorers; another judge's figures do not compare.\n"


def _data(facts: Facts, catalog: Catalog) -> Iterator[str]:
    if not facts.identity:
        yield "## Data\n\nNone: the parts are joined, and nothing was trained.\n"
        return
    yield f"## Data\n\nDigest of recipe, starting weights and data: `{facts.identity.digest}`.\n"
    yield "The licenses are those of the data trained on, as found by vision-flan's maintainers; they are no"
    yield "legal advice.\n\n| task | instances (digest) | source | license |\n|---|---|---|---|"
    for task, instances in sorted(facts.tasks.items()):
        source, license = _origin(task, catalog)
        named = f"`{task}`" if re.fullmatch(r"[\w.-]+", task) else cell(task)
        yield f"| {' | '.join((named, cell(instances), cell(source), cell(license)))} |"
    yield ""


def _origin(task: str, catalog: Catalog) -> tuple[str, str]:
    if task not in catalog.task_files:
        return "", "not known here"
    dataset = catalog.dataset_of(catalog.task(task))
    return dataset.title, dataset.license.name
