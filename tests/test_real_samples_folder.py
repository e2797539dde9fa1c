"""Which folder of real samples the tests take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real_samples import VARIABLE, real_samples


def test_the_folder_that_the_variable_names_is_taken_rather_than_the_sibling(tmp_path: Path) -> None:
    named, sibling = tmp_path / "named", tmp_path / "sibling"
    named.mkdir()
    sibling.mkdir()
    assert real_samples({VARIABLE: str(named)}, sibling) == named
    assert real_samples({VARIABLE: ""}, sibling) == sibling
    assert real_samples({}, sibling) == sibling


def test_without_either_there_are_none(tmp_path: Path) -> None:
    assert real_samples({}, tmp_path / "nothing") is None


def test_a_variable_that_names_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="is no folder"):
        real_samples({VARIABLE: str(tmp_path / "nothing")}, tmp_path)
