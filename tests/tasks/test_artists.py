"""Artists of WikiArt, from file names of upstream's lists to names as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_flan.instances.maker import InstanceMaker, Text
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import load_records, open_raw, task_sources
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

FACTS = Path(__file__).parent / "facts" / "wikiart_artists.tsv"
NAMES = dict(line.split("\t") for line in FACTS.read_text("utf-8").splitlines())


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a prompt would call the artist of each file name."""
    raw = tmp_path_factory.mktemp("raw")
    lists = raw / "wikiart" / "wikiart_csv"
    lists.mkdir(parents=True)
    paths = [f"Realism/{slug}_a-work-{number}.jpg" for number, slug in enumerate(NAMES)]
    lists.joinpath("style_train.csv").write_text("".join(f"{path},21\n" for path in paths), "utf-8")
    lists.joinpath("genre_train.csv").write_text("".join(f"{path},4\n" for path in paths), "utf-8")
    lists.joinpath("genre_class.txt").write_text("4 landscape\n", "utf-8")
    catalog = Catalog.default()
    task = catalog.task("art_wikiart")
    sources = task_sources(task, catalog)
    found = {}
    with RecordStore() as store:
        records = load_records(task, sources, open_raw(sources.dataset, catalog, raw), 0, store, Silent())
        maker = InstanceMaker(task, sources.labels, catalog.instruction_file("art_wikiart"), 0, records)
        for row in records.block(0, len(paths)):
            text = maker.render(dict(row))
            assert isinstance(text, Text)
            slug = str(row["path"]).removeprefix("Realism/").partition("_")[0]
            found[slug] = text.target.partition(" created by ")[2].partition(". It falls")[0]
    return found


def test_every_file_name_has_an_artist(called: dict[str, str]) -> None:
    assert set(called) == set(NAMES)
    assert len(NAMES) >= 250


@pytest.mark.parametrize("slug", NAMES)
def test_an_artist_is_called_as_people_write_the_name(slug: str, called: dict[str, str]) -> None:
    assert called[slug] == NAMES[slug]
