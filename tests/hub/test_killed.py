"""After kill -9, the same command ends in the same state as an undisturbed publish."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub_server import HubServer
from tests.hub_server.client import ALICE, client_environment
from tests.hub_server.compiled import compile_folder
from vision_flan.dataset.front_matter import parsed
from vision_flan.dataset.publication import PublishedTask
from vision_flan.errors import Location

REPO = "ORG/vision-flan"
KILLS = 10
#: Small commits, so that a kill falls between, before and within several of them.
SCRIPT = """
import sys
from pathlib import Path
from huggingface_hub import HfApi
from vision_flan.hub.plan import Choices
from vision_flan.hub.packing import Limits
from vision_flan.hub.publish import Publisher
publisher = Publisher(HfApi(), "ORG/vision-flan", Path(sys.argv[1]), Choices(tag="v1"),
                      limits=Limits(files_per_commit=7, files_per_upload=2))
publisher.run(publisher.plan())
"""


def run(
    hub: HubServer, folder: Path, home: Path, transport: str, watch: Callable[..., None] | None = None
) -> int:
    """Publish in a process of its own; `watch` gets the process."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env=client_environment(hub, home, transport),
        stderr=subprocess.PIPE,
        text=True,
    )
    if watch:
        watch(process)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, -9), errors
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["xet", "lfs"])
def test_ten_kills_leave_what_an_undisturbed_publish_leaves(transport: str, tmp_path: Path) -> None:
    licenses = {f"task_{i}": "no" if i % 3 == 0 else "yes" for i in range(24)}
    folder = compile_folder(tmp_path / "out", licenses, shards=2, noise=5_000)
    with HubServer(tmp_path / "calm", [ALICE]) as calm:
        run(calm, folder, tmp_path / "home", transport)
        undisturbed, requests = calm.files(REPO), len(calm.requests)
        assert sorted(calm.repo(REPO).refs) == ["refs/heads/main", "refs/tags/v1"]
        calm_bytes = calm.store.xet.stored_bytes()

    draw = random.Random(20261121)
    commits_at_kills = []
    with HubServer(tmp_path / "storm", [ALICE]) as storm:
        for at in range(KILLS):
            point, delay = draw.randint(3, requests // 4), draw.random() * 0.02

            def kill_at(process: subprocess.Popen[str], point: int = point, delay: float = delay) -> None:
                storm.fail(".", skip=point, when=lambda: threading.Timer(delay, process.kill).start())

            assert run(storm, folder, tmp_path / f"home{at}", transport, kill_at) == -9
            storm.faults.clear()
            commits_at_kills.append(len(storm.repo(REPO).commits) if REPO in storm.store.repos else 0)
            assert_card_lists_what_is_there(storm)
        assert len(set(commits_at_kills)) >= 3, f"kills did not fall along the way: {commits_at_kills}"
        assert run(storm, folder, tmp_path / "home_last", transport) == 0
        assert storm.files(REPO) == undisturbed
        assert sorted(storm.repo(REPO).refs) == ["refs/heads/main", "refs/tags/v1"]
        if transport == "lfs":
            assert set(storm.sent_in_full().values()) == {1}
        else:
            assert storm.store.xet.stored_bytes() < 1.3 * calm_bytes


def assert_card_lists_what_is_there(hub: HubServer) -> None:
    """Wherever a publish is interrupted, every config of the card has all its files."""
    files = hub.files(REPO) if REPO in hub.store.repos else {}
    if "README.md" in files:
        front = parsed(files["README.md"].decode())
        published = [
            PublishedTask.from_json(files[p].decode(), Location(p)) for p in files if p[:9] == "manifest/"
        ]
        names = [config["config_name"] for config in front["configs"]]
        assert names == ["all", *sorted(t.task for t in published)]
        assert all(len(files[s.path]) == s.bytes for task in published for s in task.publication.shards)
