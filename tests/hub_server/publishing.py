"""Publishing in a test: the publisher, with its messages and waits recorded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from vision_flan.dataset.front_matter import ALL, parsed
from vision_flan.hub.plan import Choices, PublishPlan
from vision_flan.hub.progress import Progress
from vision_flan.hub.publish import Outcome, Publisher
from vision_flan.hub.waiting import Patience

from .server import HubServer

REPO = "ORG/vision-flan"
NOTHING_SPECIAL = Choices()


class Publish:
    """Publishes folders and records messages and waits."""

    def __init__(self, api: HfApi) -> None:
        self.api = api
        self.out = io.StringIO()
        self.waits: list[float] = []

    def publisher(self, folder: Path, choices: Choices = NOTHING_SPECIAL, **options: Any) -> Publisher:
        progress = Progress(out=self.out)
        patience = Patience(progress.say, self.waits.append)
        settings: dict[str, Any] = {"patience": patience, "progress": progress, "repo_id": REPO, **options}
        return Publisher(api=self.api, folder=folder, choices=choices, **settings)

    def plan(self, folder: Path, choices: Choices = NOTHING_SPECIAL, **options: Any) -> PublishPlan:
        return self.publisher(folder, choices, **options).plan()

    def __call__(self, folder: Path, choices: Choices = NOTHING_SPECIAL, **options: Any) -> Outcome:
        publisher = self.publisher(folder, choices, **options)
        return publisher.run(publisher.plan())

    @property
    def said(self) -> str:
        return self.out.getvalue()


def actions(plan: PublishPlan) -> dict[str, str]:
    return {change.task: change.action for change in plan.changes}


def card_configs(hub: HubServer, revision: str = "main") -> list[str]:
    """The tasks of a card, without the config of all."""
    front = parsed(hub.files(REPO, revision)["README.md"].decode())
    return [config["config_name"] for config in front["configs"] if config["config_name"] != ALL]
