"""A line of lmms-eval's log -> a line of our answers.jsonl, for each benchmark."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeAlias

from vision_flan.evaluate.files import Record
from vision_flan.evaluate.values import AnswerError

Fields: TypeAlias = dict[str, object]


def answer_line(benchmark: str, part: str, record: Record) -> Fields:
    """`id`, `prediction` and what the benchmark needs.

    Raises:
        AnswerError: the log lacks a field of the question.
    """
    doc = record.data.get("vflan_answer")
    if not isinstance(doc, dict):
        raise AnswerError("the question is not in the log", where=record.place)
    question = Record(doc, record.place)
    number = record.text("doc_id")
    compiled = "source_id" in doc  # a row of ours, not of the benchmark's own data
    fields = (_COMPILED.get(benchmark, _compiled) if compiled else _FIELDS[benchmark])(question, part, number)
    line: Fields = {
        "id": number,
        "benchmark": benchmark,
        "prediction": record.optional("filtered_resps") or "",
    }
    tokens = _tokens(record.data)
    return {**line, **fields, **({} if tokens is None else {"tokens": tokens})}


def _tokens(data: Mapping[str, object]) -> int | None:
    """The length of the answer in tokens, if lmms-eval logged it."""
    counts = data.get("token_counts")
    first = counts[0] if isinstance(counts, list) and counts else None
    found = first.get("output_tokens") if isinstance(first, dict) else None
    return found if isinstance(found, int) else None


def _texts_of(text: str) -> str | list[str]:
    """A Python list of texts, as MMMU writes options and some truths; anything else is the text itself."""
    if not text.startswith("["):
        return text
    try:
        found: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    texts = [part for part in found if isinstance(part, str)] if isinstance(found, list) else []
    return texts if isinstance(found, list) and len(texts) == len(found) else text


def _mme(doc: Record, part: str, number: str) -> Fields:
    image = doc.text("question_id")
    fields: Fields = {"id": f"{image}#{number}", "part": doc.text("category"), "image": image}
    return fields | {"question": doc.text("question"), "target": doc.text("answer").strip().lower()}


def _pope(doc: Record, part: str, number: str) -> Fields:
    fields: Fields = {"id": doc.text("question_id", "id"), "part": part, "question": doc.text("question")}
    return fields | {"target": doc.text("answer").strip().lower()}


def _mmbench(doc: Record, part: str, number: str) -> Fields:
    options = {letter: doc.optional(letter) for letter in "ABCDEF"}
    known = {letter: text for letter, text in options.items() if text not in (None, "", "nan")}
    fields: Fields = {"id": doc.text("index"), "question": doc.text("question"), "options": known}
    return fields | {"target": doc.text("answer"), "part": doc.text("category")}


def _mmmu(doc: Record, part: str, number: str) -> Fields:
    fields: Fields = {"id": doc.text("id"), "target": _texts_of(doc.text("answer"))}
    return fields | (
        {"options": _texts_of(doc.text("options"))} if doc.text("question_type") == "multiple-choice" else {}
    )


def _mm_vet(doc: Record, part: str, number: str) -> Fields:
    labels = doc.data.get("capability")
    names = labels if isinstance(labels, list) else str(labels).split(",")
    fields: Fields = {"id": doc.text("question_id"), "question": doc.text("question")}
    return fields | {"target": doc.text("answer"), "labels": [str(name).strip() for name in names]}


def _llava_bench(doc: Record, part: str, number: str) -> Fields:
    fields: Fields = {"id": doc.text("question_id"), "part": doc.text("category")}
    fields |= {"question": doc.text("question"), "caption": "\n".join(doc.texts("caption"))}
    return fields | {"target": doc.text("gpt_answer")}


def _compiled_mme(doc: Record, part: str, number: str) -> Fields:
    key = doc.text("source_id").split("/")  # subtask, image, number of the question
    fields: Fields = {"id": "/".join(key), "part": key[0], "image": "/".join(key[:-1])}
    return fields | {"question": doc.text("prompt"), "target": doc.text("target").strip().lower()}


def _compiled_pope(doc: Record, part: str, number: str) -> Fields:
    kind, _, name = doc.text("source_id").partition("/")
    fields: Fields = {"id": name, "part": kind, "question": doc.text("prompt")}
    return fields | {"target": doc.text("target").strip().lower()}


def _compiled_mmbench(doc: Record, part: str, number: str) -> Fields:
    question, _, rest = doc.text("prompt").rpartition("\nA. ")
    options = {}
    for letter, following in pairwise("ABCDEFG"):
        options[letter], more, rest = rest.partition(f"\n{following}. ")
        if not more:
            break
    fields: Fields = {"id": doc.text("source_id"), "question": question, "options": options}
    return fields | {"target": doc.text("target"), "part": doc.text("category")}


def _compiled(doc: Record, part: str, number: str) -> Fields:
    return {"id": doc.text("id"), "part": part, "question": doc.text("prompt"), "target": doc.text("target")}


def _textocr(doc: Record, part: str, number: str) -> Fields:
    words = [word for word in doc.text("target").split("; ") if word.strip()]
    return {"id": doc.text("id"), "target": words}


def _wit(doc: Record, part: str, number: str) -> Fields:
    return {"id": doc.text("id"), "target": doc.text("target")}


_FIELDS: dict[str, Callable[[Record, str, str], Fields]] = {
    "mme": _mme,
    "pope": _pope,
    "mmbench": _mmbench,
    "mmmu": _mmmu,
    "mm_vet": _mm_vet,
    "llava_bench": _llava_bench,
}
_COMPILED: dict[str, Callable[[Record, str, str], Fields]] = {
    "mme": _compiled_mme,
    "pope": _compiled_pope,
    "mmbench": _compiled_mmbench,
    "cf": _compiled,
    "textocr": _textocr,
    "wit": _wit,
}
