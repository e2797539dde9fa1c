"""Several tasks in one run: which are chosen, and what one failure does to the others."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from tests.toy import Toy
from vision_flan.build.compile import Options
from vision_flan.build.many import compile_many, select
from vision_flan.errors import SpecError
from vision_flan.report import Silent


@pytest.fixture
def suite(toy: Toy) -> Toy:
    """The toy task and a second one, in a suite of both."""
    text = (toy.specs / "toy/toy_color.yaml").read_text()
    second = text.replace("id: toy_color", "id: toy_hue").replace("alias: Toy+color", "alias: null")
    (toy.specs / "toy/toy_hue.yaml").write_text(second)
    (toy.instructions / "toy_hue.j2").write_text("Which hue has the square? Answer with its option.\n")
    (toy.specs / "suites").mkdir()
    (toy.specs / "suites/colors.yaml").write_text("title: Colors\ntasks: [toy_color, toy_hue]\n")
    return toy


class TestSelect:
    def test_nothing_named_selects_nothing(self, suite: Toy) -> None:
        assert select(suite.catalog, Options()) == {}

    def test_tasks_come_before_those_of_the_suite_and_each_once(self, suite: Toy) -> None:
        assert list(select(suite.catalog, Options(), ["toy_hue"], "colors")) == ["toy_hue", "toy_color"]

    def test_an_unknown_suite_is_refused(self, suite: Toy) -> None:
        with pytest.raises(SpecError, match="no suite 'colours'"):
            select(suite.catalog, Options(), suite="colours")

    def test_a_plan_selects_the_tasks_it_gives_instances_and_sets_their_limits(self, suite: Toy) -> None:
        chosen = select(suite.catalog, Options(seed=7), quotas={"toy_hue": 3, "toy_color": 0})
        assert chosen == {"toy_hue": Options(seed=7, limit=3)}

    def test_a_plan_limits_tasks_that_are_named_and_leaves_the_others_alone(self, suite: Toy) -> None:
        chosen = select(suite.catalog, Options(limit=9), suite="colors", quotas={"toy_hue": 3})
        assert {name: options.limit for name, options in chosen.items()} == {"toy_color": 9, "toy_hue": 3}


class TestCompileMany:
    def run(self, toy: Toy, *tasks: str) -> dict[str, int | str]:
        """Task -> rows, or the error."""
        selection = select(toy.catalog, Options(limit=5), tasks)
        outcomes = compile_many(selection, toy.raw, toy.out, toy.catalog, lambda _: nullcontext(Silent()))
        return {o.task: o.result.manifest.rows if o.result else str(o.error) for o in outcomes}

    def test_every_task_has_an_outcome_in_order(self, suite: Toy) -> None:
        assert list(self.run(suite, "toy_hue", "toy_color").items()) == [("toy_hue", 5), ("toy_color", 5)]

    def test_a_task_that_fails_does_not_stop_the_others(self, suite: Toy) -> None:
        found = self.run(suite, "toy_colour", "toy_hue")
        assert "no task 'toy_colour'" in str(found["toy_colour"])
        assert found["toy_hue"] == 5

    def test_a_run_that_is_not_continued_compiles_no_further_task(self, suite: Toy) -> None:
        selection = select(suite.catalog, Options(), suite="colors")
        outcomes = compile_many(
            selection, suite.raw, suite.out, suite.catalog, lambda _: nullcontext(Silent())
        )
        assert next(outcomes).task == "toy_color"
        assert not (suite.out / "toy_hue").exists()
