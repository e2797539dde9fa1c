"""Small real samples of upstream files, where available: records are read and rendered.

`VFLAN_REAL_SAMPLES` names their folder (tests/real_samples.py); without one there is nothing to test here.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.real_samples import MISSING, real_samples, sample_of
from vision_flan.instances.maker import Dropped, Instance, InstanceMaker
from vision_flan.readers.image_refs import ImageStore
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import all_readers, load_records, missing_files, open_raw, task_sources
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

SAMPLES = real_samples()

catalog = Catalog.default()
TASKS = [task for task, path in catalog.task_files.items() if sample_of(path.parent.name)]

#: Why a sample has no record of a task -> the tasks.
NOTHING_TO_READ = {
    "the sample lacks the annotation file": """
        caption_coco matching_coco matching_coco_selection caption_flickr30k caption_scicap caption_vizwiz
        vqa_vizwiz dialogue_clevr vqa_clevr vqa_clevr_matching vqa_clevr_multi eval_llava_bench_in_the_wild
        eval_mm_vet eval_mme eval_mmmu object_objectnet reasoning_scienceqa rationale_scienceqa scene_lsun""",
    "the sample lacks the list of the train split": """
        crisis_crisismmd_damage crisis_crisismmd_humanitarian crisis_crisismmd_informative""",
    "the sample is of another split": """
        caption_concadia knowledge_concadia knowledge_concadia_context caption_memecap rationale_memecap
        face_fairface_age face_fairface_gender face_fairface_race ocr_total_text""",
    "the labels are folder names, and the sample has lists without the images": """
        object_core50 object_domainnet_clipart object_domainnet_infograph object_domainnet_painting
        object_domainnet_quickdraw object_domainnet_real style_domainnet object_exdark object_imagenet_sketch
        object_visda2017 object_visda2017_multiple_choice object_visda2017_validation scene_places365""",
    "the sample is of the sources of the stimuli, not of the stimuli": "style_model_vs_human",
    "none of the eight images has exactly one class of the group": """
        object_coco_animal object_coco_appliance object_coco_sports""",
}
#: Tasks whose sample holds upstream's annotation file as a whole, not a few lines of it.
WHOLE = ("vehicle_cars", "vehicle_cars_brand")
WITHOUT_RECORDS = {task for tasks in NOTHING_TO_READ.values() for task in tasks.split()}


@pytest.mark.skipif(SAMPLES is None, reason=MISSING)
@pytest.mark.parametrize("name", TASKS)
def test_real_records_are_read_and_rendered(name: str) -> None:
    outcome = read_and_render(name)
    if name in WITHOUT_RECORDS:
        assert not outcome["rendered"], f"{name} has records now: take it out of WITHOUT_RECORDS"
    else:
        assert outcome["rendered"], f"{name}: {dict(outcome)}"


@pytest.mark.skipif(SAMPLES is None, reason=MISSING)
@pytest.mark.parametrize("name", [name for name in WHOLE if name in TASKS])
def test_available_is_what_upstreams_whole_list_yields(name: str) -> None:
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    assert SAMPLES is not None
    raw = open_raw(sources.dataset, catalog, SAMPLES)
    with RecordStore() as store:
        assert load_records(task, sources, raw, 0, store, Silent()).total == task.available


def read_and_render(name: str) -> Counter[str]:
    """How many records were rendered, written, and dropped by reason."""
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    assert SAMPLES is not None
    raw = open_raw(sources.dataset, catalog, SAMPLES)
    outcome: Counter[str] = Counter()
    if missing_files(sources, raw):
        outcome["no annotation file"] += 1
        return outcome
    with RecordStore() as store:
        candidates = load_records(task, sources, raw, 0, store, Silent())
        maker = InstanceMaker(task, sources.labels, catalog.instruction_file(name), 0, candidates)
        images = ImageStore(raw, all_readers(sources.dataset))
        for row in candidates.block(0, 200):
            text = maker.render(dict(row))
            if isinstance(text, Dropped):
                outcome[text.reason] += 1
                continue
            outcome["rendered"] += 1
            assert text.target and text.prompt
            made = maker.make(dict(row), images.read, full_check=True)
            outcome["written" if isinstance(made, Instance) else made.reason] += 1
    return outcome
