"""Steps of which all ranks get equally many tokens: each sample as often, the same on any number of ranks."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.train.balance import Balanced, BalanceWindow
from vision_flan.train.batches import balance_of, plan_rows
from vision_flan.train.config import Source, Train
from vision_flan.train.mixture import Mixture, Ref

WINDOWS = st.builds(
    lambda group, groups, steps, total, seed: BalanceWindow(group * groups, group, steps, total, seed),
    st.integers(1, 4), st.integers(1, 6), st.integers(1, 7), st.integers(1, 40), st.integers(0, 9),
)  # fmt: skip


def mixture(rows: int, seed: int) -> Mixture:
    return Mixture([Source()], [{"task": rows}], seed)


def length(ref: Ref) -> int:
    return 1 + ref.row * 7919 % 101


@given(WINDOWS, st.integers(1, 90))
def test_a_run_shows_each_sample_as_often_as_without_balancing(window: BalanceWindow, rows: int) -> None:
    """Also at the end of a run, and where a window has samples of several epochs."""
    order = mixture(rows, window.seed)
    balanced = Balanced(order, window, length)
    found = [balanced.step(step) for step in range(window.total)]
    assert {len(refs) for refs in found} == {window.batch}
    plain = [ref for step in range(window.total) for ref in order.step(step, window.batch)]
    assert Counter(ref for refs in found for ref in refs) == Counter(plain)


@given(WINDOWS, st.integers(1, 90), st.data())
def test_a_step_is_the_same_whenever_it_is_asked_for(
    window: BalanceWindow, rows: int, data: st.DataObject
) -> None:
    """So a resumed run, and each of several workers, goes on as one that was never stopped."""
    steps = data.draw(st.lists(st.integers(0, window.total - 1), min_size=1, max_size=9))
    once = Balanced(mixture(rows, window.seed), window, length)
    whole = [once.step(step) for step in range(window.total)]
    again = Balanced(mixture(rows, window.seed), window, length)
    assert [again.step(step) for step in steps] == [whole[step] for step in steps]


@given(WINDOWS)
def test_samples_stay_in_their_window(window: BalanceWindow) -> None:
    order = mixture(window.batch * window.total, window.seed)
    place = {ref: n for n in range(window.total) for ref in order.step(n, window.batch)}
    balanced = Balanced(order, window, length)
    for step in range(window.total):
        assert {place[ref] // window.steps for ref in balanced.step(step)} == {step // window.steps}


#: Of each task, compiled from miniatures (`tests.benchmarks.train_lengths`).
LENGTHS = json.loads(Path(__file__).with_name("lengths.json").read_text())
OURS = {"stage 1": r"(?!stage|eval_)", "stage 2": "stage2_"}
DRAWN = ["short answers", "long tails", "conversations", "with texts alone"]


def realistic(name: str, count: int) -> list[int]:
    """Tokens of samples: of our tasks, or 576 of an image, 60 around it, and texts, cut at 2,048."""
    rng = np.random.default_rng(0)
    if name in OURS:
        tasks = [of for task, of in LENGTHS.items() if re.match(OURS[name], task)]
        return [int(rng.choice(tasks[task])) for task in rng.integers(0, len(tasks), count)]
    texts = {
        "short answers": rng.integers(5, 100, count),
        "long tails": np.exp(rng.normal(4.2, 1.0, count)),
        "conversations": rng.gamma(2.5, 110, count),
        "with texts alone": np.exp(rng.normal(5.0, 0.9, count)),
    }[name]
    images = 576 * (rng.random(count) < 0.85 if name == "with texts alone" else np.ones(count))
    return [int(n) for n in np.minimum(2048, images + 60 + texts)]


@pytest.mark.parametrize("name", [*DRAWN, *OURS])
@pytest.mark.parametrize("ranks", [8, 32, 64])
def test_ranks_are_at_least_95_percent_busy(name: str, ranks: int) -> None:
    lengths = realistic(name, 128 * 64)
    window = BalanceWindow.of(Train(batch=128, balance_for=64), 64, 0)
    assert window and window.group == 2
    order = mixture(len(lengths), 0)
    balanced = Balanced(order, window, lambda ref: lengths[ref.row])

    def busy(steps: list[list[Ref]]) -> float:
        found = []
        for refs in steps:
            tokens = [lengths[ref.row] for ref in refs]
            plan = plan_rows(tokens, ranks, 16384)
            found.append(balance_of([[sum(tokens[i] for i in row) for row in rows] for rows in plan]))
        return float(np.mean(found))

    made = busy([balanced.step(step) for step in range(64)])
    plain = busy([order.step(step, 128) for step in range(64)])
    assert made >= (0.99 if name in OURS else 0.95)
    if ranks == 64:
        assert plain < made


def test_a_group_divides_the_batch() -> None:
    groups = [BalanceWindow.of(Train(batch=128, balance_for=gpus), 9, 0) for gpus in (1, 40, 64, 100, 500)]
    assert [window.group for window in groups if window] == [128, 2, 2, 1, 1]
    assert BalanceWindow.of(Train(), 9, 0) is None


def test_balance_counts_the_wait_for_the_longest_row() -> None:
    assert balance_of([[100, 10], [100, 10]]) == 1
    assert balance_of([[100, 0], [0, 100]]) == 0.5
    assert balance_of([[0], [0]]) == 1


@pytest.mark.slow
def test_worlds_of_1_2_and_3_ranks_learn_the_same(
    run_worlds, lines, tmp_path: Path, tiny: Path, compiled: Path
) -> None:  # type: ignore[no-untyped-def]
    common = [f"data.root={compiled}", "init.tiny=false", f"init.from={tiny}", "train.balance_for=3"]
    common += ["train.batch=12", "train.balance_window=3", "train.steps=7", "log.every=1", "log.samples=0"]
    run_worlds(
        [
            {"ranks": n, "recipe": "tiny_cpu", "overrides": [*common, f"out={tmp_path / str(n)}"]}
            for n in (1, 2, 3)
        ]
    )
    found = [[line["loss"] for line in lines(tmp_path / str(n))] for n in (1, 2, 3)]
    assert len(found[0]) == 7
    assert found[1] == pytest.approx(found[0], rel=1e-5) and found[2] == pytest.approx(found[0], rel=1e-5)
    assert all(0 < line["balance"] <= 1 for line in lines(tmp_path / "3"))
