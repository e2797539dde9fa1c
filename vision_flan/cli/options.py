"""Options and argument types that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from vision_flan.errors import StoreError
from vision_flan.limits import allow_memory
from vision_flan.places.place import Place, place_of
from vision_flan.places.remote import RemotePath
from vision_flan.spec.roots import VARIABLE, chosen_roots

if TYPE_CHECKING:
    from vision_flan.raw.roots import RawRoots

Command = TypeVar("Command", bound=Callable[..., object] | click.Command)
#: Where `--raw-map` leaves its value for `--raw`.
_MAP = "vision_flan.raw_map"

_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?) *((?P<unit>[kmgt])(?P<binary>i)?)?b?", re.IGNORECASE)
#: Where `--work` leaves its value for `--out`.
_WORK = "vision_flan.work"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class LocalPath(click.Path):
    """A path of this machine.

    A URL is refused before any work starts, so no folder `s3:` is made; so is a name that is not UTF-8, which
    manifests, Parquet and DuckDB cannot hold.
    """

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        text = os.fspath(value)
        kind = "folder" if not self.file_okay else "file" if not self.dir_okay else "path"
        if _URL.match(text):
            self.fail(f"{text} is a URL; give a {kind} on this machine", param, ctx)
        if not _is_unicode(text):
            self.fail(f"{text!r} is not UTF-8; rename the {kind}, or give a link to it", param, ctx)
        return super().convert(value, param, ctx)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Several folders in a variable are separated as in PATH; a URL is left whole, to be refused."""
        return [rv] if _URL.match(rv) else super().split_envvar_value(rv)


class PlacePath(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """A folder of this machine, or a URL of a store of objects."""

    name = "directory"

    def __init__(self, *, exists: bool = False) -> None:
        self._local = LocalPath(file_okay=False, exists=exists)

    def convert(self, value: str | Place, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, RemotePath):
            return value
        text, work = os.fspath(value), ctx.meta.get(_WORK) if ctx else None
        if text.lower().startswith("hf://"):
            self.fail(f"{text} is on the Hub; compile into a folder, then `vflan publish` it", param, ctx)
        try:
            place = place_of(text, work)
        except StoreError as error:
            self.fail(f"{error.what}; {error.hint}", param, ctx)
        if isinstance(place, RemotePath):
            return place
        if ctx and ctx.get_parameter_source("work") is ParameterSource.COMMANDLINE:
            self.fail("--work is for a URL; a folder of this machine has its own, .vflan", param, ctx)
        return Path(os.fsdecode(self._local.convert(place, param, ctx)))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self._local.shell_complete(ctx, param, incomplete)


def _is_unicode(text: str) -> bool:
    """Whether no byte of it came from the command line as a surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


FOLDER = LocalPath(file_okay=False)
EXISTING_FOLDER = LocalPath(file_okay=False, exists=True)
FILE = LocalPath(dir_okay=False)
EXISTING_FILE = LocalPath(dir_okay=False, exists=True)
EITHER = LocalPath()
PLACE = PlacePath()
EXISTING_PLACE = PlacePath(exists=True)


class Size(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """A number of bytes: `50GB`, `1.5 TB`, `800MiB`, `1000`."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if not found:
            self.fail(f"{value!r} is not a size; write it as 50GB, 800MB or 16GiB", param, ctx)
        power = " kmgt".index((found["unit"] or " ").lower())
        return int(float(found["number"]) * (1024 if found["binary"] else 1000) ** power)


SIZE = Size()


def local_folder(text: str) -> Path:
    """A folder that is a part of an argument, checked as a folder option is."""
    return Path(os.fsdecode(FOLDER(text)))


_RAW_HELP = "Folder with one subfolder per dataset, in upstream's own layout; may be given several times."


def raw_options(
    name: str = "--raw",
    default: str | None = None,
    help: str = "",
    metavar: str | None = None,
    *,
    for_new: bool = False,
) -> Callable[[Command], Command]:
    """`--raw` and `--raw-map`: the command gets `RawRoots`, or None if nothing is given.

    Args:
        default: the root if none is given; None if the command does without raw files.
        for_new: the map may name datasets that have no spec yet.
    """

    def read_map(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        context.meta[_MAP] = path

    def roots(context: click.Context, _: click.Parameter, given: tuple[Path, ...]) -> RawRoots | None:
        path: Path | None = context.meta[_MAP]
        return _roots(given, default, path, for_new) if given or path or default else None

    raw_option = click.option(
        name,
        type=FOLDER,
        multiple=True,
        envvar="VFLAN_RAW" if default else None,
        callback=roots,
        metavar=metavar,
        help=(help or _RAW_HELP) + (f" [env: VFLAN_RAW; default: {default}]" if default else ""),
    )
    map_option = click.option(
        "--raw-map",
        type=EXISTING_FILE,
        is_eager=True,  # before --raw, which needs it
        expose_value=False,
        callback=read_map,
        help="YAML that maps datasets to other folders or archives. Default: raw.yaml, else the table "
        "tool.vision-flan.raw of pyproject.toml.",
    )
    return lambda command: raw_option(map_option(command))


def _roots(given: tuple[Path, ...], default: str | None, path: Path | None, for_new: bool) -> RawRoots:
    from vision_flan.raw.roots import RawRoots, read_map
    from vision_flan.spec.catalog import Catalog

    mapped = read_map(path, None if for_new else Catalog.default().dataset_files)
    folders = given or ((Path(default),) if default else ())
    return RawRoots(folders, mapped)


raw_option = raw_options(default="raw")
local_out_option = click.option(
    "--out",
    type=FOLDER,
    default="vision-flan",
    show_default=True,
    help="The compiled folder; other configs in it stay.",
)


def out_option(command: Command) -> Command:
    """`--out`, a folder or a URL, and `--work`: the command gets a `Place`."""

    def keep(context: click.Context, _: click.Parameter, folder: Path | None) -> None:
        context.meta[_WORK] = folder

    out = click.option(
        "--out",
        type=PLACE,
        default="vision-flan",
        show_default=True,
        help="The compiled folder; other configs in it stay. Or its URL in a store, such as s3://bucket/name "
        "(docs/scale.md).",
    )
    work = click.option(
        "--work",
        type=FOLDER,
        envvar="VFLAN_WORK",
        is_eager=True,  # before --out, which needs it
        expose_value=False,
        callback=keep,
        help="Where unfinished files lie if --out is a URL: a folder on a disk of this machine. "
        "Default: one in the user's cache folder. [env: VFLAN_WORK]",
    )
    return out(work(command))


def check_shared_work(out: Place) -> None:
    """Workers on other machines make blocks in the work folder, which lies with a compiled folder by default.

    Raises:
        UsageError: the default is one of this machine.
    """
    if isinstance(out, RemotePath) and click.get_current_context().meta.get(_WORK) is None:
        raise click.UsageError("with --engine ray and a URL, give --work: a folder that all machines see")


seed_option = click.option(
    "--seed", default=0, show_default=True, help="Seed of selection, options and negatives."
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="Instances per task, 0 for all. Default: the spec's (mostly 10000).",
)
jobs_option = click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, 1024),
    help="Processes. The shards are the same for any number. Default: the cores this process may use.",
)


