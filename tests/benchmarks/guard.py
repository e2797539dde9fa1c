"""What the process with limits costs a compile, in processor time: with and without it, alternating.

    python -m tests.benchmarks.guard [RUNS] [RECORDS]

Prints the seconds of each pair and the ratio of the medians; the first pair warms up.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cli.console import environment, on_specs
from tests.toy import Toy

#: `main` forks into a process with limits, `run` works here.
WITHOUT = "import sys; from vision_flan.cli.main import run, vflan; sys.exit(run(vflan))"


def seconds(toy: Toy, script: str, records: int) -> float:
    """Processor seconds of one compile, of all its processes."""
    arguments = ["compile", "--task", "toy_color", "--raw", str(toy.raw), "--out", str(toy.out), "--force"]
    arguments += ["--limit", str(records)]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def main(runs: int = 5, records: int = 5000) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="vflan-") as place:
        toy = Toy(Path(place), count=records)
        guarded = on_specs(toy.root)[-1]
        scripts = guarded, guarded.removesuffix("main()") + WITHOUT
        pairs = []
        for number in range(runs + 1):
            order = (0, 1) if number % 2 else (1, 0)
            found = {which: seconds(toy, scripts[which], records) for which in order}
            pairs.append((found[0], found[1]))
            print(f"with {found[0]:.2f} s, without {found[1]:.2f} s", flush=True)
        ratio = statistics.median(a / b for a, b in pairs[1:])
        print(f"median ratio {ratio:.3f} over {runs} pairs of {records:,} records")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
