"""`vflan duplicates --drop`: which instances go, and which stay.

Of instances that are the same, one stays: of the task with the fewest instances, so that small tasks are not
emptied for large ones; in a task, the first. What a benchmark has goes in any case, whatever is asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vision_flan.build.install import refresh_readme
from vision_flan.build.leave_out import drop_installed
from vision_flan.build.locks import WORK_FOLDER, machine_errors
from vision_flan.dataset.drop_list import Drop
from vision_flan.dataset.manifest import Manifest
from vision_flan.dataset.overlaps import Overlap, Overlaps, shards_checksum, write_overlaps
from vision_flan.report import Reporter
from vision_flan.review.duplicates import Duplicates, Place
from vision_flan.review.same import Same
from vision_flan.review.stored import manifests_of

#: Scope -> what a reason in the manifest ends with.
_ENDS = {"within": "duplicate", "across": "duplicate_across_tasks", "against": "in_benchmark"}
SCOPES = tuple(_ENDS)


@dataclass(frozen=True)
class Rule:
    """What is dropped.

    Attributes:
        same: with what else in common; does not matter for images of benchmarks.
        scopes: within a task, across tasks, against other folders.
    """

    same: Same = Same.ANSWER
    scopes: Sequence[str] = SCOPES


#: Task -> upstream's key -> why it goes.
Drops = dict[str, dict[str, Drop]]


def chosen_drops(found: Duplicates, rule: Rule, sizes: Mapping[str, int]) -> Drops:
    """The instances that go.

    Args:
        sizes: instances by task of the folder that is examined.
    """
    drops: Drops = {}
    for members in _components(found):
        for i, drop in _of_component(found, members, rule, sizes):
            place = found.compared.places[i]
            drops.setdefault(place.task, {})[place.id.partition("/")[2]] = drop
    return {task: drops[task] for task in sorted(drops)}


def _components(found: Duplicates) -> Iterator[list[int]]:
    """The instances of each group by number; a near group has all that are the same byte for byte."""
    images = found.compared
    numbers = {place: i for i, place in enumerate(images.places)}
    same: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(images.digests):
        same[digest].append(i)
    done: set[bytes] = set()
    for group in sorted(found.groups, key=lambda group: group.kind, reverse=True):  # near before exact
        digests = {images.digests[numbers[place]] for place in group.places}
        if not digests <= done:
            done |= digests
            yield sorted(i for digest in digests for i in same[digest])


def _of_component(
    found: Duplicates, members: Sequence[int], rule: Rule, sizes: Mapping[str, int]
) -> Iterator[tuple[int, Drop]]:
    images = found.compared
    theirs = [i for i in members if images.places[i].folder]
    ours = [i for i in members if not images.places[i].folder]
    ours.sort(key=lambda i: (sizes[images.places[i].task], images.places[i].task, i))
    stay: dict[bytes, list[int]] = defaultdict(list)
    for i in ours:
        place, signature = images.places[i], images.signatures[i]
        drop = _match(found, i, theirs, {"against"} & {*rule.scopes})
        drop = drop or _match(found, i, stay[signature], {"within", "across"} & {*rule.scopes})
        if drop:
            yield i, drop
        else:
            assert place.folder == 0
            stay[signature].append(i)


def _match(found: Duplicates, i: int, others: Iterable[int], scopes: set[str]) -> Drop | None:
    """Why an instance goes for one of others that stay; those with the same bytes come first."""
    images = found.compared
    place, near = images.places[i], None
    for j in others if scopes else ():
        other = images.places[j]
        scope = "against" if other.folder else "within" if other.task == place.task else "across"
        if scope not in scopes:
            continue
        if images.digests[i] == images.digests[j]:
            return Drop(f"exact_{_ENDS[scope]}", _name(found, other))
        if near is None and images.differ_in(i, j) <= found.bits:
            near = Drop(f"near_{_ENDS[scope]}", _name(found, other))
    return near


def _name(found: Duplicates, place: Place) -> str:
    return f"{found.folders[place.folder].resolve().name}: {place.id}" if place.folder else place.id


def dropped_of(found: Duplicates, rule: Rule, report: Reporter, *, drop: bool) -> dict[str, dict[str, int]]:
    """What would go of each task by reason; with `drop`, it goes, and stays out of later compiles.

    What is shared with other folders is written to `overlaps.json` and to the card either way.

    Raises:
        VflanError: a task would have no instance left, or a shard is damaged. Tasks before it are done.
        MachineError: disk full, no permission, or a task is being compiled.
    """
    folder = found.folders[0]
    manifests = manifests_of(folder)
    tasks = {place.task for place in found.compared.places if not place.folder}
    before = {task: manifests[task] for task in sorted(tasks)}
    drops = chosen_drops(found, rule, {task: manifest.rows for task, manifest in before.items()})
    going = {
        task: dict(sorted(Counter(one.reason for one in some.values()).items()))
        for task, some in drops.items()
    }
    if drop:
        report.stage("dropping", len(drops))
        for task, some in drops.items():
            drop_installed(folder, task, some, report)
            report.advance(1)
    if len(found.folders) > 1:
        with machine_errors(folder):
            record_overlaps(found, before, drops if drop else {})
            (folder / WORK_FOLDER).mkdir(exist_ok=True)
            refresh_readme(folder, report)
    return going


def record_overlaps(found: Duplicates, before: Mapping[str, Manifest], dropped: Drops) -> Overlaps:
    """Write what the folder shares with each of the others to its `overlaps.json`.

    Args:
        before: the manifests of the tasks that were compared.
        dropped: what has been dropped since.

    Raises:
        OSError: the folder cannot be written.
    """
    folder, *others = found.folders
    manifests = manifests_of(folder)
    overlaps: Overlaps = {task: {} for task in before}
    for number, other in enumerate(others, 1):
        name = other.resolve().name
        size = sum(place.folder == number for place in found.compared.places)
        shared = _shared_with(found, number)
        for task, manifest in before.items():
            kinds = shared.get(task, {})
            gone = sum(1 for key in kinds if key in dropped.get(task, {}))
            exact = sum(kind == "exact" for kind in kinds.values())
            checksum = shards_checksum(manifests[task])
            near = len(kinds) - exact
            overlaps[task][name] = Overlap(size, found.bits, manifest.rows, exact, near, gone, checksum)
    write_overlaps(folder, manifests, overlaps)
    return overlaps


def _shared_with(found: Duplicates, number: int) -> dict[str, dict[str, str]]:
    """Task -> upstream's key -> exact or near, of the instances with an image of a folder."""
    images = found.compared
    shared: dict[str, dict[str, str]] = {}
    for members in _components(found):
        theirs = [i for i in members if images.places[i].folder == number]
        for i in members if theirs else ():
            place = images.places[i]
            drop = None if place.folder else _match(found, i, theirs, {"against"})
            if drop:
                shared.setdefault(place.task, {})[place.id.partition("/")[2]] = drop.reason.partition("_")[0]
    return shared
