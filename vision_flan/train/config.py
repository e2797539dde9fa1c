"""What one run does: frozen dataclasses, read from strict YAML, changed by `a.b=c` on the command line.

A recipe is `recipes/<name>.yaml`, named by its stem, or any YAML file, named by its path. `base: <name>`
starts from another recipe. The resolved configuration is written beside the run, and reading that copy
gives the same run again.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vision_flan.errors import Location, VflanError

RECIPES = Path(__file__).parent / "recipes"


class ConfigError(VflanError):
    """A recipe or an override says something the trainer does not know."""


@dataclass(frozen=True)
class Init:
    """Where the weights come from: `from` alone (a folder or Hub id with llava-hf names), or the three parts.

    `projector` may be LLaVA's `mm_projector.bin`, a safetensors file, or a llava-hf folder; left empty the
    MLP starts at random. `tiny` makes a random model of a few thousand parameters instead, for a laptop.
    """

    from_: str = ""
    llm: str = ""
    vision: str = "openai/clip-vit-large-patch14-336"
    projector: str = ""
    tiny: bool = False


@dataclass(frozen=True)
class Source:
    """One part of the mixture.

    Args:
        root: a compiled folder or Hub repository; empty means `data.root`.
        include, exclude: task ids, or patterns such as `object_*`.
        tasks: how many of these tasks, chosen by seed; 0 means all.
        per_task: how many instances of each at most; 0 means all.
        total: how many instances of the whole source at most; 0 means all.
        weight: how often an epoch shows each instance; 0.5 shows half of them.
    """

    root: str = ""
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ("stage0_*", "stage2_*", "eval_*")
    tasks: int = 0
    per_task: int = 0
    total: int = 0
    weight: float = 1.0


@dataclass(frozen=True)
class Data:
    """What is read, and how a sample becomes tokens."""

    root: str = "vision-flan"
    sources: tuple[Source, ...] = (Source(),)
    prompt: str = "vicuna_v1"  # vicuna_v1 | llama2_chat | plain
    image_position: str = "first"  # first | as_written: where the prompt holds `<image>`
    max_tokens: int = 2048  # longer samples lose their end, as in LLaVA
    workers: int = 4


@dataclass(frozen=True)
class Train:
    """The recipe proper. `batch` counts samples of one step over all devices."""

    batch: int = 128
    epochs: float = 1.0
    steps: int = 0  # set, it goes before `epochs`
    lr: float = 2e-5
    warmup: float = 0.03
    schedule: str = "cosine"  # cosine | constant
    optimizer: str = "adamw"  # adamw | sgd
    weight_decay: float = 0.0
    clip: float = 1.0
    freeze_llm: bool = False
    freeze_projector: bool = False
    loss_norm: str = "tokens"  # tokens | device_mean


@dataclass(frozen=True)
class Parallel:
    """How it fits the machine; nothing here changes what is learned beyond rounding."""

    max_tokens_per_rank: int = 16384
    precision: str = "bf16"  # bf16: compute in bf16 over fp32 weights | fp32
    attention: str = "auto"  # auto | sdpa | flex_attention | flash_attention_2
    checkpointing: str = "full"  # none | full | a number n: every n-th layer
    compile: str = ""  # empty, or a torch.compile backend such as inductor
    reshard_after_forward: bool = True


@dataclass(frozen=True)
class Checkpoint:
    """What is kept of a run, and how often."""

    every: int = 500
    keep: int = 2
    asynchronous: bool = True
    export_dtype: str = "bfloat16"  # of the weights in `<out>/hf`


@dataclass(frozen=True)
class Log:
    """What is told of a run. JSON lines in `<out>/metrics.jsonl` are always written."""

    every: int = 1
    categories_every: int = 50
    samples: int = 8  # generations before and after
    tracker: str = ""  # tensorboard | wandb | trackio


@dataclass(frozen=True)
class Config:
    """One run, whole."""

    name: str = "run"
    out: str = ""  # empty: runs/<name>
    seed: int = 0
    init: Init = field(default_factory=Init)
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    parallel: Parallel = field(default_factory=Parallel)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    log: Log = field(default_factory=Log)

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return Path(self.out or f"runs/{self.name}")


CHOICES: dict[str, tuple[str, ...]] = {
    "data.prompt": ("vicuna_v1", "llama2_chat", "plain"),
    "data.image_position": ("first", "as_written"),
    "train.schedule": ("cosine", "constant"),
    "train.optimizer": ("adamw", "sgd"),
    "train.loss_norm": ("tokens", "device_mean"),
    "parallel.precision": ("bf16", "fp32"),
    "parallel.attention": ("auto", "sdpa", "flex_attention", "flash_attention_2"),
    "checkpoint.export_dtype": ("bfloat16", "float16", "float32"),
    "log.tracker": ("", "tensorboard", "wandb", "trackio"),
}


def recipe_names() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load(recipe: str, overrides: Sequence[str] = ()) -> Config:
    """Reads a recipe with its bases, applies `a.b=c`, checks every key and value.

    Raises:
        ConfigError: an unknown recipe, key or choice, or a value of the wrong type.
    """
    tree, path = _read(recipe)
    for text in overrides:
        _override(tree, text)
    config = typing.cast(Config, _build(Config, tree, "", path))
    _check(config, path)
    return config


def dump(config: Config) -> str:
    """The resolved configuration as YAML; `load` of it gives an equal `Config`."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)


