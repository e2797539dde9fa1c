"""`vflan` at the edges of a shell: full disks, closed pipes, URLs, odd encodings, narrow terminals."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.cli.console import COMMAND, environment, on_specs, on_terminal, vflan
from tests.toy import Toy
from vision_flan.cli import output
from vision_flan.cli.main import COMMANDS, run
from vision_flan.cli.main import vflan as group
from vision_flan.cli.options import LocalPath
from vision_flan.errors import ExitCode, Location, VflanError
from vision_flan.miniatures import registry

#: Moves the cursor, sets the window's title, and colors, if a terminal gets them.
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\x9b31m\u202eb"
#: What a terminal may get from us: colors, and rich's cursor moves.
_OURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


# --- outputs that take no more


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["show", "ocr_textocr"]])
def test_a_full_disk_behind_the_output_is_one_line_and_exit_code_5(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = vflan(*arguments, stdout=full.fileno())
    assert done.returncode == ExitCode.SYSTEM
    assert done.stderr == "error: cannot write: No space left on device\n"


def test_nothing_can_be_printed_at_all_and_the_exit_code_says_so() -> None:
    line = " ".join(["exec", '"$@"', "list", "> /dev/full", "2> /dev/full"])
    done = subprocess.run(["bash", "-c", line, "bash", *COMMAND], env=environment(), check=False)
    assert done.returncode == ExitCode.SYSTEM


@pytest.mark.parametrize("command", ["list", "list --json", "--help", "show nosuch 2>&1"])
def test_a_reader_that_ends_first_is_no_traceback(command: str) -> None:
    line = f'"$@" {command} | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() in ("0", "141") and done.stderr == ""


def test_a_list_that_is_cut_by_head_exits_as_other_tools_do() -> None:
    line = '"$@" list | head -1; echo "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND], env=environment(), capture_output=True, text=True, check=False
    )
    header, code = done.stdout.splitlines()
    assert header.startswith("task\t") and code in ("0", "141") and done.stderr == ""


def test_closed_outputs_are_no_error() -> None:
    line = '"$@" list >&- 2>&-'
    done = subprocess.run(["bash", "-c", line, "bash", *COMMAND], env=environment(), check=False)
    assert done.returncode == ExitCode.OK


@pytest.mark.parametrize("command", [*COMMANDS, "suite list"])
def test_a_working_directory_that_is_gone_is_said_by_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code = run(group, command.split())
    monkeypatch.chdir(tmp_path)
    assert code == ExitCode.SYSTEM
    assert "the working directory is gone" in capsys.readouterr().err


def test_a_process_in_a_folder_that_is_gone_ends_with_code_5(tmp_path: Path) -> None:
    line = 'mkdir gone && cd gone && rmdir ../gone && "$@" list'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.SYSTEM and "Traceback" not in done.stderr
    assert "the working directory is gone" in done.stderr and "cd to an existing folder" in done.stderr


# --- arguments


def commands(parent: click.Group = group, name: str = "vflan") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(parent)
    for key in parent.list_commands(context):
        command = parent.get_command(context, key)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


def groups(parent: click.Group = group, name: str = "vflan") -> Iterator[str]:
    yield name
    context = click.Context(parent)
    for key in parent.list_commands(context):
        command = parent.get_command(context, key)
        if isinstance(command, click.Group):
            yield from groups(command, f"{name} {key}")


@pytest.mark.parametrize("name", list(groups()))
def test_the_help_of_a_group_says_of_each_command_what_it_does_on_one_whole_line(name: str) -> None:
    said = CliRunner().invoke(group, [*name.split()[1:], "--help"], terminal_width=80).output
    _, listed = said.split("Commands:\n")
    lines = listed.split("\n\n")[0].rstrip().splitlines()
    assert [line for line in lines if line.endswith("...") or line.startswith("    ")] == []


def paths() -> list[tuple[str, str]]:
    """Command and parameter of each path that a command takes."""
    return [
        (name, parameter.opts[0])
        for name, command in commands()
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
    ]


@pytest.mark.parametrize(("command", "parameter"), paths())
def test_every_path_of_a_command_refuses_a_url(command: str, parameter: str) -> None:
    (found,) = (p for p in dict(commands())[command].params if p.opts[0] == parameter)
    assert isinstance(found.type, LocalPath)


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "https://example.org/x", "file:///tmp/x", "gs:/x", "HF://x"]
)
@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "--task", "ocr_textocr", "--raw"],
        ["compile", "--plan"],
        ["fetch", "textocr", "--dry-run", "--raw"],
        ["list", "--present"],
        ["show", "ocr_textocr", "--raw"],
        ["preview", "ocr_textocr", "--out"],
        ["new", "pets", "animal_pets", "--root"],
        ["rehydrate", "me/mine", "--out"],
        ["suite", "plan", "vision_flan", "--raw"],
        ["miniature", "textocr", "--out"],
        ["score", "mme"],
    ],
)
def test_a_url_in_place_of_a_folder_is_a_wrong_argument_and_makes_no_folder(
    arguments: list[str],
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(group, [*arguments, url]) == ExitCode.USAGE
    assert "is a URL" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["compile", "--task", "ocr_textocr", "--out"], ["verify"]])
@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("HF://x", ExitCode.USAGE, "is on the Hub; compile into a folder, then `vflan publish` it"),
        ("s3://a:b@bucket/x", ExitCode.USAGE, "has a password"),
        ("nosuch://bucket/x", ExitCode.SYSTEM, "there is no such kind of store"),
    ],
)
def test_a_url_that_is_no_place_of_a_store_is_refused_and_makes_no_folder(
    arguments: list[str],
    url: str,
    code: ExitCode,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.make("textocr", tmp_path / "raw", 2, seed=0)
    monkeypatch.chdir(tmp_path)
    assert run(group, [*arguments, url]) == code
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_url_in_a_variable_or_a_table_is_refused_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(group, ["tables", "Mine=s3://bucket/x"]) == ExitCode.USAGE
    monkeypatch.setenv("VFLAN_RAW", "s3://bucket/x")
    assert run(group, ["fetch", "textocr", "--dry-run"]) == ExitCode.USAGE
    assert capsys.readouterr().err.count("is a URL") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "--task", "ocr_textocr"],
        ["fetch", "textocr", "--dry-run"],
        ["show", "ocr_textocr"],
        ["preview", "ocr_textocr"],
        ["suite", "plan", "vision_flan"],
        ["rehydrate", "me/mine"],
    ],
)
def test_raw_that_is_a_file_is_a_wrong_argument(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw").write_text("a file")
    assert run(group, [*arguments, "--raw", str(tmp_path / "raw")]) == ExitCode.USAGE
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([b"show", b"\xff\xfe"], ExitCode.FAILED),
        ([b"list", b"--category", b"\xff"], ExitCode.OK),
        ([b"list", b"--category", b"\xff", b"--json"], ExitCode.OK),
        ([b"\xff"], ExitCode.USAGE),
        ([b"verify", b"\xff"], ExitCode.USAGE),
        ([b"fetch", b"textocr", b"--dry-run", b"--raw", b"\xff"], ExitCode.USAGE),
        ([b"fetch", b"textocr", b"--dry-run", b"--json", b"--raw", b"\xff"], ExitCode.USAGE),
        ([b"validate", b"\xff"], ExitCode.FAILED),
        ([b"suite", b"plan", b"\xff"], ExitCode.FAILED),
        ([b"miniature", b"\xff", b"--out", b"raw"], ExitCode.FAILED),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_arguments_that_are_no_utf_8_are_shown_escaped(
    arguments: list[bytes], code: int, encoding: str, tmp_path: Path
) -> None:
    done = vflan(*arguments, env={"PYTHONIOENCODING": encoding}, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "\udcff" not in done.stdout + done.stderr
    if b"--json" in arguments:
        json.loads(done.stdout)


@pytest.mark.parametrize("option", ["--raw", "--out"])
def test_a_folder_whose_name_is_no_utf_8_is_a_wrong_argument(option: str, tmp_path: Path) -> None:
    done = vflan("compile", "--task", "ocr_textocr", option, b"caf\xe9", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert "'caf\\udce9' is not UTF-8; rename the folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- encodings and terminals


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
@pytest.mark.parametrize("arguments", [["show"], ["show", "--json"], ["list"], ["validate"]])
def test_a_title_that_the_encoding_lacks_does_not_stop_a_command(
    env: dict[str, str], arguments: list[str], toy: Toy
) -> None:
    toy.replace("title: ", "title: Déjà 猫 \U0001f408 ")
    task = [] if arguments == ["list"] else ["toy_color"]
    done = vflan(*arguments, *task, env=env, command=on_specs(toy.root))
    assert done.returncode == 0, done.stderr
    if "--json" in arguments:
        assert json.loads(done.stdout)["title"].startswith("Déjà 猫 \U0001f408 ")


@pytest.mark.parametrize("columns", [40, 60])
def test_a_list_on_a_narrow_terminal_cuts_no_word_and_no_line_is_too_long(columns: int) -> None:
    code, shown = on_terminal("list", "--category", "OCR", columns=columns)
    lines = [_OURS.sub("", line) for line in shown.splitlines()]
    assert code == 0
    assert max(map(len, lines)) <= columns
    assert "ocr_textocr" in [line.strip() for line in lines]
    text = " ".join(" ".join(lines).split())
    assert "category | dataset | license | available | suites" in text
    assert "OCR | textocr | images: CC BY 2.0, as Open Images lists them" in text


def test_a_list_on_a_wide_terminal_is_a_table() -> None:
    _, shown = on_terminal("list", "--category", "OCR", columns=150)
    assert any("ocr_textocr" in line and "CC BY 4.0" in line for line in shown.splitlines())


@pytest.mark.parametrize("command", [name.split()[1:] for name, _ in commands()])
def test_help_fits_40_columns(command: list[str]) -> None:
    lines = group_help(command, 40).partition("Example")[0].splitlines()
    assert lines[0].startswith("Usage: ")


def group_help(command: list[str], columns: int) -> str:
    done = vflan(*command, "--help", env={"COLUMNS": str(columns)})
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- what specs, raw files and names must not do to a terminal


@given(st.text(st.characters(codec=None, categories=None)))
def test_plain_text_steers_no_terminal_and_keeps_the_rest(text: str) -> None:
    shown = output.plain(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in shown)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    shown.encode("utf-8")
    if text.isprintable() and text.isascii():
        assert shown == text
    assert output.plain(shown) == shown


@given(st.text(st.characters(codec=None, categories=None)))
def test_json_is_free_of_control_characters_and_means_the_same(text: str) -> None:
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lambda line, **_: printed.append(line))
        output.print_json({"value": text})
    (line,) = printed
    assert json.loads(line) == {"value": json.loads(json.dumps(text))}
    assert output.plain(line) == line


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["show", "toy"],
        ["show", "toy_color"],
        ["fetch", "toy", "--dry-run"],
        ["compile", "--task", "toy_color"],
    ],
)
@pytest.mark.parametrize("columns", [40, 200])
def test_control_characters_of_a_spec_never_reach_the_terminal(
    arguments: list[str], columns: int, toy: Toy
) -> None:
    license = json.dumps(HOSTILE + " [red]")
    for path in toy.root.glob("task_specs/*/*.yaml"):
        text = path.read_text("utf-8")
        text = re.sub(r"^title: .*$", lambda _: f"title: {license}", text, flags=re.MULTILINE)
        text = re.sub(r"name: [^,}\n]+", lambda _: f"name: {license}", text, count=1)
        path.write_text(text, "utf-8")
    folder = ["--raw", str(toy.raw), "--out", str(toy.root / "out")] if arguments[0] == "compile" else []
    code, shown = on_terminal(*arguments, *folder, columns=columns, command=on_specs(toy.root))
    assert code == 0, shown
    rest = _OURS.sub("", shown)
    assert "\x1b" not in rest and "\x07" not in rest and "\x9b" not in rest and "\u202e" not in rest
    assert "\x1b[2J" not in shown
    if arguments[0] != "compile":
        assert "\\x1b[2J" in rest.replace("\r\n", "").replace("  ", "") or columns == 40
        assert "[red]" in rest


def test_an_error_shows_control_characters_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error(VflanError(f"bad {HOSTILE}", where=Location(HOSTILE), hint=HOSTILE))
    printed = capsys.readouterr().err
    assert "\x1b" not in printed and printed.count("\\x1b[2J") == 3


def test_a_wrong_argument_is_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, [HOSTILE]) == ExitCode.USAGE
    assert "\x1b" not in capsys.readouterr().err


def test_progress_shows_markup_and_control_characters_as_text() -> None:
    console = Console(force_terminal=True, width=120, record=True, file=io.StringIO())
    shown = output.TerminalReporter(output.progress_display(console))
    with shown.progress:
        shown.stage(f"[red]{HOSTILE}", 3)
        shown.advance(1)
        shown.note(f"[bold]{HOSTILE}")
        console.print(shown.progress.get_renderable())
    text = console.export_text()
    assert "[red]a\\x1b[2J" in text and "[bold]a\\x1b[2J" in text


def test_a_log_shows_control_characters_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    log = output.LogReporter()
    log.stage(HOSTILE, 3)
    log.note(HOSTILE)
    printed = capsys.readouterr().err
    assert "\x1b" not in printed and printed.count("\\x1b[2J") == 2
