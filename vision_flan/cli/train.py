"""`vflan train`, `vflan projector`, `vflan export`. torch is loaded inside the commands that need it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, Unpack

import click

from vision_flan.cli.options import FOLDER, json_option
from vision_flan.cli.output import echo, print_json, print_table, reporter
from vision_flan.errors import VflanError, install_command
from vision_flan.report import counted


class _Chosen(TypedDict):
    """Options of `vflan export` that say what to export, named as in `ExportChoices`."""

    tasks: tuple[str, ...]
    splits: tuple[str, ...]
    limit: int | None
    revision: str
    include_forbidden: tuple[str, ...]
    reason: str


FORMATS = ("llava", "messages", "trl", "axolotl", "nanovlm")


@contextmanager
def _trainer() -> Iterator[None]:
    """Turns a missing torch or transformers into advice."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("torch", "transformers"):
            raise VflanError(f"{error.name} is not installed", hint=install_command("train")) from error
        raise


class _RecipeGroup(click.Group):
    """A group whose first word may also be a recipe: then it trains."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["run", *args])


@click.group(
    short_help="Train by a recipe.",
    cls=_RecipeGroup,
    subcommand_metavar="RECIPE|COMMAND [KEY=VALUE]...",
    epilog="""\b
Examples:
  vflan train tiny_cpu
  vflan train stage2 init.from=runs/stage1/hf
  vflan train untuned
  vflan train cost stage1 --gpus 8
  vflan train report runs/tiny_cpu
  vflan train push runs/tiny_cpu me/tiny
  torchrun --nproc-per-node 8 -m vision_flan.train stage1""",
)
def train() -> None:
    """Train by a recipe, on one device; torchrun takes the same arguments for many.

    RECIPE is a name (stage0, stage1, stage2, tasks_x_instances, single_stage_mixed,
    single_stage_mixed_158k, untuned, freeze_llm, freeze_projector, instances_from_base,
    instances_from_pretrained, llama2_chat, tiny_cpu) or a YAML file. The same command again resumes; another
    recipe, model or data in the same folder is refused.
    """


@train.command(
    epilog="""\b
Example:
  vflan train run stage2 init.from=runs/stage1/hf"""
)
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def run(recipe: str, overrides: tuple[str, ...]) -> None:
    """Train by RECIPE: what `vflan train RECIPE` does."""
    from vision_flan.train.recipe import load

    config = load(recipe, overrides)
    with _trainer():
        from vision_flan.train.loop import run as run_recipe

        echo(f"model: {run_recipe(config)}")


@train.command(
    epilog="""\b
Example:
  vflan train report runs/tiny_cpu"""
)
@click.argument("folder", type=FOLDER, metavar="RUN")
def report(folder: Path) -> None:
    """Draw the curves of a run into RUN/report."""
    from vision_flan.train.curves import write_report

    echo(f"report: {write_report(folder)}")


@train.command(
    short_help="Print what a run takes of each GPU, and what is sent.",
    epilog="""\b
Examples:
  vflan train cost stage1 --gpus 8
  vflan train cost stage1 --gpus 1 init.llm=vicuna-7b train.lora.r=16""",
)
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--gpus", type=click.IntRange(1), default=8, show_default=True, help="GPUs of the run.")
@json_option
def cost(recipe: str, overrides: tuple[str, ...], gpus: int, as_json: bool) -> None:
    """Print what a run takes of each GPU: memory, and what the GPUs send in a step. Needs no GPU.

    The model's shape is that of `init`: a folder with a config.json, or a name with 7b or 13b.
    """
    from vision_flan.train.recipe import load

    config = load(recipe, overrides)
    with _trainer():
        from vision_flan.train import cost as costs

        found = costs.cost(config, costs.shape_of(config.init), gpus)
    if as_json:
        print_json(found.as_dict())
        return
    echo(f"{found.trained:,} parameters are trained, {found.frozen:,} are frozen; {gpus} GPUs")
    rows = [
        [name, costs.gib(getattr(found, key))]
        for name, key in (
            ("weights", "weights"),
            ("gradients", "gradients"),
            ("optimizer", "moments"),
            (f"activations and gathered layers, a row of {found.row_tokens:,} tokens", "rest"),
            ("peak", "peak"),
        )
    ]
    print_table("", ["GiB a GPU", ""], rows)
    sent = [[kind, f"{one.count:,}", costs.gib(one.bytes)] for kind, one in found.sent.items()]
    print_table("", [f"a step of {counted(found.rows, 'row')}", "times", "GiB"], sent)


@train.command(
    short_help="Upload a trained model to the Hub, with a card.",
    epilog="""\b
