"""TextOCR recall and WIT entities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.evaluate import wit
from vision_flan.evaluate.textocr import recall, score
from vision_flan.evaluate.values import Answer, AnswerError

Scored = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


def test_recall_is_the_share_of_target_strings_in_the_prediction() -> None:
    assert recall("STOP at Main\nStreet", ["stop", "Main Street", "bus", "bus"]) == 0.5
    assert recall("STOP at Main\nStreet", ["stop", "Main Street"], exact=True) == 0.5


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1), st.text())
def test_recall_is_a_share_and_all_of_it_where_the_prediction_has_every_target(
    targets: list[str], prediction: str
) -> None:
    assert 0 <= recall(prediction, targets) <= 1
    assert recall(" ".join(targets), targets, exact=True) == 1


def test_recall_is_averaged_over_images_next_to_the_mean_length() -> None:
    answers = [Answer("1", "a b", ("a", "c"), tokens=3), Answer("2", "x", ("x",), tokens=2)]
    found = score(answers)
    assert dict(found.parts[0].values) == {"recall": 0.75, "recall_exact_case": 0.75, "mean_tokens": 2.5}


def test_words_are_counted_where_tokens_are_not_known(jsonl: Callable[..., Path], score: Scored) -> None:
    found = score("textocr", jsonl({"id": 1, "prediction": "two words", "target": ["two"]}))
    assert found["parts"][0]["values"]["mean_words"] == 2


def test_textocr_refuses_empty_targets_and_half_given_tokens(
    jsonl: Callable[..., Path], refused: Refused
) -> None:
    row = {"id": 1, "prediction": "x", "target": ["x"]}
    assert "answers.jsonl:1: no target strings" in refused("textocr", jsonl(row | {"target": []}))
    assert "answers.jsonl:2: no tokens" in refused("textocr", jsonl(row | {"tokens": 2}, row | {"id": 2}))
    assert "tokens is -1" in refused("textocr", jsonl(row | {"tokens": -1}))


def capitals(texts: Iterable[str]) -> Iterable[Sequence[str]]:
    """A recognizer for tests: capitalized words."""
    return [[word for word in text.split() if word[0].isupper()] for text in texts]


def test_entity_recall_is_averaged_over_captions_that_have_entities() -> None:
    found = wit.score(
        [
            Answer("1", "the tower of PARIS or Madrid or Berlin", ("Paris in France",)),
            Answer("2", "nothing", ("Rome",)),
            Answer("3", "Oslo", ("a street",)),
        ],
        capitals,
        "capitals",
    )
    values = found.parts[0].values
    assert (found.value, found.count) == (0.25, 2)
    assert (values["mean_entities"], values["mean_target_entities"]) == (pytest.approx(4 / 3), 1)
    assert found.notes == ("entities by capitals", "1 captions have no entity and are left out of the recall")
    with pytest.raises(AnswerError):
        wit.score([Answer("3", "Oslo", ("a street",))], capitals, "capitals")


def test_wit_runs_a_spacy_pipeline(tmp_path: Path, jsonl: Callable[..., Path], score: Scored) -> None:
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    pipeline.add_pipe("entity_ruler").add_patterns(
        [{"label": "GPE", "pattern": name} for name in ("Paris", "Oslo")]
    )
    pipeline.to_disk(tmp_path / "pipeline")
    path = jsonl({"id": 1, "prediction": "It is Paris.", "target": "Paris and Oslo."})
    found = score("wit", path, "--spacy-model", tmp_path / "pipeline")
    assert found["value"] == 0.5
    assert f"spaCy {spacy.__version__}, en_pipeline" in found["notes"][0]


def test_a_missing_spacy_or_pipeline_is_said(jsonl: Callable[..., Path], refused: Refused) -> None:
    path = jsonl({"id": 1, "prediction": "It is Paris.", "target": "Paris and Oslo."})
    printed = refused("wit", path, "--spacy-model", "no_such_pipeline")
    assert "spaCy is not installed" in printed or "spaCy has no pipeline 'no_such_pipeline'" in printed
