"""In a run of several tasks, one that crashes or takes too much costs itself: the others are built."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.console import environment
from tests.toy import Toy

#: What a worker does in place of reading an image, by the color of the square that the task asks for.
SITE = """
import os, signal, time
from vision_flan.readers.image_refs import ImageStore
from vision_flan.limits import current_step
read = ImageStore.read_stamped
def broken(self, ref):
    task = str(current_step().place.file)
    {faults}
    return read(self, ref)
ImageStore.read_stamped = broken
"""
START = """
from pathlib import Path
from vision_flan.cli.main import main
from vision_flan.spec.catalog import Catalog
root = Path({root!r})
Catalog.default = classmethod(lambda cls: cls(root / 'task_specs', root / 'instructions'))
if __name__ == "__main__":
    main()
"""
CRASH = "os.kill(os.getpid(), signal.SIGSEGV)"
MEMORY = "x = [bytearray(1 << 26) for _ in range(1 << 20)]"
SPIN = "exec('while True: pass')"
SLEEP = "time.sleep(600)"
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
LIMITS = {"VFLAN_LIMIT_MEMORY": "1G", "VFLAN_LIMIT_CPU": "4"}


@pytest.fixture
def several(toy: Toy) -> Toy:
    """Four tasks on the same images."""
    text = (toy.specs / "toy/toy_color.yaml").read_text()
    for name in ("toy_bad", "toy_worse", "toy_last"):
        changed = text.replace("id: toy_color", f"id: {name}").replace("alias: Toy+color", "alias: null")
        (toy.specs / f"toy/{name}.yaml").write_text(changed)
        (toy.instructions / f"{name}.j2").write_text(
            f"Which color of {name} is it? Answer with its option.\n"
        )
    return toy


def compiled(
    toy: Toy, faults: Mapping[str, str], *arguments: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Compile tasks, each with its fault. Spawned workers run the script too, and so have the faults."""
    lines = "\n    ".join(f"if {name!r} in task: {fault}" for name, fault in faults.items())
    script = toy.root / "vflan.py"
    script.write_text(SITE.format(faults=lines) + START.format(root=str(toy.root)))
    folders = ["--raw", str(toy.raw), "--out", str(toy.out)]
    return subprocess.run(
        [sys.executable, str(script), "compile", *folders, *arguments],
        capture_output=True,
        text=True,
        env=environment({**LIMITS, **env}),
        timeout=120,
    )


def run(
    toy: Toy, faults: Mapping[str, str], *arguments: str, **env: str
) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Compile all tasks; what was said, and the tasks that were built."""
    tasks = ("toy_bad", "toy_color", "toy_worse", "toy_last")
    chosen = [part for name in tasks for part in ("--task", name)]
    done = compiled(toy, faults, *chosen, *arguments, **env)
    return done, {path.stem for path in (toy.out / "manifest").glob("*.json")}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_crash_of_one_task_is_named_and_the_others_are_built(several: Toy, jobs: str) -> None:
    done, built = run(several, {"toy_bad": CRASH}, "--keep-going", "--jobs", jobs)
    assert done.returncode == 4, done.stderr
    assert built == {"toy_color", "toy_worse", "toy_last"}
    assert f"{several.specs}/toy/toy_bad.yaml:8:1: a library crashed (SIGSEGV)" in done.stderr
    assert "Traceback" not in done.stderr


def test_memory_and_time_of_two_tasks_cost_the_third_nothing(several: Toy) -> None:
    faults = {"toy_bad": MEMORY, "toy_worse": SPIN}
    done, built = run(several, faults, "--keep-going", "--jobs", "2")
    assert done.returncode == 4, done.stderr
    assert built == {"toy_color", "toy_last"}
    assert "toy_bad.yaml:8:1: more than 1.0 GiB of memory while reading an image" in done.stderr
    assert "toy_worse.yaml:8:1: more than 4 s of processor time while reading an image" in done.stderr


def test_a_task_that_waits_without_end_is_ended_and_the_others_are_built(several: Toy) -> None:
    done, built = run(several, {"toy_bad": SLEEP}, "--keep-going", "--jobs", "2", VFLAN_LIMIT_WALL="4")
    assert "toy_bad.yaml:8:1: more than 4 s while reading an image" in done.stderr
    assert built == {"toy_color", "toy_worse", "toy_last"}


def test_a_run_may_take_longer_than_a_step(several: Toy) -> None:
    faults = {"toy_bad": "time.sleep(0.9)", "toy_worse": "time.sleep(0.9)"}
    done, built = run(several, faults, "--jobs", "2", VFLAN_LIMIT_WALL="7")
    assert done.returncode == 0, done.stderr
    assert len(built) == 4


def test_a_worker_that_the_system_kills_is_tried_again_and_then_named(several: Toy) -> None:
    done, built = run(several, {"toy_bad": KILLED}, "--keep-going", "--jobs", "2")
    assert "toy_bad.yaml:8:1: the system ended the process, most likely for its memory" in done.stderr
    assert built == {"toy_color", "toy_worse", "toy_last"}


def test_a_suite_goes_on_after_a_crash_and_says_so_in_its_log(several: Toy) -> None:
    (several.specs / "suites").mkdir()
    (several.specs / "suites/all.yaml").write_text("title: All\ntasks: [toy_bad, toy_color, toy_last]\n")
    done = compiled(several, {"toy_bad": CRASH}, "--suite", "all", "--limit", "5", "--json")
    facts = {one["task"]: one for one in json.loads(done.stdout)}
    assert "SIGSEGV" in facts["toy_bad"]["error"]["message"]
    assert facts["toy_color"]["shards"] and facts["toy_last"]["shards"]
    assert "SIGSEGV" in (several.out / ".vflan/compile.log").read_text()


def test_without_keep_going_the_first_failure_ends_the_run(several: Toy) -> None:
    done, built = run(several, {"toy_bad": CRASH}, "--jobs", "1")
    assert done.returncode == 4
    assert "toy_last" not in built


def test_what_a_crash_cost_is_built_by_the_same_command_later(several: Toy) -> None:
    run(several, {"toy_bad": CRASH}, "--keep-going")
    done, built = run(several, {}, "--keep-going")
    assert done.returncode == 0 and len(built) == 4


def test_workers_leave_no_notes_behind(several: Toy, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    run(several, {"toy_bad": CRASH}, "--keep-going", "--jobs", "2", TMPDIR=str(temporary))
    assert not list(temporary.glob("vflan-*"))
