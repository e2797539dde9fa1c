"""Order, mixture and step plan, as properties."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.train.config import Source
from vision_flan.train.mixture import Mixture, MixtureError, Ref, choose_tasks, permutation

seeds = st.integers(0, 2**32)
sizes = st.dictionaries(st.text("abcde", min_size=1, max_size=3), st.integers(1, 40), min_size=1, max_size=4)


@given(st.integers(0, 500), seeds)
def test_a_permutation_shows_each_number_once(n: int, seed: int) -> None:
    assert sorted(permutation(n, seed)) == list(range(n))


PERMUTATION_OF_TEN = [6, 4, 2, 0, 5, 8, 1, 3, 7, 9]


def test_a_permutation_is_ours_for_good() -> None:
    assert permutation(10, 0, "epoch", 0).tolist() == PERMUTATION_OF_TEN
    assert permutation(10, 0, "epoch", 1).tolist() != PERMUTATION_OF_TEN


@given(sizes, seeds, st.integers(1, 16), st.integers(0, 30))
def test_a_step_is_a_pure_function_of_seed_and_step(
    rows: dict[str, int], seed: int, batch: int, step: int
) -> None:
    fresh = Mixture([Source()], [rows], seed)
    used = Mixture([Source()], [dict(reversed(rows.items()))], seed)
    for earlier in range(step):
        used.step(earlier, batch)
    assert fresh.step(step, batch) == used.step(step, batch)


@given(sizes, seeds, st.integers(1, 16))
def test_an_epoch_shows_each_instance_once(rows: dict[str, int], seed: int, batch: int) -> None:
    mixture = Mixture([Source()], [rows], seed)
    assert mixture.length == sum(rows.values())
    seen = [ref for step in range(mixture.steps(batch, 3)) for ref in mixture.step(step, batch)]
    for epoch in range(3):
        shown = seen[epoch * mixture.length : (epoch + 1) * mixture.length]
        assert len(set(shown)) == len(shown) == mixture.length


@given(sizes, seeds, st.integers(1, 12), st.integers(1, 60))
def test_counts_are_kept(rows: dict[str, int], seed: int, per_task: int, total: int) -> None:
    offered = sum(min(per_task, n) for n in rows.values())
    if total > offered:
        with pytest.raises(
            MixtureError, match=f"data.sources.0.total is {total}, and the source has {offered} "
        ):
            Mixture([Source(per_task=per_task, total=total)], [rows], seed)
        total = offered
    mixture = Mixture([Source(per_task=per_task, total=total)], [rows], seed)
    assert mixture.length == total
    per = Counter(ref.task for ref in mixture.step(0, mixture.length))
    for task, count in per.items():
        assert count <= min(per_task, rows[mixture.tasks[task][1]])


@given(sizes, seeds)
def test_a_smaller_count_takes_part_of_the_larger(rows: dict[str, int], seed: int) -> None:
    def chosen(per_task: int) -> set[Ref]:
        mixture = Mixture([Source(per_task=per_task)], [rows], seed)
        return set(mixture.step(0, mixture.length))

    assert chosen(3) <= chosen(7)


@given(st.integers(1, 50), st.integers(1, 50), seeds, st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0]))
def test_a_weight_is_how_often_an_epoch_shows_an_instance(a: int, b: int, seed: int, weight: float) -> None:
    mixture = Mixture([Source(), Source(weight=weight)], [{"x": a}, {"x": b}], seed)
    shown = Counter(mixture.step(0, mixture.length))
    counts = [shown[Ref(1, row)] for row in range(b)]
    assert sum(counts) == round(b * weight)
    assert max(counts) - min(counts) <= 1
    assert all(shown[Ref(0, row)] == 1 for row in range(a))


def test_tasks_are_chosen_by_pattern_and_by_number() -> None:
    available = ["object_a", "object_b", "scene_a", "stage2_llava_instruct"]
    assert choose_tasks(Source(), available, 0) == ["object_a", "object_b", "scene_a"]
    assert choose_tasks(Source(include=("object_*",)), available, 0) == ["object_a", "object_b"]
    assert len(choose_tasks(Source(tasks=2), available, 0)) == 2
    assert len({tuple(choose_tasks(Source(tasks=1), available, seed)) for seed in range(20)}) == 3


def test_a_suite_is_what_patterns_match_and_a_name_is_taken_in_any_case() -> None:
    available = ["object_a", "scene_extra", "stage2_llava_instruct", "vqa_a"]
    suite = ("object_a", "vqa_a", "vqa_not_compiled")
    assert choose_tasks(Source(), available, 0, suite) == ["object_a", "vqa_a"]
    assert choose_tasks(Source(include=("v*",)), available, 0, suite) == ["vqa_a"]
    chat = Source(include=("stage2_llava_instruct",), exclude=())
    assert choose_tasks(chat, available, 0, suite) == ["stage2_llava_instruct"]
    with pytest.raises(MixtureError, match="scene_"):
        choose_tasks(Source(include=("scene_*",)), available, 0, suite)


def test_a_task_that_is_not_there_is_named() -> None:
    with pytest.raises(MixtureError, match="no compiled task matches 'vqa_clevr'"):
        choose_tasks(Source(include=("vqa_clevr",)), ["object_a"], 0)
    with pytest.raises(MixtureError, match="wants 187 tasks and 1 of"):
        choose_tasks(Source(tasks=187), ["object_a"], 0)
    with pytest.raises(MixtureError, match="no instance"):
        Mixture([Source(weight=0)], [{"a": 3}], 0)


def test_a_source_takes_published_names() -> None:
    alias = "cinic-10+image_classification_animal"
    available = ["object_cinic10_animal", "scene_a"]
    assert choose_tasks(Source(include=(alias,)), available, 0) == ["object_cinic10_animal"]
    assert choose_tasks(Source(exclude=(alias,)), available, 0) == ["scene_a"]
