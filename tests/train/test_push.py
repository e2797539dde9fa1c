"""`vflan train push RUN OWNER/NAME`: the model of a run on the Hub, and data from the Hub."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import HubServer
from tests.hub_server.client import ALICE, STRANGER, client_environment
from vision_flan.train.push import Facts, PushError, card, push


@pytest.fixture(scope="module")
def common(compiled: Path, tiny: Path) -> list[str]:
    quiet = ["log.samples=0", "data.workers=0", "train.batch=4", "train.steps=2", "data.max_tokens=256"]
    return [f"data.root={compiled}", "init.tiny=false", f"init.from={tiny}", *quiet]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub", [ALICE, STRANGER]) as server:
        yield server


COMMAND = [sys.executable, "-c", "from vision_flan.cli.main import main; main()"]


def environment_of(hub: HubServer, home: Path, token: str = ALICE.token) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**client_environment(hub, home, "lfs", token), "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def vflan(
    hub: HubServer, home: Path, *words: str, token: str = ALICE.token
) -> subprocess.CompletedProcess[str]:
    environment = environment_of(hub, home, token)
    return subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, cwd=home)


def started(hub: HubServer, home: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, *words], env=environment_of(hub, home), cwd=home)


@pytest.mark.slow
def test_a_model_is_pushed_with_its_card_and_trained_on_from_there(
    hub: HubServer, finished: Path, tmp_path: Path, compiled: Path
) -> None:
    """Weights arrive to the byte; another run starts from them; pushing again adds nothing."""
    (finished / "scores").mkdir(exist_ok=True)
    score = {"benchmark": "mme", "metric": "perception", "value": 963.61, "count": 2374, "judge": None}
    (finished / "scores" / "mme.json").write_text(json.dumps(score))
    done = vflan(hub, tmp_path, "train", "push", str(finished), "alice/base")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"model: {hub.url}/alice/base"
    tree = hub.store.repos["alice/base"].resolve("main").tree  # type: ignore[union-attr]
    assert set(tree) >= {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert hub.store.repos["alice/base"].private
    text = (finished / "hf" / "README.md").read_text()
    assert "| mme | perception | 963.6 | 2374 |  |" in text and "`object_digits`" in text
    assert str(compiled) not in text and str(finished) not in text, "folders of this machine stay here"
    again = vflan(hub, tmp_path, "train", "push", str(finished), "alice/base")
    assert again.returncode == 0, again.stderr
    assert hub.store.repos["alice/base"].resolve("main").tree == tree  # type: ignore[union-attr]
    options = ["init.tiny=false", "init.from=alice/base", f"data.root={compiled}", "train.steps=1"]
    options += ["train.batch=2", "log.samples=0", "data.workers=0", f"out={tmp_path / 'next'}"]
    trained = vflan(hub, tmp_path, "train", "tiny_cpu", *options)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "next" / "hf" / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_killed_push_leaves_nothing_of_a_model_and_the_next_one_all_of_it(
    hub: HubServer, finished: Path, tmp_path: Path
) -> None:
    """Killed as the repository is made, as files are named, and as the commit is sent: all is one commit."""
    words = ["train", "push", str(finished), "alice/base"]
    for point in ("POST .*/create", "POST .*/preupload", "POST .*/commit/"):
        process: list[subprocess.Popen[bytes]] = []
        hub.fail(point, when=lambda running=process: running[0].kill())  # type: ignore[misc]
        process.append(started(hub, tmp_path, *words))
        assert process[0].wait(timeout=120) == -signal.SIGKILL, point
        hub.faults.clear()
        assert of_the_model(hub) in ({}, in_folder(finished)), point  # the Hub may have taken the commit
    assert started(hub, tmp_path, *words).wait(timeout=120) == 0
    assert of_the_model(hub) == in_folder(finished)
    assert len([commit for commit in hub.repo("alice/base").commits.values() if "Model" in commit.title]) == 1


def of_the_model(hub: HubServer) -> dict[str, bytes]:
    files = hub.files("alice/base") if "alice/base" in hub.store.repos else {}
    return {name: data for name, data in files.items() if name != ".gitattributes"}


def in_folder(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "hf").iterdir()}


def test_who_may_not_write_is_told_so(hub: HubServer, finished: Path, tmp_path: Path) -> None:
    done = vflan(hub, tmp_path, "train", "push", str(finished), "alice/base", token=STRANGER.token)
    assert done.returncode == 1 and "the Hub does not take alice/base" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_score_that_cannot_be_read_is_named(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "scores").mkdir(exist_ok=True)
    (run / "scores" / "mme.json").write_text("{")
    with pytest.raises(PushError, match="not readable") as caught:
        push(run, "alice/base")
    assert "scores/mme.json" in str(caught.value)


def test_a_folder_that_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PushError, match="no finished run"):
        push(tmp_path, "alice/base")


def test_the_card_tells_recipe_data_digest_and_licenses(finished: Path) -> None:
    facts = Facts.read(finished)
    text = card(facts)
    assert facts.identity and facts.identity.digest in text
    assert "library_name: transformers" in text and "not known here" in text
    assert "seed: 0" in text and "```yaml" in text
    shipped = Facts(
        facts.name,
        facts.config,
        type(facts.identity)({}, {}, {"ocr_textocr of source 0": "5 of 9 instances (abc)"}),
        {},
    )
    row = next(line for line in card(shipped).splitlines() if "ocr_textocr" in line)
    assert "TextOCR" in row and "5 of 9 instances (abc)" in row and row.split("|")[4].strip()


@pytest.mark.slow
def test_data_root_may_be_a_repository(hub: HubServer, tmp_path: Path, tiny: Path, compiled: Path) -> None:
    """The run is the one from the folder, loss by loss."""
    upload = (
        "import sys; from huggingface_hub import HfApi; api = HfApi();"
        "api.create_repo('alice/data', repo_type='dataset');"
        "api.upload_folder(repo_id='alice/data', repo_type='dataset', folder_path=sys.argv[1])"
    )
    environment = client_environment(hub, tmp_path, "lfs")
    subprocess.run([sys.executable, "-c", upload, str(compiled)], env=environment, check=True)
    losses = []
    for number, root in enumerate(("alice/data", str(compiled))):
        out = tmp_path / str(number)
        options = [f"data.root={root}", "data.sources=[{include: [object_digits]}]", f"out={out}"]
        options += ["init.tiny=false", f"init.from={tiny}", "train.steps=2", "train.batch=4"]
        done = vflan(
            hub, tmp_path, "train", "tiny_cpu", *options, "log.samples=0", "log.every=1", "data.workers=0"
        )
        assert done.returncode == 0, done.stderr
        losses.append([json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()])
    assert losses[0] == losses[1] and len(losses[0]) == 2
