"""A Ray cluster of three worker processes makes the same bytes, also if one of them is killed."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.toy import Toy
from vision_flan.build import schedule
from vision_flan.build.engines import RAY, EngineSpec, InFlight, open_engine
from vision_flan.build.job import Options
from vision_flan.build.many import compile_many
from vision_flan.dataset.manifest import manifest_path
from vision_flan.dataset.shards import BLOCK_ROWS
from vision_flan.errors import MachineError, SpecError
from vision_flan.report import Silent

ray = pytest.importorskip("ray")


def die_once(mark: Path, value: int) -> int:
    """Kill this worker, the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def refuse() -> None:
    raise SpecError("a spec is wrong", hint="mend it")


def test_one_cluster_of_three_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "RUN_BLOCKS", 2)
    toy = Toy(tmp_path, count=3 * BLOCK_ROWS + 50)
    alone = toy.compile(out=tmp_path / "alone").manifest
    spec = EngineSpec(RAY, jobs=3)
    with open_engine(spec) as cluster:
        flight = InFlight(cluster)
        units = [flight.start(f"unit {i}", die_once, tmp_path / "mark", i) for i in range(6)]
        assert [flight.take(unit) for unit in units] == [0, 1, 2, 3, 4, 5]

        with pytest.raises(SpecError, match="a spec is wrong") as caught:
            flight.take(flight.start("a unit", refuse))
        assert caught.value.hint == "mend it"

        monkeypatch.chdir(tmp_path)
        made = toy.compile(out=Path("blocks"), engine=spec).manifest
        assert made.shards == alone.shards and len(made.shards) == 2
        texts = [manifest_path(tmp_path / out, "toy_color").read_text() for out in ("alone", "blocks")]
        assert texts[0] == texts[1]

        selection = {"toy_color": Options(engine=spec, limit=40), "toy_colour": Options(engine=spec)}
        outcomes = compile_many(
            selection, toy.raw, tmp_path / "suite", toy.catalog, lambda _: nullcontext(Silent())
        )
        found = {outcome.task: outcome for outcome in outcomes}
        assert "no task 'toy_colour'" in str(found["toy_colour"].error)
        result = found["toy_color"].result
        assert result is not None and result.manifest.rows == 40


def test_a_cluster_that_is_not_there_is_said() -> None:
    with (
        pytest.raises(MachineError, match="no Ray cluster at '127.0.0.1:1'"),
        open_engine(EngineSpec(RAY, jobs=2, address="127.0.0.1:1")),
    ):
        pass
