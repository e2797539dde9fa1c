"""The columns of every compiled config: what each means, as Arrow schema and as `datasets` features.

All configs share one schema, so that configs can be concatenated and streamed together.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

#: name -> meaning; the order is the order in the Parquet files and in the card.
COLUMNS: dict[str, str] = {
    "id": "Stable id of the instance: the task id, a slash, upstream's key.",
    "image": "The image, byte for byte as upstream ships it unless the task composes one; "
    "`path` is its place in upstream's layout.",
    "instruction": "The instruction an expert wrote for the task, rendered for this instance.",
    "input": "What the instance adds to the instruction: question, dialogue, context. Empty if nothing.",
    "options": "The answers to choose from, in the order shown. Empty where the task offers none.",
    "target": "The answer the model is to give.",
    "prompt": "What a model is shown beside the image: instruction, input and options together.",
    "task": "Task id; also the name of the config.",
    "category": "One of the 25 categories of the Vision-Flan paper.",
    "source": "The upstream dataset the instance comes from.",
    "source_id": "Upstream's own key of the record.",
}

IMAGE = "image"
TEXT_COLUMNS = tuple(name for name in COLUMNS if name not in (IMAGE, "options"))

#: `Image()` of datasets: the bytes of the encoded file and a path, as one struct.
IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])

#: Parquet calls the items of a list `element`; the same name here makes schemas equal after a round trip.
OPTIONS_TYPE = pa.list_(pa.field("element", pa.string()))


def features_dict() -> dict[str, Any]:
    """The features in the JSON form that `datasets` writes into the Parquet schema's metadata."""
    features: dict[str, Any] = {name: {"dtype": "string", "_type": "Value"} for name in COLUMNS}
    features[IMAGE] = {"_type": "Image"}
    features["options"] = {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
    return features


def features_yaml() -> list[dict[str, Any]]:
    """The features in the form of a dataset card's `dataset_info.features`."""
    rows: list[dict[str, Any]] = []
    for name in COLUMNS:
        if name == IMAGE:
            rows.append({"name": name, "dtype": "image"})
        elif name == "options":
            rows.append({"name": name, "list": "string"})
        else:
            rows.append({"name": name, "dtype": "string"})
    return rows


def arrow_schema() -> pa.Schema:
    """Arrow schema with the `huggingface` metadata, without which rows load as a plain struct."""
    types: dict[str, pa.DataType] = {name: pa.string() for name in COLUMNS}
    types[IMAGE] = IMAGE_TYPE
    types["options"] = OPTIONS_TYPE
    metadata = {"huggingface": json.dumps({"info": {"features": features_dict()}})}
    return pa.schema([pa.field(name, types[name]) for name in COLUMNS], metadata=metadata)
