"""All 228 tasks go to the test Hub: it receives what each license allows, byte for byte, and every name.

What may go out is told by lawful.py from the dataset.yaml files alone; test_verdicts.py shows that its checks
find what is wrong. Compiling and publishing everything takes more than half a minute of both cores, so `make
test-publish` runs this and `make test` does not: test_verdicts.py has a task of each kind.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, constants

from tests.hub.lawful import CHECKS, Publication, of_tasks, works_of
from tests.hub_server import HubServer
from tests.hub_server.client import ALICE
from tests.tasks.compiled import compile_all
from vision_flan.dataset.verification import verify
from vision_flan.hub.plan import Choices
from vision_flan.hub.publish import Publisher
from vision_flan.spec.catalog import Catalog

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("VFLAN_WHOLE_SUITE"), reason="make test-publish runs it"),
]
REPO, LIMIT = "ORG/vision-flan", 12


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publication]:
    """Everything, published without any option."""
    base = tmp_path_factory.mktemp("whole")
    out = compile_all(base, LIMIT)
    with HubServer(base / "hub", [ALICE]) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        publisher = Publisher(HfApi(endpoint=hub.url, token=ALICE.token), REPO, out, Choices())
        publisher.run(publisher.plan())
        yield of_tasks(out, list(Catalog.default().task_files), hub.files(REPO), hub.everything_received())


def test_every_task_is_there_and_the_folder_verifies(published: Publication) -> None:
    assert len(published.tasks) == 228 and len(published.specs) == 124
    manifests = {Path(name).stem for name in published.files if name.startswith("manifest/")}
    assert manifests == set(published.public)
    kept = set(published.tasks) - set(published.public)
    assert kept == {"eval_mme", "human_raf_db", "object_exdark", "ocr_total_text"}
    *_, (_, found) = verify(published.out)
    assert found.problems == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_publication_is_lawful(published: Publication, check: Callable[[Publication], list[str]]) -> None:
    assert check(published) == []


def test_there_is_enough_of_each_kind_to_look_at(published: Publication) -> None:
    """Checks of nothing would find nothing."""
    forms = Counter(published.form(task) for task in published.public)
    assert sum(forms.values()) == len(published.public)
    assert min(forms[form] for form in ("whole", "mixed", "recipe")) > 3
    sent = {task: sum(bool(row.get("image")) for row in published.sent(task)) for task in published.public}
    credited = [task for task in published.public if f"attribution/{task}.parquet" in published.files]
    assert sum(sent.values()) > 300 and sum(sent[task] for task in credited) > 150
    assert sum(len(published.rows(task)) for task in published.tasks) - sum(sent.values()) > 1000
    assert len([name for name in published.files if name.startswith("LICENSES/")]) >= 5


def test_every_work_that_is_listed_is_used(published: Publication) -> None:
    others = yaml.safe_load((Catalog.default().specs / "sources.yaml").read_text("utf-8"))
    keys = {key for spec in published.specs.values() for key in works_of(spec)}
    assert keys - set(published.specs) == set(others)
