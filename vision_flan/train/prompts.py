"""From a sample's texts to token ids and what is supervised, as LLaVA does it.

LLaVA cuts the text at `<image>`, encodes each piece alone and puts the image between (so every piece gets
SentencePiece's leading space), and supervises each answer of a conversation with its end token. Here
questions and answers are encoded apart, which gives the same ids and cannot be fooled by an answer that
holds " ASSISTANT: ". Source: haotian-liu/LLaVA, conversation.py and train.py (`vicuna_v1`,
`llava_llama_2`, `plain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from vision_flan.train.config import Data
from vision_flan.train.corpus import Sample

MARK = "<image>"


@dataclass(frozen=True)
class Style:
    """What stands around question and answer; `shows_prompt` off leaves the image alone.

    `again` opens the later turns of a conversation, after the begin token where `again_bos` is set.
    """

    before: str
    after: str
    again: str = ""
    again_bos: bool = False
    answer_end: str = ""
    eos: bool = True
    shows_prompt: bool = True


STYLES = {
    "vicuna_v1": Style(
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
        "helpful, detailed, and polite answers to the user's questions. USER: ",
        " ASSISTANT:",
        again="USER: ",
    ),
    "llama2_chat": Style(
        "[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand the "
        "visual content that the user provides, and assist the user with a variety of tasks using natural "
        "language.\n<</SYS>>\n\n",
        " [/INST]",
        again="[INST] ",
        again_bos=True,
        answer_end=" ",
    ),
    "plain": Style("", "", answer_end="\n", eos=False, shows_prompt=False),
}


class Document(NamedTuple):
    """One sample as token ids, int64 [length]; `supervised` marks those of the answers, bool [length]."""

    token_ids: npt.NDArray[np.int64]
    supervised: npt.NDArray[np.bool_]
    has_image: bool

    @property
    def supervised_count(self) -> int:
        """How many tokens are learned."""
        return int(self.supervised.sum())


class Encoder:
    """Turns samples into documents.

    Args:
        tokenizer: any tokenizer of transformers with `<image>` among its tokens.
        data: prompt style, place of the image, longest document.
        patches: tokens one image takes (576 for 336 pixels in patches of 14).
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, data: Data, patches: int) -> None:
        self.tokenizer, self.data, self.patches = tokenizer, data, patches
        self.style = STYLES[data.prompt]
        image_id = tokenizer.convert_tokens_to_ids(MARK)
        assert isinstance(image_id, int)
        self.image_id = image_id
        self._begin: list[int] = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        # SentencePiece adds the space before an answer itself, byte-level BPE has to be given it
        first = tokenizer.convert_ids_to_tokens(self._encode("a"))[0]
        self._answer_start = "" if first.startswith("▁") or not self.style.eos else " "

    def _encode(self, text: str) -> list[int]:
        """Token ids of plain text: `</s>` or `<image>` written in an image's caption is text, not a token."""
        token_ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return list(token_ids)

    def prompt_text(self, sample: Sample) -> str:
        """What stands before the first answer, with one `<image>` where the image goes."""
        question = sample.conversation[0].user
        if not sample.has_image:
            return self.style.before + question.replace(MARK, "") + self.style.after
        if not self.style.shows_prompt:
            return MARK
        text = question.strip()
        if self.data.image_position == "as_written" and MARK in text:
            head, tail = text.split(MARK, 1)
            text = head + MARK + tail.replace(MARK, "")
        else:
            text = f"{MARK}\n{text.replace(MARK, '').strip()}".strip()
        return self.style.before + text + self.style.after

    def prompt_ids(self, sample: Sample) -> list[int]:
        """Token ids before the first answer: begin token, pieces of text, the image's placeholders."""
        token_ids = list(self._begin)
        for number, piece in enumerate(self.prompt_text(sample).split(MARK)):
            if number:
                token_ids += [self.image_id] * self.patches
            token_ids += self._encode(piece)
        return token_ids

    def encode(self, sample: Sample) -> Document:
        """The document of a sample, cut at `max_tokens`; cut before its answer, it supervises nothing."""
        token_ids: list[int] = []
        supervised: list[bool] = []
        for number, turn in enumerate(sample.conversation):
            question = self._later_question(turn.user) if number else self.prompt_ids(sample)
            answer = self._answer(turn.assistant)
            token_ids += question + answer
            supervised += [False] * len(question) + [True] * len(answer)
            if len(token_ids) >= self.data.max_tokens:
                break
        supervised[:1] = [False]  # nothing predicts the first token
        limit = self.data.max_tokens
        return Document(np.asarray(token_ids[:limit]), np.asarray(supervised[:limit]), sample.has_image)

    def _later_question(self, text: str) -> list[int]:
        if not self.style.shows_prompt:
            return []
        begin = self._begin if self.style.again_bos else []
        return begin + self._encode(self.style.again + text.replace(MARK, "") + self.style.after)

    def _answer(self, text: str) -> list[int]:
        token_ids = self._encode(self._answer_start + text.replace(MARK, "") + self.style.answer_end)
        return [*token_ids, self.tokenizer.eos_token_id] if self.style.eos else token_ids
