"""Conversations: the token ids and the supervised ones are those of LLaVA's `preprocess_v1` and
`preprocess_llama_2`.

Their rule, written here from its definition: the conversation is one text, cut into rounds at the end
token; a round is cut at the answer's mark, and what stands before it, its mark included, is masked.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.drawn import QUESTION, draw_digit, row, write_compiled
from tests.train.test_prompts import VICUNA
from vision_flan.columns import Turn
from vision_flan.train.config import Data, Source
from vision_flan.train.corpus import Sample, open_corpus
from vision_flan.train.model import load_tokenizer
from vision_flan.train.prompts import STYLES, Encoder

IMAGE_ID = -200  # LLaVA's own


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return load_tokenizer(tiny)


def conversation(turns: list[Turn], prompt: str, has_image: bool) -> str:
    """LLaVA's `Conversation.get_prompt` after `preprocess_multimodal`."""
    text = ""
    for number, turn in enumerate(turns):
        user = f"<image>\n{turn.user.strip()}".strip() if has_image and not number else turn.user
        if prompt == "vicuna_v1":
            text += f"{VICUNA} " * (not number) + f"USER: {user} ASSISTANT: {turn.assistant}</s>"
        else:
            system = STYLES[prompt].before.removeprefix("[INST] ") if not number else ""
            text += "<s>" * bool(number) + f"[INST] {system}{user} [/INST] {turn.assistant} </s>"
    return text


def tokenize(tokenizer: Any, text: str) -> list[int]:
    """LLaVA's `tokenizer_image_token`: `<s>` first, the pieces around `<image>`, the image between."""
    token_ids = [tokenizer.bos_token_id]
    for number, piece in enumerate(text.split("<image>")):
        token_ids += [IMAGE_ID] * bool(number) + tokenizer(piece, add_special_tokens=False).input_ids
    return token_ids


def llava(tokenizer: Any, text: str, mark: str) -> tuple[list[int], list[int]]:
    """Token ids and labels (-100: masked) of a conversation."""
    token_ids = tokenize(tokenizer, text)
    labels = list(token_ids)
    labels[0] = -100
    place = 1
    for part in text.split("</s>"):
        if not part:
            break
        question = part.split(mark)[0] + mark
        masked = len(tokenize(tokenizer, question)) - 2  # without `<s>` and the space after the mark
        labels[place : place + masked] = [-100] * masked
        place += len(tokenize(tokenizer, part))
    return token_ids, labels


def ours(tokenizer: Any, turns: list[Turn], prompt: str, has_image: bool) -> tuple[list[int], list[int]]:
    sample = Sample("t/1", turns[0].user, turns[0].assistant, "Dialogue", "t", has_image, tuple(turns))
    encoder = Encoder(tokenizer, Data(prompt=prompt), patches=1)
    document = encoder.encode(sample)
    token_ids = [IMAGE_ID if token == encoder.image_id else token for token in document.token_ids.tolist()]
    return token_ids, np.where(document.supervised, token_ids, -100).tolist()


MARKS = {"vicuna_v1": " ASSISTANT: ", "llama2_chat": "[/INST] "}
TALK = [
    Turn("What is in the image?", "A red bus\nand two dogs."),
    Turn("How many dogs?", "Two."),
    Turn("Are they big?\nSay why.", "No, they are small: smaller than the bus."),
]


@pytest.mark.parametrize("prompt", MARKS)
@pytest.mark.parametrize("has_image", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_conversation_has_llavas_token_ids_and_labels(
    tokenizer: Any, prompt: str, has_image: bool, count: int
) -> None:
    theirs = llava(tokenizer, conversation(TALK[:count], prompt, has_image), MARKS[prompt])
    assert ours(tokenizer, TALK[:count], prompt, has_image) == theirs


words = st.lists(st.sampled_from(["a", "Dog", "runs", "12", "né", "\n", ",", "(x)"]), min_size=1, max_size=6)
texts = words.map(" ".join).map(str.strip).filter(bool)


@given(
    st.lists(st.builds(Turn, texts, texts), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(sorted(MARKS)),
)
def test_any_conversation_has_llavas_token_ids_and_labels(
    tiny: Path, turns: list[Turn], has_image: bool, prompt: str
) -> None:
    tokenizer = load_tokenizer_once(tiny)
    theirs = llava(tokenizer, conversation(turns, prompt, has_image), MARKS[prompt])
    assert ours(tokenizer, turns, prompt, has_image) == theirs


_LOADED: dict[Path, Any] = {}


def load_tokenizer_once(folder: Path) -> Any:
    return _LOADED.setdefault(folder, load_tokenizer(folder))


def test_each_answer_is_supervised_to_its_end_token_and_nothing_else(tokenizer: Any) -> None:
    token_ids, labels = ours(tokenizer, TALK, "vicuna_v1", True)
    supervised = [token for token in labels if token != -100]
    assert (
        tokenizer.decode(supervised).replace("</s> ", "</s>")
        == "</s>".join(turn.assistant for turn in TALK) + "</s>"
    )
    assert supervised.count(tokenizer.eos_token_id) == 3 == token_ids.count(tokenizer.eos_token_id)


def test_a_conversation_that_is_too_long_keeps_the_answers_before_the_cut(tokenizer: Any) -> None:
    sample = Sample("t/1", *TALK[0], "Dialogue", "t", True, tuple(TALK))
    whole = Encoder(tokenizer, Data(), patches=1).encode(sample)
    first = Encoder(tokenizer, Data(), patches=1).encode(Sample("t/1", *TALK[0], "Dialogue", "t", True))
    cut = Encoder(tokenizer, Data(max_tokens=len(first.token_ids) + 3), patches=1).encode(sample)
    assert cut.token_ids.tolist() == whole.token_ids[: len(cut.token_ids)].tolist()
    assert cut.supervised_count == first.supervised_count < whole.supervised_count


def test_turns_are_read_from_a_compiled_folder(tmp_path: Path) -> None:
    import random

    image = draw_digit(3, random.Random(0))
    later = (("And its color?", "Red."),)
    rows = [row("stage2_talk", "1", image, QUESTION, "3", "Dialogue", later=later)]
    rows += [row("stage2_talk", "2", image, QUESTION, "3", "Dialogue")]
    folder = write_compiled(tmp_path / "data", {"stage2_talk": rows})
    corpus = open_corpus(Data(root=str(folder), sources=(Source(exclude=()),)), seed=0)
    both = [corpus.tables[0].sample(number) for number in (0, 1)]
    assert both[0].conversation == (Turn(QUESTION, "3"), Turn("And its color?", "Red."))
    assert both[1].conversation == (Turn(QUESTION, "3"),)
