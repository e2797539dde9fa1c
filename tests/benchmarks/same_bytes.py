"""A whole suite, built in every way a user may build it: are the files the same? `make test-suite-kills`.

`python -m tests.benchmarks.same_bytes [--suite NAME] [--n N] [--kills K] [--skip ray]` makes miniatures of
the suite's datasets and compiles them undisturbed with one job, with two, killed at K random points and
resumed, on a Ray cluster of three workers of which one is killed, and in three shares that are merged. Every
file of the compiled folders must be the same, byte for byte. It takes minutes, so `make test` leaves it out.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import psutil

_CODE = "from vision_flan.cli.main import main; main()"


class Builds:
    """Builds of one suite from one raw folder."""

    def __init__(self, root: Path, suite: str) -> None:
        self.root = root
        self._suite = suite
        self._draw = random.Random(0)

    def vflan(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _CODE, *arguments], stdout=log, stderr=log, start_new_session=True
            )

    def end(self, running: subprocess.Popen[bytes]) -> None:
        """Wait for a command to end well."""
        if running.wait():
            said = (self.root / "log").read_text("utf-8")[-3000:]
            raise click.ClickException(f"a command ended with {running.returncode}:\n{said}")

    def compile(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        """Start a compile of the suite."""
        raw, out = str(self.root / "raw"), str(self.root / name)
        return self.vflan("compile", "--suite", self._suite, "--raw", raw, "--out", out, *more)

    def killed(self, name: str, kills: int, seconds: float) -> int:
        """Kill a build at random points of what it takes, and run it to its end. Returns the kills."""
        done = 0
        while done < kills:
            running = self.compile(name, "--jobs", "2")
            try:
                running.wait(self._draw.uniform(0.5, max(2.0, 2.5 * seconds / kills)))
                break
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                running.wait()
                done += 1
        time.sleep(0.5)  # workers end with their parent, within a moment
        self.end(self.compile(name, "--jobs", "2"))
        return done

    def on_ray(self, name: str) -> int:
        """Build on a cluster of three workers; one is killed while it works. Returns the kills."""
        running = self.compile(name, "--engine", "ray", "--jobs", "3")
        killed: list[int] = []
        watcher = threading.Thread(target=_kill_a_worker, args=(running.pid, killed, self.root / name))
        watcher.start()
        self.end(running)
        watcher.join()
        return len(killed)

    def in_shares(self, name: str) -> None:
        """Three shares, merged."""
        shares = [f"share-{i}" for i in (1, 2, 3)]
        for i, share in enumerate(shares, 1):
            self.end(self.compile(share, "--jobs", "2", "--shard-of", f"{i}/3"))
        folders = [str(self.root / share) for share in shares]
        self.end(self.vflan("merge", *folders, "--out", str(self.root / name)))

    def files(self, name: str) -> dict[str, str]:
        """sha256 of every file of a compiled folder, but those of the work folder."""
        out = self.root / name
        return {
            str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(out.rglob("*"))
            if path.is_file() and not path.relative_to(out).parts[0].startswith(".")
        }


def _kill_a_worker(pid: int, killed: list[int], out: Path) -> None:
    """Kill a worker of the cluster that makes something, once some configs are there."""
    while psutil.pid_exists(pid) and not killed:
        time.sleep(0.2)
        if len(list(out.glob("manifest/*.json"))) < 3:
            continue
        for process in psutil.process_iter(["cmdline", "ppid"]):
            name = " ".join(process.info["cmdline"] or ())
            is_worker = name.startswith("ray::") and "Agent" not in name  # without its agents a node dies
            if is_worker and _is_below(process, pid):
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)
                break


def _is_below(process: psutil.Process, pid: int) -> bool:
    try:
        return any(parent.pid == pid for parent in process.parents())
    except psutil.Error:
        return False


@click.command()
@click.option("--suite", default="vision_flan", show_default=True)
@click.option("--n", default=100, show_default=True, help="Records of a miniature.")
@click.option("--kills", default=20, show_default=True)
@click.option("--skip", multiple=True, type=click.Choice(["two jobs", "killed", "ray", "shares"]))
def main(suite: str, n: int, kills: int, skip: tuple[str, ...]) -> None:
    """Build in every way and compare; exit code 1 when a file differs."""
    with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
        builds = Builds(Path(folder), suite)
        builds.end(builds.vflan("miniature", "--suite", suite, "--out", f"{folder}/raw", "--n", str(n)))
        began = time.monotonic()
        builds.end(builds.compile("one job", "--jobs", "1"))
        seconds = time.monotonic() - began
        wanted = builds.files("one job")
        click.echo(f"one job: {len(wanted)} files, {seconds:.0f} s")
        ways: dict[str, Callable[[], int | None]] = {
            "two jobs": lambda: builds.end(builds.compile("two jobs", "--jobs", "2")),
            "killed": lambda: builds.killed("killed", kills, seconds),
            "ray": lambda: builds.on_ray("ray"),
            "shares": lambda: builds.in_shares("shares"),
        }
        failed = False
        for name, build in ways.items():
            if name in skip:
                continue
            began = time.monotonic()
            killed = build()
            found = builds.files(name)
            differ = sorted(path for path in wanted | found if wanted.get(path) != found.get(path))
            failed |= bool(differ)
            times = "" if killed is None else f", killed {killed} times"
            same = f"differ: {', '.join(differ[:5])}" if differ else "the same"
            click.echo(f"{name}: {len(found)} files, {time.monotonic() - began:.0f} s{times}: {same}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