Example:
  vflan train push runs/stage2 my-org/vision-flan-chat-13b""",
)
@click.argument("folder", type=FOLDER, metavar="RUN")
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Create the repository public.  [default: private]")
def push(folder: Path, repo: str, public: bool) -> None:
    """Upload the model of a finished run to the Hub, with a card: recipe, data, licenses, scores.

    An existing repository keeps its visibility. After an interruption the same command goes on.
    """
    with _trainer():
        from vision_flan.train.push import push as push_run

        echo(f"model: {push_run(folder, repo, private=not public)}")


@click.group(short_help="Exchange or compare the projector of trained models.")
def projector() -> None:
    """Exchange or compare the projector of trained models (Tables 6 and 7 of the paper)."""


@projector.command(
    short_help="Write a model with the projector or the LLM of another.",
    epilog="""\b
Examples:
  vflan projector exchange runs/stage2/hf --out runs/table6_chat \\
    --projector liuhaotian/llava-v1.5-mlp2x-336px-pretrain-vicuna-13b-v1.5
  vflan projector exchange runs/stage2/hf --out runs/table7_chat \\
    --llm meta-llama/Llama-2-13b-chat-hf --prompt llama2_chat""",
)
@click.argument("model")
@click.option("--projector", "mlp", default="", help="Take the MLP from this model or file.")
@click.option("--llm", default="", help="Take the LLM from this model, keep the MLP.")
@click.option(
    "--prompt",
    type=click.Choice(["vicuna_v1", "llama2_chat"]),
    help="The prompt style, which goes with the LLM.",
)
@click.option("--out", type=FOLDER, required=True, help="A new folder.")
def exchange(model: str, mlp: str, llm: str, prompt: str | None, out: Path) -> None:
    """Write MODEL with the projector, or the LLM and its prompt style, of another."""
    if bool(mlp) == bool(llm):
        raise click.UsageError("give one of --projector and --llm")
    with _trainer():
        from vision_flan.train.projector import Exchange
        from vision_flan.train.projector import exchange as write_exchanged

        write_exchanged(model, out, Exchange(projector=mlp, llm=llm, prompt=prompt or ""))
    echo(f"model: {out}")


@projector.command(
    short_help="Correlate the parameters of two projectors.",
    epilog="""\b
Example:
  vflan projector compare llava-hf/llava-1.5-13b-hf runs/stage2/hf""",
)
@click.argument("first")
@click.argument("second")
def compare(first: str, second: str) -> None:
    """Print the Pearson correlation of two projectors' parameters, computed in float64."""
    with _trainer():
        from vision_flan.train.projector import correlation

        echo(f"{correlation(first, second):.6f}")


@click.command(
    short_help="Write compiled tasks in the format of another trainer.",
    epilog="""\b
Examples:
  vflan export vision-flan --format trl --out vision-flan-trl
  vflan export vision-flan --format llava --out llava --task ocr_textocr
  vflan export ORG/vision-flan --format messages --out messages --split train --limit 1000""",
)
@click.argument("source", metavar="FOLDER|OWNER/NAME")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="Whose files to write.")
@click.option("--out", type=FOLDER, required=True, help="A new folder.")
@click.option(
    "--task", "tasks", multiple=True, metavar="TASK", help="Some tasks only, by id or published name."
)
@click.option("--split", "splits", multiple=True, metavar="SPLIT", help="Some splits only.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many instances of each task.")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit of OWNER/NAME.")
@click.option(
    "--include-forbidden",
    multiple=True,
    metavar="TASK",
    help="Write this task although its makers forbid to train on it; needs --reason.",
)
@click.option("--reason", default="", help="Why you may train on the tasks of --include-forbidden.")
@json_option
def export(source: str, form: str, out: Path, as_json: bool, **chosen: Unpack[_Chosen]) -> None:
    """Write a compiled FOLDER, or the whole tasks of OWNER/NAME on the Hub, for another trainer.

    llava: LLaVA; messages: ms-swift and LLaMA-Factory; trl: TRL; axolotl; nanovlm: nanoVLM. Every split
    gets a file of its own. After an interruption the same command resumes.
    """
    from vision_flan.exports.write import ExportChoices
    from vision_flan.exports.write import export as write_export

    with reporter(quiet=as_json) as report:
        done = write_export(source, out, form, ExportChoices(**chosen), report)
    if as_json:
        print_json({"out": str(out), "format": form, "instances": done.instances})
        return
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(done.instances.items()))
    echo(f"{out}: {counted(done.total, 'instance')} for {form} ({splits})")
