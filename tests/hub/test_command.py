"""`vflan publish` and `vflan rehydrate` as processes: exit codes, Ctrl-C, JSON, the card's quick start."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_server import HubServer
from tests.hub_server.client import ALICE, BOB, client_environment
from tests.hub_server.compiled import compile_folder
from tests.hub_server.publishing import REPO, Publish, card_configs
from vision_flan.errors import ExitCode

VFLAN = [sys.executable, "-c", "from vision_flan.cli.main import main; main()"]


def vflan(
    hub: HubServer, home: Path, *arguments: str, token: str = ALICE.token, transport: str = "lfs"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*VFLAN, *arguments],
        env=client_environment(hub, home, transport, token),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a job in the background, as some runners start us, ignores Ctrl-C, and its children with it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


@pytest.mark.parametrize(("transport", "point"), [("lfs", "PUT /lfs"), ("xet", "GET .*xet-write-token")])
def test_ctrl_c_is_said_and_the_same_command_continues(
    hub: HubServer, folder: Path, tmp_path: Path, transport: str, point: str
) -> None:
    process = vflan(hub, tmp_path, "publish", str(folder), REPO, transport=transport)
    hub.fail(point, when=lambda: process.send_signal(signal.SIGINT))
    code, _, errors = finished(process)
    assert code == ExitCode.INTERRUPTED and "the same command again" in errors and "Traceback" not in errors
    assert "README.md" not in hub.files(REPO)
    code, out, _ = finished(vflan(hub, tmp_path, "publish", str(folder), REPO, transport=transport))
    assert code == 0 and "published in 1 commit" in out
    assert card_configs(hub) == ["ocr_one", "scene_two"]
    assert set(hub.sent_in_full().values()) <= {1}


def test_two_people_create_one_repository_at_the_same_moment(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    theirs = compile_folder(tmp_path / "theirs", {"vehicle_three": "yes", "dialogue_four": "no"})
    both = [
        vflan(hub, tmp_path / user.name, "publish", str(out), REPO, token=user.token)
        for user, out in ((ALICE, folder), (BOB, theirs))
    ]
    assert [finished(process)[0] for process in both] == [0, 0]
    assert card_configs(hub) == ["dialogue_four", "ocr_one", "scene_two", "vehicle_three"]


def test_errors_of_the_hub_have_their_exit_code_and_no_traceback(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    for arguments, token, what in (
        (["publish", str(folder), REPO], "hf_wrong", "does not accept this token"),
        (["publish", str(folder), "no-owner"], ALICE.token, "is not OWNER/NAME"),
        (["rehydrate", REPO, "--raw", str(tmp_path)], ALICE.token, "no dataset ORG/vision-flan"),
    ):
        code, _, errors = finished(vflan(hub, tmp_path, *arguments, token=token))
        assert code == ExitCode.HUB and what in errors and "next:" in errors and "Traceback" not in errors


def test_plan_and_result_as_json(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    command = ["publish", str(folder), REPO, "--json"]
    code, out, _ = finished(vflan(hub, tmp_path, *command, "--dry-run"))
    plan = json.loads(out)
    assert code == 0 and [task["action"] for task in plan["tasks"]] == ["added", "added"]
    code, out, _ = finished(vflan(hub, tmp_path, *command))
    result = json.loads(out)
    assert result["bytes"] == plan["bytes"] and result["head"] == hub.repo(REPO).refs["refs/heads/main"]


def test_a_dry_run_can_show_the_card(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    code, out, _ = finished(vflan(hub, tmp_path, "publish", str(folder), REPO, "--dry-run", "--show-card"))
    assert code == 0 and "\n# Vision-Flan\n" in out and "config_name: ocr_one" in out
    assert hub.store.repos == {}


@pytest.mark.slow
def test_the_quick_start_of_the_published_card_runs_as_printed(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    publish(compile_folder(tmp_path / "three", {"ocr_one": "yes", "ocr_two": "yes", "scene_b": "no"}))
    blocks = re.findall(r"```python\n(.*?)```", hub.files(REPO)["README.md"].decode(), re.S)
    assert len(blocks) == 4
    printed = []
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block],
            env=client_environment(hub, tmp_path / "home", "lfs"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines())
    assert printed[0] == []
    assert printed[1][-2:] == ["prompt of 00000-of-00001-0", "target of 00000-of-00001-0"]
    assert "'assistant': " in printed[2][-1]
    assert "'assistant': " in printed[3][-1]


def test_publish_takes_published_names_and_json_is_one_document_with_the_card(
    hub: HubServer, tmp_path: Path
) -> None:
    folder = compile_folder(tmp_path / "mine", {"object_cinic10_animal": "yes", "ocr_one": "no"})
    alias = "cinic-10+image_classification_animal"
    process = vflan(
        hub, tmp_path, "publish", str(folder), REPO, "--task", alias, "--dry-run", "--show-card", "--json"
    )
    code, out, errors = finished(process)
    assert code == 0, errors
    document = json.loads(out)
    assert [task["task"] for task in document["tasks"]] == ["object_cinic10_animal"]
    assert "object_cinic10_animal" in document["card"]
    code, _, errors = finished(vflan(hub, tmp_path, "publish", str(folder), REPO, "--task", "nosuch"))
    assert code == ExitCode.FAILED and "nosuch: no such task in this folder" in errors


def test_rehydrate_takes_published_names(hub: HubServer, tmp_path: Path) -> None:
    folder = compile_folder(tmp_path / "mine", {"object_cinic10_animal": "no"})
    code, _, errors = finished(vflan(hub, tmp_path, "publish", str(folder), REPO))
    assert code == 0, errors
    (tmp_path / "raw").mkdir()
    answers = []
    for name in ("object_cinic10_animal", "cinic-10+image_classification_animal"):
        folders = ["--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
        answers.append(finished(vflan(hub, tmp_path, "rehydrate", REPO, "--task", name, *folders)))
    assert answers[0] == answers[1] and "has no task" not in answers[0][2]
    code, _, errors = finished(vflan(hub, tmp_path, "rehydrate", REPO, "--task", "nosuch"))
    assert code == ExitCode.HUB and "has no task nosuch" in errors
