"""Steps: the same on any number of ranks, every image decoded once, no padding."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from vision_flan.train.batches import Packing, SampleError, Step, Steps, plan_rows, steps_from, to_square
from vision_flan.train.config import Data, Source
from vision_flan.train.corpus import Corpus, CorpusError, open_corpus
from vision_flan.train.model import MEAN, load_tokenizer, normalize
from vision_flan.train.prompts import Encoder

DATA = Data(max_tokens=256, sources=(Source(exclude=()),))


@pytest.fixture(scope="module")
def corpus(compiled: Path) -> Corpus:
    return open_corpus(Data(root=str(compiled), sources=DATA.sources), seed=3)


def make(
    corpus: Corpus, tiny: Path, rank: int = 0, ranks: int = 1, data: Data = DATA, **how: object
) -> Steps:
    settings = {"batch": 12, "limit": 256, "side": 32, "mean": MEAN, **how}
    return Steps(corpus, Encoder(load_tokenizer(tiny), data, 16), Packing(rank=rank, ranks=ranks, **settings))


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 9), st.integers(100, 300))
def test_a_plan_holds_each_document_once_within_the_limit(lengths: list[int], ranks: int, limit: int) -> None:
    plan = plan_rows(lengths, ranks, limit)
    assert len({len(rows) for rows in plan}) == 1
    assert sorted(i for rows in plan for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= limit for rows in plan for row in rows)


@given(st.lists(st.integers(1, 100), min_size=8, max_size=60), st.integers(1, 4))
def test_ranks_get_about_the_same_tokens(lengths: list[int], ranks: int) -> None:
    plan = plan_rows(lengths, ranks, 100_000)
    loads = [sum(lengths[i] for i in rows[0]) for rows in plan]
    assert max(loads) - min(loads) <= max(lengths)


def test_a_document_longer_than_a_row_is_refused() -> None:
    with pytest.raises(SampleError, match="301 tokens does not fit a row of 300"):
        plan_rows([5, 301], 2, 300)


def documents_of(step: Step) -> dict[int, tuple[list[int], list[int]]]:
    """sample -> (ids, labels) as the rows hold them."""
    found = {}
    for row in step.rows:
        start = 0
        for length in row.lengths:
            inside = (row.predicting >= start) & (row.predicting < start + length)
            ids = row.token_ids[start : start + length].tolist()
            assert row.positions[start : start + length].tolist() == list(range(length))
            learned = row.token_ids[row.predicting[inside] + 1].tolist()
            assert learned == row.labels[inside].tolist()
            (number,) = set(row.sample[inside].tolist())
            found[number] = (ids, learned)
            start += length
        assert start + row.padding == len(row.token_ids)
    return found


@pytest.mark.parametrize("blocks", [False, True])
def test_any_number_of_ranks_gives_the_same_step(corpus: Corpus, tiny: Path, blocks: bool) -> None:
    alone = make(corpus, tiny)[5]
    for ranks in (2, 3, 5):
        shares = [make(corpus, tiny, rank, ranks, blocks=blocks)[5] for rank in range(ranks)]
        joined = {k: v for share in shares for k, v in documents_of(share).items()}
        assert joined == documents_of(alone)
        assert sum(share.local_supervised for share in shares) == alone.local_supervised == alone.supervised
        assert {share.supervised for share in shares} == {alone.supervised}
        assert len({len(share.rows) for share in shares}) == 1
        assert sum(len(row.images) for share in shares for row in share.rows) == sum(
            sample.has_image for sample in alone.samples
        )


def test_workers_and_restarts_change_nothing(corpus: Corpus, tiny: Path) -> None:
    steps = make(corpus, tiny)
    alone = [documents_of(step) for step in steps_from(steps, 0, 4, workers=0)]
    assert [documents_of(step) for step in steps_from(steps, 0, 4, workers=2)] == alone
    assert [documents_of(step) for step in steps_from(steps, 2, 4, workers=2)] == alone[2:]


def test_a_resume_reads_no_skipped_image(corpus: Corpus, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    original = Corpus.image
    monkeypatch.setattr(Corpus, "image", lambda self, ref: (read.append(ref), original(self, ref))[1])
    (step,) = steps_from(make(corpus, tiny), 7, 8, workers=0)
    wanted = [ref for ref in corpus.mixture.step(7, 12) if corpus.sample(ref).has_image]
    assert sorted(map(tuple, read)) == sorted(map(tuple, wanted))
    assert len(step.samples) == 12


def test_as_llava_deals_them_out_each_rank_gets_its_block(corpus: Corpus, tiny: Path) -> None:
    for rank in range(3):
        step = make(corpus, tiny, rank, 3, blocks=True)[0]
        assert sorted(documents_of(step)) == list(range(rank * 4, rank * 4 + 4))


def test_an_oversize_sample_teaches_nothing_and_is_counted(corpus: Corpus, tiny: Path) -> None:
    step = make(corpus, tiny, data=Data(max_tokens=20))[0]
    assert (step.dropped, step.supervised, step.tokens) == (12, 0, 0)
    assert [len(row.token_ids) for row in step.rows] == [1]


def test_a_rank_with_nothing_to_do_still_takes_part(corpus: Corpus, tiny: Path) -> None:
    shares = [make(corpus, tiny, rank, 4, batch=2)[0] for rank in range(4)]
    assert [len(share.rows) for share in shares] == [1, 1, 1, 1]
    assert sorted(share.local_supervised > 0 for share in shares) == [False, False, True, True]


def test_rows_are_filled_up_to_the_multiple_asked_for(corpus: Corpus, tiny: Path) -> None:
    for row in make(corpus, tiny, multiple=128)[0].rows:
        assert len(row.token_ids) % 128 == 0
        assert row.positions[len(row.token_ids) - row.padding :].tolist() == list(range(row.padding))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**31))
def test_pixels_are_those_of_transformers_processor(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    processor = LlavaImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_pad=True
    )
    expected = processor(Image.fromarray(pixels), return_tensors="pt").pixel_values
    ours = normalize(to_square(out.getvalue(), 32, MEAN)[None], torch.float32)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_a_broken_image_is_named(compiled: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = open_corpus(Data(root=str(compiled), sources=(Source(include=("object_digits",)),)), seed=0)
    monkeypatch.setattr(Corpus, "image", lambda self, ref: b"\x89PNG not really")
    with pytest.raises(SampleError, match=r"the image of object_digits/\d{5} does not decode"):
        make(corpus, tiny)[0]


def test_texts_and_images_are_those_compiled(corpus: Corpus) -> None:
    names = {name: place for place, (_, name) in enumerate(corpus.mixture.tasks)}
    text = corpus.tables[names["text_only"]].sample(3)
    assert (text.id, text.target, text.has_image) == ("text_only/3", "word word word word ", False)
    digit = corpus.tables[names["object_digits"]]
    assert digit.sample(7).has_image
    assert Image.open(io.BytesIO(digit.image(7))).size == (32, 32)


def test_a_folder_that_is_not_there_is_no_search_of_the_hub(tmp_path: Path) -> None:
    for root in ("vision-flan-that-is-missing", str(tmp_path / "x"), "./a/b"):
        with pytest.raises(CorpusError, match="no compiled folder"):
            open_corpus(Data(root=root), seed=0)


def test_a_folder_without_our_columns_is_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "t").mkdir()
    pq.write_table(pa.table({"id": ["a"], "text": ["b"]}), tmp_path / "t" / "train-0.parquet")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: t\n  data_files:\n  - split: train\n    path: t/*.parquet\n---\n"
    )
    with pytest.raises(CorpusError, match="task 't' lacks the columns prompt, target"):
        open_corpus(Data(root=str(tmp_path)), seed=0)
