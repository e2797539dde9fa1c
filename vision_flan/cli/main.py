"""The `vflan` group, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from vision_flan import __version__
from vision_flan.cli.output import print_error
from vision_flan.errors import ExitCode, MachineError, VflanError

#: command -> (module, attribute); loaded when it is asked for, so that `vflan --help` starts at once
COMMANDS = {
    "compile": ("vision_flan.cli.data", "compile"),
    "verify": ("vision_flan.cli.data", "verify"),
    "fetch": ("vision_flan.cli.fetch", "fetch"),
    "new": ("vision_flan.cli.specs", "new"),
    "list": ("vision_flan.cli.specs", "list_tasks"),
    "show": ("vision_flan.cli.specs", "show"),
    "validate": ("vision_flan.cli.specs", "validate"),
    "preview": ("vision_flan.cli.specs", "preview"),
    "publish": ("vision_flan.cli.publish", "publish"),
    "rehydrate": ("vision_flan.cli.publish", "rehydrate"),
    "suite": ("vision_flan.cli.suite", "suite"),
    "train": ("vision_flan.cli.train", "train"),
    "projector": ("vision_flan.cli.train", "projector"),
    "export": ("vision_flan.cli.train", "export"),
    "score": ("vision_flan.cli.evaluate", "score"),
    "tables": ("vision_flan.cli.evaluate", "tables"),
    "miniature": ("vision_flan.cli.miniature", "miniature"),
}


class _LazyGroup(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


def _print_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    if context.params["verbose"] or context.params["as_json"]:
        from vision_flan.cli.versions import print_versions

        print_versions(as_json=context.params["as_json"])
    else:
        click.echo(f"vflan, version {__version__}")
    context.exit()


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(  # not eager, as the two that say how are: so their order does not matter
    "--version", is_flag=True, expose_value=False, callback=_print_version, help="Show the version and exit."
)
@click.option(
    "--verbose",
    is_flag=True,
    is_eager=True,
    help="With --version: also the packages that decide bytes, and whether they are the tested ones.",
)
@click.option("--json", "as_json", is_flag=True, is_eager=True, help="With --version: the same as JSON.")
def vflan(verbose: bool, as_json: bool) -> None:
    """Vision-Flan as source: compile, check, publish and train on its tasks.

    \b
    Exit codes: 0 done, 1 findings or an unknown name, 2 wrong arguments,
    3 raw files missing, 4 raw files unreadable, 5 disk or permissions,
    6 the Hub, 130 interrupted.
    """
    if verbose or as_json:
        option = "--verbose" if verbose else "--json"
        raise click.UsageError(f"{option} before a command goes with --version only")


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors are printed, never raised."""
    try:
        _check_working_directory()
        result = command.main(args=arguments, standalone_mode=False)
        return int(result) if isinstance(result, int) else ExitCode.OK
    except VflanError as error:
        print_error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command again goes on where this one stopped", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, as `| head` does
        return ExitCode.OK
    except SystemExit as end:
        return int(end.code or 0) if isinstance(end.code, int) or end.code is None else ExitCode.FAILED


def _check_working_directory() -> None:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise MachineError(
            f"the working directory is gone: {error.strerror}", hint="cd to a folder that is there"
        ) from error


def main() -> None:
    """Console script `vflan`."""
    sys.exit(run(vflan))


def compile_main() -> None:
    """Console script `vflan-compile`: the same command as `vflan compile`."""
    from vision_flan.cli.data import compile as compile_command

    sys.exit(run(compile_command))
