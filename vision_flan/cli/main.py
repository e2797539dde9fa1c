"""The `vflan` group, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from importlib import import_module
from io import StringIO, TextIOWrapper
from itertools import pairwise
from typing import Any

import click

from vision_flan import __version__
from vision_flan.cli.options import with_root
from vision_flan.cli.output import echo, error_facts, facts_of, print_error, print_json
from vision_flan.errors import ExitCode, Location, MachineError, VflanError, system_words
from vision_flan.faults import explained
from vision_flan.guard import EndedError, run_guarded
from vision_flan.limits import COMPILING, TRANSFERRING
from vision_flan.spec.nearest import did_you_mean

#: command -> (module, attribute); loaded on use, so that completion and errors are quick
COMMANDS = {
    "compile": ("vision_flan.cli.data", "compile"),
    "merge": ("vision_flan.cli.merge", "merge"),
    "verify": ("vision_flan.cli.data", "verify"),
    "status": ("vision_flan.cli.status", "status"),
    "card": ("vision_flan.cli.data", "card"),
    "fetch": ("vision_flan.cli.fetch", "fetch"),
    "new": ("vision_flan.cli.new", "new"),
    "list": ("vision_flan.cli.overview", "list_tasks"),
    "show": ("vision_flan.cli.overview", "show"),
    "licenses": ("vision_flan.cli.licenses", "licenses"),
    "validate": ("vision_flan.cli.specs", "validate"),
    "check": ("vision_flan.cli.specs", "check"),
    "preview": ("vision_flan.cli.preview", "preview"),
    "diff": ("vision_flan.cli.diff", "diff"),
    "stats": ("vision_flan.cli.stats", "stats"),
    "duplicates": ("vision_flan.cli.duplicates", "duplicates"),
    "audit": ("vision_flan.cli.audit", "audit"),
    "publish": ("vision_flan.cli.publish", "publish"),
    "rehydrate": ("vision_flan.cli.publish", "rehydrate"),
    "suite": ("vision_flan.cli.suite", "suite"),
    "train": ("vision_flan.cli.train", "train"),
    "projector": ("vision_flan.cli.train", "projector"),
    "export": ("vision_flan.cli.train", "export"),
    "score": ("vision_flan.cli.evaluate", "score"),
    "evaluate": ("vision_flan.cli.evaluate", "evaluate"),
    "tables": ("vision_flan.cli.evaluate", "tables"),
    "reproduce": ("vision_flan.cli.evaluate", "reproduce"),
    "miniature": ("vision_flan.cli.miniature", "miniature"),
}
#: Other spellings of commands, which the help does not list.
HIDDEN = {"licences": "licenses"}


#: Commands that start others, or fill the memory of a GPU: they may take all there is.
UNLIMITED = frozenset({"train", "projector", "evaluate", "reproduce"})
#: Commands that wait for a server: how long that takes is a matter of the line.
WAITING = frozenset({"fetch", "publish", "export", "score"})


class _LazyGroup(click.Group):
    def main(self, *arguments: Any, **named: Any) -> Any:
        """Run a command; what its options set, such as `--root`, ends with it.

        Where an argument is wrong, click does not undo what options did before it.
        """
        return copy_context().run(super().main, *arguments, **named)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command by its name; a wrong one suggests those that are near.

        Raises:
            UsageError: there is no such command.
        """
        if args and not args[0].startswith("-") and self.get_command(context, args[0]) is None:
            hint = did_you_mean(args[0], COMMANDS, "`vflan --help` lists the commands")
            context.fail(f"No such command {args[0]!r}; {hint}")
        return super().resolve_command(context, args)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """As usual; an option of a command that stands in front of it says where it belongs.

        Raises:
            UsageError: an argument is wrong.
        """
        given = list(args)
        try:
            return super().parse_args(context, args)
        except click.NoSuchOption as error:
            name = next((one for one in given if one in COMMANDS), "")
            command = self.get_command(context, name)
            if command and any(error.option_name in option.opts for option in command.params):
                message = f"{error.message} It comes after the command: vflan {name} ... {error.option_name}"
                raise click.NoSuchOption(error.option_name, message, ctx=context) from error
            raise

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        name = HIDDEN.get(name, name)
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return with_root(command)


