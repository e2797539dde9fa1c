"""A suite of 187 configs to the Hub and back, through load_dataset, map-style and streaming."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, constants

from tests.hub_server import HubServer
from tests.hub_server.client import ALICE, Client
from tests.hub_server.compiled import compile_folder, marker
from vision_flan.columns import COLUMNS
from vision_flan.dataset.front_matter import parsed
from vision_flan.dataset.publication import RECIPE_COLUMNS
from vision_flan.hub.plan import Choices
from vision_flan.hub.publish import Publisher

REPO, TAG, ROWS = "ORG/vision-flan", "v1.0.0", 2
#: Distributed like the licenses of the 187 tasks: few yes, most unclear.
LICENSES = ["yes"] * 29 + ["unclear"] * 113 + ["no"] * 45

#: Loads configs in both modes and prints a fingerprint of every row. The card is parsed once and not 374
#: times: that takes PyYAML a second each for 187 configs.
LOAD = """
import datasets, hashlib, json, pickle, sys, yaml
parse, parsed = yaml.safe_load, {}
def once(text):
    if text not in parsed:
        parsed[text] = pickle.dumps(parse(text))
    return pickle.loads(parsed[text])
yaml.safe_load = once
repo, revision, names = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
def fingerprint(dataset):
    if "image" in dataset.features:
        dataset = dataset.cast_column("image", datasets.Image(decode=False))
    rows = []
    for row in dataset:
        image = row.pop("image", None)
        row["image"] = image and hashlib.sha256(image["bytes"]).hexdigest() + image["path"]
        rows.append(hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest())
    return rows
def load(name, streaming):
    (split,) = datasets.load_dataset(repo, name, revision=revision, streaming=streaming).values()
    return split
result = {}
for name in names:
    modes = [load(name, False), load(name, True)]
    features = [{key: str(feature) for key, feature in mode.features.items()} for mode in modes]
    assert features[0] == features[1], name
    result[name] = [features[0], *map(fingerprint, modes)]
print(json.dumps(result))
"""
NAMES = """
import datasets, json, sys
print(json.dumps(datasets.get_dataset_config_names(sys.argv[1], revision=sys.argv[2])))
"""


@dataclass
class Suite:
    hub: HubServer
    folder: Path
    licenses: dict[str, str]
    client: Client

    def load(self, names: list[str], processes: int = 1) -> dict[str, Any]:
        """Name -> [features, fingerprints map-style, fingerprints streamed], from fresh processes."""
        parts = [",".join(names[at::processes]) for at in range(processes)]
        with ThreadPoolExecutor(processes) as pool:
            results = pool.map(lambda part: self.client.run(LOAD, REPO, TAG, part), parts)
            return {name: loaded for result in results for name, loaded in result.items()}

    def expected(self, name: str) -> list[str]:
        """Fingerprints of the rows that were compiled, without images where the license says so."""
        path = f"{name}/train-00000-of-00001.parquet"
        if self.licenses[name] != "yes":
            table = pq.read_table(next(self.folder.glob(f".publish/{self.sha256(path)}.parquet")))
        else:
            table = pq.read_table(self.folder / path)
        rows = []
        for row in table.to_pylist():
            image = row.pop("image", None)
            row["image"] = image and hashlib.sha256(image["bytes"]).hexdigest() + image["path"]
            rows.append(hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest())
        return rows

    def sha256(self, path: str) -> str:
        return hashlib.sha256((self.folder / path).read_bytes()).hexdigest()


@pytest.fixture(scope="module", params=["lfs", "xet"])
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """187 tasks, published at a tag."""
    base = tmp_path_factory.mktemp(request.param)
    shuffled = random.Random(0).sample(LICENSES, len(LICENSES))
    licenses = {f"task_{at:03}_source{at * 2 // 3:03}": license for at, license in enumerate(shuffled)}
    folder = compile_folder(base / "out", licenses, rows=ROWS)
    with HubServer(base / "hub", [ALICE]) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", request.param == "lfs")
        began = time.monotonic()
        publisher = Publisher(HfApi(endpoint=hub.url, token=ALICE.token), REPO, folder, Choices(tag=TAG))
        outcome = publisher.run(publisher.plan())
        print(
            f"\n{request.param}: {len(licenses)} configs in {len(outcome.commits)} commits, "
            f"{len(hub.requests)} requests, {time.monotonic() - began:.1f} s"
        )
        yield Suite(hub, folder, licenses, Client(hub, base / "home", request.param))


@pytest.mark.slow
def test_every_config_loads_back_equal_in_both_modes(suite: Suite) -> None:
    names = suite.client.run(NAMES, REPO, TAG)
    assert names == ["all", *sorted(suite.licenses)]
    names = names[1:]
    one_at_a_time = suite.client.environment.get("HF_HUB_DISABLE_XET") is None  # hf_xet locks a local storage
    sample = names[::12] if one_at_a_time else names
    requests, began = len(suite.hub.requests), time.monotonic()
    loaded = suite.load(sample, processes=1 if one_at_a_time else 2)
    seconds = time.monotonic() - began
    asked = len(suite.hub.requests) - requests
    print(f"\n{len(sample)} configs in two modes: {asked} requests, {seconds:.0f} s")
    recipe = [name for name in COLUMNS if name != "image"] + list(RECIPE_COLUMNS)
    for name in sample:
        features, mapped, streamed = loaded[name]
        whole = suite.licenses[name] == "yes"
        assert list(features) == (list(COLUMNS) if whole else recipe)
        assert not whole or features["image"].startswith("Image(")
        assert mapped == streamed == suite.expected(name)
        assert len(mapped) == ROWS


@pytest.mark.slow
def test_the_whole_suite_sends_no_byte_of_a_restricted_image(suite: Suite) -> None:
    kept = b"".join(suite.hub.everything_received())
    for name, license in suite.licenses.items():
        for row in range(ROWS):
            noise = marker(f"{name} 1 00000-of-00001-{row}")
            if license == "yes":
                assert noise[-64:] in kept
            else:
                assert not any(noise[at : at + 24] in kept for at in range(0, len(noise) - 24, 96))


@pytest.mark.slow
def test_the_card_covers_all_187(suite: Suite) -> None:
    files = suite.hub.files(REPO, TAG)
    front = parsed(files["README.md"].decode())
    whole, *rows = [info["splits"][0]["num_examples"] for info in front["dataset_info"]]
    assert len(front["configs"]) - 1 == len(rows) == 187 and set(rows) == {ROWS}
    assert whole == ROWS * LICENSES.count("yes")
    assert [c["config_name"] for c in front["configs"] if c.get("default")] == ["all"]
    block = files["README.md"].split(b"---\n")[1]
    assert len(block) < 300 * 187, "every load parses it: `make bench` measures what it costs"


ALL = """
import datasets, json, sys
where = {"path": sys.argv[1], "revision": sys.argv[2], "split": "train"}
rows = datasets.load_dataset(**where).select_columns(["task", "category"])
stream = datasets.load_dataset(**where, streaming=True)
streamed = [row["task"] for row in stream.shuffle(seed=0, buffer_size=50).select_columns(["task"])]
print(json.dumps([sorted(rows["task"]), sorted(streamed)]))
"""


@pytest.mark.slow
def test_a_repository_loads_by_its_name_alone_as_all_tasks_with_images(suite: Suite) -> None:
    loaded, streamed = suite.client.run(ALL, REPO, TAG)
    whole = sorted(name for name, license in suite.licenses.items() if license == "yes" for _ in range(ROWS))
    assert loaded == streamed == whole
