"""From a sample's texts to token ids and labels, as LLaVA does it.

LLaVA cuts the text at `<image>`, encodes each piece alone and puts the image between (so every piece
gets SentencePiece's leading space), and supervises the answer and the end token. Here prompt and answer are
encoded apart, which gives the same ids and cannot be fooled by an answer that holds " ASSISTANT: ".
Source: haotian-liu/LLaVA, conversation.py and train.py (`vicuna_v1`, `llava_llama_2`, `plain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vision_flan.train.config import Data
from vision_flan.train.corpus import Sample

MARK = "<image>"


@dataclass(frozen=True)
class Style:
    """What stands around prompt and answer; `shows_prompt` off leaves the image alone.

    `again` opens the later turns of a chat: compiled rows have one turn, people who talk to the model more.
    """

    before: str
    after: str
    again: str = ""
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
        again="<s>[INST] ",
        answer_end=" ",
    ),
    "plain": Style("", "", answer_end="\n", eos=False, shows_prompt=False),
}


class Document(NamedTuple):
    """One sample as ids, int64 [length]; `answer` is where the supervised ids begin."""

    ids: npt.NDArray[np.int64]
    answer: int
    has_image: bool

    @property
    def supervised(self) -> int:
        """How many ids are learned."""
        return len(self.ids) - self.answer


class Encoder:
    """Turns samples into documents.

    Args:
        tokenizer: any tokenizer of transformers with `<image>` among its tokens.
        data: prompt style, place of the image, longest document.
        patches: ids one image takes (576 for 336 pixels in patches of 14).
    """

    def __init__(self, tokenizer: Any, data: Data, patches: int) -> None:
        self.tokenizer, self.data, self.patches = tokenizer, data, patches
        self.style = STYLES[data.prompt]
        self.image_id: int = tokenizer.convert_tokens_to_ids(MARK)
        # SentencePiece adds the space before an answer itself, byte-level BPE has to be given it
        adds_space = tokenizer.convert_ids_to_tokens(self._encode("a"))[0].startswith("▁")
        self._answer_start = "" if adds_space or not self.style.eos else " "

    def _encode(self, text: str) -> list[int]:
        """Ids of plain text: `</s>` or `<image>` written in an image's caption is text, not a token."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return ids

    def prompt_text(self, sample: Sample) -> str:
        """What stands before the answer, with one `<image>` where the image goes."""
        if not sample.has_image:
            return self.style.before + sample.prompt.replace(MARK, "") + self.style.after
        if not self.style.shows_prompt:
            return MARK
        text = sample.prompt.strip()
        if self.data.image_position == "as_written" and MARK in text:
            head, tail = text.split(MARK, 1)
            text = head + MARK + tail.replace(MARK, "")
        else:
            text = f"{MARK}\n{text.replace(MARK, '').strip()}".strip()
        return self.style.before + text + self.style.after

    def prompt_ids(self, sample: Sample) -> list[int]:
        """Ids before the answer: the begin token, the pieces of text, the image's placeholders."""
        ids = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        for number, piece in enumerate(self.prompt_text(sample).split(MARK)):
            if number:
                ids += [self.image_id] * self.patches
            ids += self._encode(piece)
        return ids

    def encode(self, sample: Sample) -> Document:
        """The document of a sample, cut at `max_tokens`; cut before its answer, it supervises nothing."""
        prompt = self.prompt_ids(sample)
        answer = self._encode(self._answer_start + sample.target.replace(MARK, "") + self.style.answer_end)
        if self.style.eos:
            answer.append(self.tokenizer.eos_token_id)
        ids = np.asarray((prompt + answer)[: self.data.max_tokens], dtype=np.int64)
        return Document(ids, min(len(prompt), len(ids)), sample.has_image)