def _read(recipe: str, seen: tuple[Path, ...] = ()) -> tuple[dict[str, Any], Path]:
    path = Path(recipe) if recipe.endswith((".yaml", ".yml")) else RECIPES / f"{recipe}.yaml"
    if not path.is_file():
        raise ConfigError(f"no recipe {recipe!r}", hint=_near(recipe, recipe_names(), "recipes: "))
    if path in seen:
        raise ConfigError(f"recipe {recipe!r} is its own base", where=Location(path))
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not YAML: {error}", where=Location(path)) from error
    if not isinstance(tree, dict):
        raise ConfigError("a recipe is a mapping of keys to values", where=Location(path))
    base = tree.pop("base", None)
    if base is not None:
        beside = path.parent / f"{base}.yaml"
        tree = _merge(_read(str(beside) if beside.is_file() else str(base), (*seen, path))[0], tree)
    tree.setdefault("name", path.stem)
    return tree, path


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`; mappings merge, lists and values replace."""
    merged = dict(base)
    merged.pop("name", None)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _override(tree: dict[str, Any], text: str) -> None:
    """Applies one `a.b=c`; the value is YAML, a number between the dots is a place in a list."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is not key=value", hint="for instance train.lr=1e-5")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of {key!r} is not YAML: {value!r}") from error
    *parents, last = key.split(".")
    node: Any = tree
    for name in parents:
        if isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        elif isinstance(node, dict):
            node = node.setdefault(name, {})
        else:
            raise ConfigError(f"{key!r} leads through a value that has no parts")
    if isinstance(node, list) and last.isdigit() and int(last) < len(node):
        node[int(last)] = parsed
    elif isinstance(node, dict):
        node[last] = parsed
    else:
        raise ConfigError(f"{key!r} leads through a value that has no parts")


def _build(kind: Any, value: Any, key: str, path: Path) -> Any:
    """`value` as `kind`: a dataclass, a tuple of one type, or a plain type."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{key!r} wants a mapping, not {value!r}", where=Location(path))
        hints = typing.get_type_hints(kind)
        names = {name.rstrip("_"): name for name in hints}
        for given in value:
            if given not in names:
                full = f"{key}.{given}".lstrip(".")
                raise ConfigError(
                    f"unknown key {full!r}", where=Location(path), hint=_near(str(given), list(names), "keys: ")
                )
        parts = {
            names[name]: _build(hints[names[name]], part, f"{key}.{name}".lstrip("."), path)
            for name, part in value.items()
        }
        return typing.cast(Any, kind)(**parts)
    if isinstance(kind, types.GenericAlias):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{key!r} wants a list, not {value!r}", where=Location(path))
        return tuple(_build(kind.__args__[0], part, f"{key}.{n}", path) for n, part in enumerate(value))
    return _scalar(kind, value, key, path)


def _scalar(kind: type, value: Any, key: str, path: Path) -> Any:
    if value is None and kind is str:
        return ""
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # checkpointing: 2
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 2e-5 as text
        except (TypeError, ValueError):
            pass
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{key!r} wants {kind.__name__}, not {value!r}", where=Location(path))


def _check(config: Config, path: Path) -> None:
    for key, allowed in CHOICES.items():
        section, name = key.split(".")
        value = getattr(getattr(config, section), name)
        if value not in allowed:
            raise ConfigError(
                f"{key} is {value!r}", where=Location(path), hint=_near(value, list(allowed), "choices: ")
            )
    checkpointing = config.parallel.checkpointing
    if checkpointing not in ("none", "full") and not (checkpointing.isdigit() and int(checkpointing)):
        raise ConfigError(
            f"parallel.checkpointing is {checkpointing!r}", hint="choices: none, full, or 2, 3, …"
        )
    if config.parallel.max_tokens_per_rank < config.data.max_tokens:
        raise ConfigError(
            f"parallel.max_tokens_per_rank is {config.parallel.max_tokens_per_rank}, less than one sample of "
            f"data.max_tokens ({config.data.max_tokens})",
            where=Location(path),
            hint=f"parallel.max_tokens_per_rank={config.data.max_tokens}",
        )
    if config.train.batch < 1 or not config.data.sources:
        raise ConfigError("train.batch and data.sources must not be empty", where=Location(path))


def _near(name: str, names: Sequence[str], label: str) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else label + ", ".join(name or "''" for name in names)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name.rstrip("_"): _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
