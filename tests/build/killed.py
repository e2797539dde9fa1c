"""A command that is killed with SIGKILL at random points, again and again, as by a machine that goes down."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def kill_at_random_points(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    kills: int,
    seconds: tuple[float, float],
    seed: str,
) -> Iterator[None]:
    """Start it until it ends by itself or was killed so often; yields after each kill.

    Args:
        seconds: the least and the most until a kill.
    """
    draw = random.Random(seed)
    for _ in range(kills):
        with subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as running:
            try:
                running.wait(draw.uniform(*seconds))
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
            else:
                assert running.stderr is not None
                assert running.returncode == 0, running.stderr.read()
                return
        yield
