"""A run's folder may be somebody else's: no file of a checkpoint runs code, or leads out of its folder."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict_saver import save

from vision_flan.train.checkpoint_reader import CheckpointError, read_into

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
DATA = "__0_0.distcp"


class Runs:
    """What a pickle runs when it is read."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.made),)


def state(seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    layer = nn.Linear(3, 2)
    moments = {name: torch.full_like(value, seed) for name, value in layer.state_dict().items()}
    groups = [{"lr": 0.5 + seed, "betas": (0.9, 0.95), "params": ["weight", "bias"], "foreach": None}]
    return {"model": layer.state_dict(), "optimizer": {"state": moments, "param_groups": groups}}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    save(state(1), checkpoint_id=folder, no_dist=True)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "step-000001"))


def index(folder: Path) -> Any:
    return pickle.loads((folder / ".metadata").read_bytes())


def with_index(folder: Path, found: object) -> None:
    (folder / ".metadata").write_bytes(pickle.dumps(found))


def replaced(folder: Path, name: str, content: bytes) -> None:
    """A value of the checkpoint becomes other bytes, at the end of its file."""
    found = index(folder)
    info = next(info for key, info in found.storage_data.items() if key.fqn == name)
    info.offset, info.length = (folder / DATA).stat().st_size, len(content)
    with (folder / DATA).open("ab") as file:
        file.write(content)
    with_index(folder, found)


def saved(value: object, compression: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    torch.save(value, made)
    if compression == zipfile.ZIP_STORED:
        return made.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(made) as before, zipfile.ZipFile(packed, "w", compression) as after:
        for member in before.infolist():
            after.writestr(member.filename, before.read(member))
    return packed.getvalue()


def test_a_checkpoint_of_ours_is_read(folder: Path) -> None:
    found, wanted = state(2), state(1)
    read_into(found, folder)
    assert torch.equal(found["model"]["weight"], wanted["model"]["weight"])
    assert torch.equal(found["optimizer"]["state"]["bias"], wanted["optimizer"]["state"]["bias"])
    assert found["optimizer"]["param_groups"] == wanted["optimizer"]["param_groups"]


def _index_runs(folder: Path) -> None:
    with_index(folder, Runs(folder.parent / "ran"))


def _index_holds_code(folder: Path) -> None:
    found = index(folder)
    found.planner_data = {"x": Runs(folder.parent / "ran")}
    with_index(folder, found)


def _value_runs(folder: Path) -> None:
    replaced(folder, "optimizer.param_groups.0.lr", saved(Runs(folder.parent / "ran")))


def _tensor_runs(folder: Path) -> None:
    replaced(folder, "model.weight", saved(Runs(folder.parent / "ran")))


def _value_for_tensor(folder: Path) -> None:
    found = index(folder)
    found.state_dict_metadata["model.weight"] = found.state_dict_metadata["optimizer.param_groups.0.lr"]
    with_index(folder, found)


def _large_value(folder: Path) -> None:
    replaced(folder, "optimizer.param_groups.0.lr", saved("x" * 2**21))


def _packed(folder: Path) -> None:
    replaced(folder, "model.weight", saved(torch.zeros(1000), zipfile.ZIP_DEFLATED))


def _large_tensor(folder: Path) -> None:
    replaced(folder, "model.weight", saved(torch.zeros(100_000)))


def _other_file(name: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        found = index(folder)
        for info in found.storage_data.values():
            info.relative_path = name.format(home=folder.parent)
        with_index(folder, found)

    return harm


def _link(folder: Path) -> None:
    (folder / DATA).rename(folder.parent / "elsewhere")
    (folder / DATA).symlink_to(folder.parent / "elsewhere")


def _pipe(folder: Path) -> None:
    (folder / DATA).unlink()
    os.mkfifo(folder / DATA)


def _index_pipe(folder: Path) -> None:
    (folder / ".metadata").unlink()
    os.mkfifo(folder / ".metadata")


def _negative(folder: Path) -> None:
    found = index(folder)
    for info in found.storage_data.values():
        info.offset = -1
    with_index(folder, found)


def _beyond(folder: Path) -> None:
    found = index(folder)
    for info in found.storage_data.values():
        info.length = 2**62
    with_index(folder, found)


def _transformed(folder: Path) -> None:
    found = index(folder)
    for info in found.storage_data.values():
        info.transform_descriptors = ["stream.zstd/1"]
    with_index(folder, found)


def _memo(folder: Path) -> None:
    (folder / ".metadata").write_bytes(b"\x80\x04Nr\xff\xff\xff\x7f.")


def _announces(folder: Path) -> None:
    (folder / ".metadata").write_bytes(b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.")


def _sparse_index(folder: Path) -> None:
    os.truncate(folder / ".metadata", 2**40)


ATTEMPTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "whose index runs code": (_index_runs, "posix.mkdir, which is code"),
    "whose index holds an object of its own": (_index_holds_code, "which is code"),
    "with a learning rate that runs code": (_value_runs, "is no plain data: to read it would run code"),
    "with a tensor that runs code": (_tensor_runs, "is no plain data: to read it would run code"),
    "with a number in place of a tensor": (_value_for_tensor, "does not fit this run: "),
    "with a value of megabytes": (_large_value, "other sizes than optimizer.param_groups.0.lr"),
    "with a tensor that inflates": (_packed, "values are packed"),
    "with a larger tensor than it says": (_large_tensor, "other sizes than model.weight"),
    "with values in a file beside it": (_other_file("../secret"), "names the file '../secret'"),
    "with values in a file of the user": (_other_file("{home}/id_rsa"), "its index names the file"),
    "whose data is a link": (_link, "a link or a pipe"),
    "whose data is a pipe": (_pipe, "a link or a pipe"),
    "whose index is a pipe": (_index_pipe, "a link or a pipe"),
    "that begins before its file": (_negative, "other sizes"),
    "that is longer than its file": (_beyond, "other sizes"),
    "that a library must unpack": (_transformed, "values are packed"),
    "whose index asks for 16 GB of numbers": (_memo, "not a checkpoint of the trainer"),
    "whose index announces a terabyte": (_announces, "not a checkpoint of the trainer"),
    "whose index is a terabyte of nothing": (_sparse_index, "its index is too large"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_runs_or_fills_by_a_checkpoint(attempt: str, folder: Path) -> None:
    harm, saying = ATTEMPTS[attempt]
    harm(folder)
    with pytest.raises(CheckpointError, match=r"next: ") as caught:
        read_into(state(2), folder)
    assert saying in caught.value.what
    assert not (folder.parent / "ran").exists()
