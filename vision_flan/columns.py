"""The columns of every compiled config: what each means, as Arrow schema and as `datasets` features.

All configs share one schema, so that configs can be concatenated and streamed together.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pyarrow as pa

#: name -> meaning; the order is the order in the Parquet files and in the card.
COLUMNS: dict[str, str] = {
    "id": "Stable id of the instance: the task id, a slash, upstream's key.",
    "image": "The image, byte for byte as upstream ships it unless the task composes one; "
    "`path` is its place in upstream's layout.",
    "instruction": "The instruction an expert wrote for the task, rendered for this instance.",
    "input": "What the instance adds to the instruction: question, dialogue, context. Empty if nothing.",
    "options": "The answers to choose from, in the order shown. Empty where the task offers none.",
    "target": "The answer the model is to give; of a conversation, the first.",
    "prompt": "What a model is shown beside the image: instruction, input and options together; of a "
    "conversation, the first request.",
    "turns": "The whole exchange: a list of `user` and `assistant` texts. The first turn is `prompt` and "
    "`target`; only conversations have more.",
    "task": "Task id; also the name of the config.",
    "category": "One of the 25 categories of the Vision-Flan paper.",
    "source": "The upstream dataset the instance comes from.",
    "source_id": "Upstream's own key of the record.",
}

IMAGE, OPTIONS, TURNS = "image", "options", "turns"
TEXT_COLUMNS = tuple(name for name in COLUMNS if name not in (IMAGE, OPTIONS, TURNS))


class Turn(NamedTuple):
    """A request and the answer a model is to give to it."""

    user: str
    assistant: str


#: `Image()` of datasets: the bytes of the encoded file and a path, as one struct.
IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])

#: Parquet calls the items of a list `element`; the same name here makes schemas equal after a round trip.
OPTIONS_TYPE = pa.list_(pa.field("element", pa.string()))
TURN_TYPE = pa.struct([pa.field(name, pa.string()) for name in Turn._fields])
TURNS_TYPE = pa.list_(pa.field("element", TURN_TYPE))

_STRING = {"dtype": "string", "_type": "Value"}


def features_dict() -> dict[str, Any]:
    """The features in the JSON form that `datasets` writes into the Parquet schema's metadata."""
    features: dict[str, Any] = dict.fromkeys(COLUMNS, _STRING)
    features[IMAGE] = {"_type": "Image"}
    features[OPTIONS] = {"feature": _STRING, "_type": "List"}
    features[TURNS] = {"feature": dict.fromkeys(Turn._fields, _STRING), "_type": "List"}
    return features


def arrow_schema() -> pa.Schema:
    """Arrow schema with the `huggingface` metadata, without which rows load as a plain struct."""
    metadata = {"huggingface": json.dumps({"info": {"features": features_dict()}})}
    return pa.schema([pa.field(name, arrow_type(name)) for name in COLUMNS], metadata=metadata)


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type of a column."""
    others: dict[str, pa.DataType] = {IMAGE: IMAGE_TYPE, OPTIONS: OPTIONS_TYPE, TURNS: TURNS_TYPE}
    return others.get(name, pa.string())