def _print_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    if context.params["verbose"] or context.params["as_json"]:
        from vision_flan.cli.versions import print_versions

        print_versions(as_json=context.params["as_json"])
    else:
        echo(f"vflan, version {__version__}")
    context.exit()


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Completion of commands and options, in ~/.bashrc (or zsh_source in ~/.zshrc):
  eval "$(_VFLAN_COMPLETE=bash_source vflan)\"""",
)
@click.option(  # not eager, as its two modifiers are: so their order does not matter
    "--version", is_flag=True, expose_value=False, callback=_print_version, help="Show the version and exit."
)
@click.option(
    "--verbose",
    is_flag=True,
    is_eager=True,
    help="With --version: also the packages that affect the shards, and whether they are the tested ones.",
)
@click.option("--json", "as_json", is_flag=True, is_eager=True, help="With --version: print it as JSON.")
def vflan(verbose: bool, as_json: bool) -> None:
    """Vision-Flan as source: compile, check, publish and train on its tasks.

    \b
    Exit codes: 0 done, 1 findings or an unknown name, 2 wrong arguments,
    3 raw files missing, 4 raw files refused, 5 disk or permissions,
    6 the Hub, 130 interrupted, 141 the reader of the output ended first.
    With --json an error is a JSON document too: code, message, hint, where.
    """
    if verbose or as_json:
        option = "--verbose" if verbose else "--json"
        raise click.UsageError(f"{option} before a command is for --version only")


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors are printed, never raised."""
    try:
        return _run(command, arguments, _wants_json(sys.argv[1:] if arguments is None else arguments))
    except OSError as error:  # the error itself cannot be printed
        _discard()
        return ExitCode.READER_GONE if error.errno == errno.EPIPE else ExitCode.SYSTEM


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether errors are JSON too; looked up here, as wrong arguments leave nothing parsed."""
    return (
        "--json" in arguments or "--format=json" in arguments or ("--format", "json") in pairwise(arguments)
    )


def _run(command: click.Command, arguments: Sequence[str] | None, as_json: bool) -> int:
    stdout, stderr = sys.stdout, sys.stderr
    try:
        _check_working_directory()
        result = _result(command, arguments)
        _flush()
        return int(result) if isinstance(result, int) else ExitCode.OK
    except VflanError as error:
        return _failed(error, as_json)
    except click.ClickException as error:
        return _misused(error, as_json)
    except (click.Abort, KeyboardInterrupt):
        echo("interrupted; the same command again resumes where this one stopped", err=True)
        return ExitCode.INTERRUPTED
    except OSError as error:
        return _refused(error, as_json)
    except SystemExit as end:
        if sys.stdout is not stdout:  # click turns EPIPE into SystemExit(1), and puts a wrapper there
            sys.stdout, sys.stderr = stdout, stderr
            return _reader_gone()
        return int(end.code or 0) if isinstance(end.code, int) or end.code is None else ExitCode.FAILED


def _result(command: click.Command, arguments: Sequence[str] | None) -> object:
    """What a command returns. Errors that nothing foresaw are ours where it is known what was being done."""
    try:
        return command.main(args=arguments, standalone_mode=False)
    except (VflanError, OSError, click.ClickException, click.Abort):
        raise
    except Exception as error:
        said = explained(error)
        if said is error:
            raise
        raise said from error


def _failed(error: VflanError, as_json: bool) -> int:
    print_error(error)
    if as_json:
        print_json({"error": facts_of(error)})
    return error.exit_code


def _misused(error: click.ClickException, as_json: bool) -> int:
    text = StringIO()
    error.show(text)
    echo(text.getvalue().rstrip("\n"), err=True)
    if as_json:
        usage = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"{usage.command_path} --help" if usage else ""
        print_json({"error": error_facts(error.format_message(), error.exit_code, hint)})
    return error.exit_code


def _refused(error: OSError, as_json: bool) -> int:
    """An error of the machine that no room of the package turned into one of ours."""
    if error.errno == errno.EPIPE:
        return _reader_gone()
    if isinstance(error.filename, str | bytes):
        where = Location(os.fsdecode(error.filename))
        return _failed(MachineError(system_words(error), where=where), as_json)
    _discard(err=False)
    return _failed(MachineError(f"cannot write: {system_words(error)}"), as_json=False)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _reader_gone() -> int:
    _discard()
    return ExitCode.READER_GONE


def _discard(*, err: bool = True) -> None:
    """Send what cannot be written to the null device; the interpreter would flush it again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr) if err else (sys.stdout,):
        if stream is not None:
            with suppress(OSError):  # a stream of a test has no descriptor
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _check_working_directory() -> None:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise MachineError(
            f"the working directory is gone: {error.strerror}", hint="cd to an existing folder"
        ) from error


def main() -> None:
    """Console script `vflan`."""
    _never_refuse_a_character()
    sys.exit(_guarded(vflan, sys.argv[1] if len(sys.argv) > 1 else ""))


def compile_main() -> None:
    """Console script `vflan-compile`: the same command as `vflan compile`."""
    from vision_flan.cli.data import compile as compile_command

    _never_refuse_a_character()
    sys.exit(_guarded(with_root(compile_command), "compile"))


def _guarded(command: click.Command, name: str) -> int:
    """`run` in a child process with limits, for commands that read what others made."""
    if name in UNLIMITED or HIDDEN.get(name, name) not in COMMANDS:
        return run(command)
    try:
        run_guarded(TRANSFERRING if name in WAITING else COMPILING)
    except EndedError as end:
        return _failed(end.error, _wants_json(sys.argv[1:])) if end.error else end.code
    except VflanError as error:
        return _failed(error, _wants_json(sys.argv[1:]))
    return run(command)


def _never_refuse_a_character() -> None:
    """Escape what the encoding of an output (ASCII, Latin-1) lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
