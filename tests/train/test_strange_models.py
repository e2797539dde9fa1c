"""A model's folder may be anybody's: its code is not run, its sizes not believed, its links not sent."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.train.test_strange_checkpoints import Runs
from vision_flan.errors import VflanError
from vision_flan.train.config import Init
from vision_flan.train.identity import Identity
from vision_flan.train.model import empty_model, fill, read_init
from vision_flan.train.push import Facts, PushError, card, push
from vision_flan.train.recipe import load
from vision_flan.train.report import _drop_lines_after
from vision_flan.train.weights import WeightsError

CODE = "import os\nos.mkdir(os.environ['RAN'])\nclass Tokenizer:\n    pass\nclass Config:\n    pass\n"


@pytest.fixture
def model(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def changed(file: str, **facts: object) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))

    return harm


def part(name: str, **facts: object) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        path = folder / "config.json"
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, name: {**data[name], **facts}}))

    return harm


def text(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(content) and None


def sparse(file: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        os.truncate(folder / file, 2**40)

    return harm


def piped(file: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        os.mkfifo(folder / file)

    return harm


def code_of_its_own(folder: Path) -> None:
    (folder / "own.py").write_text(CODE)
    changed("config.json", model_type="own", auto_map={"AutoConfig": "own.Config"})(folder)


def tokenizer_of_its_own(folder: Path) -> None:
    (folder / "own.py").write_text(CODE)
    changed(
        "tokenizer_config.json",
        tokenizer_class="OwnTokenizer",
        auto_map={"AutoTokenizer": ["own.Tokenizer", "own.Tokenizer"]},
    )(folder)
    (folder / "tokenizer.json").unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(Runs(folder.parent / "ran"), folder / "pytorch_model.bin")


def raw_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(folder.parent / "ran")))


def no_mapping(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save([torch.zeros(2)], folder / "pytorch_model.bin")


def header(length: int, facts: object) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        content = json.dumps(facts).encode()
        size = length if length >= 0 else len(content)
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", size) + content + bytes(64))

    return harm


def tensor(name: str = "lm_head.weight", dtype: str = "F32", shape: object = (4, 4), end: int = 64) -> object:
    return {name: {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


ATTEMPTS: dict[str, Callable[[Path], None]] = {
    "code as a configuration": code_of_its_own,
    "code as a tokenizer": tokenizer_of_its_own,
    "code as weights": pickled,
    "a plain pickle as weights": raw_pickle,
    "a list as weights": no_mapping,
    "a header of 2^63 bytes": header(2**63, {}),
    "a header of 90 MB that is not there": header(90_000_000, {}),
    "a tensor larger than its file": header(-1, tensor(shape=[2**40, 2**20], end=2**62)),
    "a tensor of another size than its shape": header(-1, tensor(shape=[2, 2])),
    "tensors that overlap": header(-1, {**tensor(), **tensor("a.weight")}),  # type: ignore[dict-item]
    "a tensor of an unknown type": header(-1, tensor(dtype="PyObject")),
    "a tensor of negative size": header(-1, tensor(shape=[-4, -4])),
    "a tensor without rows": header(-1, tensor(shape=[], end=4)),
    "a tensor that is no mapping": header(-1, {"lm_head.weight": 7}),
    "a header nested without end": text("model.safetensors", struct.pack("<Q", 50_000) + b"[" * 50_000),
    "weights that are a pipe": piped("model.safetensors"),
    "a configuration that is a pipe": piped("config.json"),
    "a configuration of a terabyte": sparse("config.json"),
    "a configuration nested without end": text("config.json", b'{"a":' * 50_000),
    "a configuration that is a list": text("config.json", b"[]"),
    "a configuration without a type": text("config.json", b"{}"),
    "a configuration of another model": changed("config.json", model_type="bert"),
    "a configuration of texts": part("text_config", hidden_size="x"),
    "a milliard of layers": part("text_config", num_hidden_layers=10**9),
    "a milliard of layers of the tower": part("vision_config", num_hidden_layers=10**9),
    "layers that are no number": part("text_config", num_hidden_layers="9"),
    "a vocabulary of 10^12": part("text_config", vocab_size=10**12),
    "a width of 10^9": part("text_config", hidden_size=10**9),
    "no heads": part("text_config", num_attention_heads=0),
    "images of 10^9 pixels": part("vision_config", image_size=10**9),
    "patches of no pixels": part("vision_config", patch_size=0),
    "a tokenizer of a terabyte": sparse("tokenizer.json"),
    "a tokenizer that is a pipe": piped("tokenizer.json"),
    "a tokenizer nested without end": text("tokenizer.json", b'{"a":' * 50_000),
    "a tokenizer that is no tokenizer": text("tokenizer.json", b'{"model": {"type": "Own"}}'),
    "a tokenizer's settings that are a list": text("tokenizer_config.json", b"[]"),
}


def test_a_model_of_ours_is_read(model: Path) -> None:
    config, _, weights = read_init(Init(from_=str(model)))
    fill(empty_model(config, "sdpa"), weights, torch.device("cpu"), 0)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_model_is_refused_with(attempt: str, model: Path) -> None:
    ATTEMPTS[attempt](model)
    with pytest.raises(WeightsError) as caught:
        config, _, weights = read_init(Init(from_=str(model)))
        fill(empty_model(config, "sdpa"), weights, torch.device("cpu"), 0)
    assert "trust_remote_code" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert not (model.parent / "ran").exists()


# ---- what a run's folder sends, and what is read of it


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "checkpoints" / "step-000001").mkdir(parents=True)
    (folder / "scores").mkdir()
    model.rename(folder / "hf")
    (folder / "config.yaml").write_text("init:\n  from: me/base\n")
    Identity({}, {}, {"a_task of source 0": "1 of 2 instances (x)"}).write(folder / "checkpoints/step-000001")
    return folder


@pytest.mark.parametrize("name", ["README.md", "notes.txt", "folder/key", "model-00002-of-00002.safetensors"])
def test_a_link_in_a_model_s_folder_is_not_uploaded(name: str, run: Path, tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("of the user")
    (run / "hf" / name).parent.mkdir(exist_ok=True)
    (run / "hf" / name).symlink_to(secret)
    with pytest.raises(PushError, match="a link or a pipe among the files"):
        push(run, "me/model")
    assert secret.read_text() == "of the user"


SHOWN = "x | y\n## Injected <script>alert(1)</script> [go](javascript:alert(1))"


def test_a_card_of_a_model_shows_texts_of_others_as_texts(run: Path) -> None:
    facts = {"metric": SHOWN, "value": 1.0, "count": SHOWN, "judge": {"model": SHOWN}}
    (run / "scores" / "mme.json").write_text(json.dumps(facts))
    Identity({}, {}, {SHOWN: SHOWN}).write(run / "checkpoints/step-000001")
    (run / "config.yaml").write_text(json.dumps({"name": "````\n<script>\n````", "init": SHOWN}))
    lines = card(Facts.read(run)).splitlines()
    assert not any(line.startswith("## Injected") for line in lines)
    before, after = "\n".join(lines).split("## Recipe")
    assert "<script" not in before and "](javascript" not in before
    fence = next(line for line in after.splitlines() if line.startswith("```"))
    assert after.count(fence.removesuffix("yaml")) == 2, "nothing in the recipe ends its block"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", "a: &a [1]\nb: *a\n"),
        ("config.yaml", "[" * 50_000),
        ("config.yaml", "!!python/object/apply:os.system ['true']"),
        ("config.yaml", "just text"),
        ("scores/mme.json", "[" * 50_000),
        ("scores/mme.json", "7"),
        ("scores/mme.json", '{"value": ' + "9" * 5000 + "}"),
        ("checkpoints/step-000001/identity.json", "[" * 50_000),
        ("checkpoints/step-000001/identity.json", "7"),
    ],
)
def test_a_run_s_files_that_are_not_its_own_are_refused(file: str, content: str, run: Path) -> None:
    (run / file).write_text(content)
    with pytest.raises(VflanError) as caught:
        Facts.read(run)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "{" * 50_000,
        "!!python/object/apply:os.system ['true']",
        "x: " + "9" * 5000,
    ],
)
def test_a_recipe_of_others_is_plain_data(content: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(content)
    with pytest.raises(VflanError, match=r"recipe\.yaml"):
        load(str(tmp_path / "recipe.yaml"))


@pytest.mark.parametrize("line", ["[" * 50_000, '{"step": "x"}', "7", "{}", "9" * 5000, "\x00"])
def test_a_log_of_others_ends_at_the_line_that_is_none(line: str, tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1}\n' + line + '\n{"step": 2}\n')
    _drop_lines_after(log, 5)
    assert log.read_text() == '{"step": 1}\n'