def with_root(command: click.Command) -> click.Command:
    """Give a command, or every command of a group, the option `--root`."""
    if isinstance(command, click.Group):
        for sub in command.commands.values():
            with_root(sub)
    elif not any(option.name == "root" for option in command.params):
        command.params.append(_root_option())
    return command


def _root_option() -> click.Option:
    return click.Option(
        ["--root"],
        type=FOLDER,
        multiple=True,
        envvar=VARIABLE,
        is_eager=True,
        expose_value=False,
        callback=_use_roots,
        help="Folder of your own with task_specs/ and instructions/; its tasks come beside the package's. "
        f"[env: {VARIABLE}]",
    )


def _use_roots(context: click.Context, option: click.Parameter, folders: tuple[Path, ...]) -> None:
    context.with_resource(chosen_roots(folders, may_be_new=context.command.name == "new"))


def _allow_memory(context: click.Context, _: click.Parameter, size: int | None) -> None:
    if size is not None:
        allow_memory(size)


memory_option = click.option(
    "--memory",
    type=SIZE,
    expose_value=False,
    callback=_allow_memory,
    help="Memory that each process may take, as 32GB; SQL has a quarter of it before tables spill to disk. "
    "Default: three quarters of the machine's, 16 GiB at most, and 256 MiB for SQL.",
)
bits_option = click.option(
    "--bits",
    type=click.IntRange(0, 7),
    default=6,
    show_default=True,
    help="Of 64 bits of the perceptual hash, those in which images that are nearly the same may differ.",
)
page_option = click.option(
    "--out", type=FILE, help="Also write a page: one HTML file that opens without a network."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
config_option = click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="TASK",
    help="Only this config: a task id or its name in the published release.",
)
