"""From the build of a task to what its workers get."""

from __future__ import annotations

import pickle
import uuid
from dataclasses import replace

from vision_flan.build.engines import RAY
from vision_flan.build.identity import image_tables
from vision_flan.build.job import Build
from vision_flan.build.worker import Job, Making, Parsed
from vision_flan.instances.rendering import instruction_of
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.records.tables import table_spec


def making_of(build: Build) -> Making:
    """What makes the blocks of a build in this process."""
    task, sources = build.task, build.sources
    tables = tuple(table_spec(sources.dataset, name) for name in image_tables(task, sources))
    instruction = build.instruction, instruction_of(task, build.instruction)
    parsed = Parsed(task, sources.dataset, sources.lenders, sources.labels, tables, instruction)
    return Making(parsed, build.raw, build.options, build.work, build.report)


def job_of(build: Build, making: Making) -> Job:
    """The same for workers; full paths for a cluster, whose workers have working folders of their own."""
    raw, out, work = build.places, build.out, build.work
    if build.options.engine.kind == RAY:
        raw, out, work = absolute(raw), out.absolute(), work.absolute()
    parsed = pickle.dumps(making.parsed)
    return Job(uuid.uuid4().hex, build.task.id, parsed, raw, out, work, build.options)


def absolute(places: RawPlaces) -> RawRoots:
    """The same places for a process with another working folder."""
    roots = RawRoots.of(places)
    mapped = {
        name: replace(one, paths=tuple(path.absolute() for path in one.paths))
        for name, one in roots.mapped.items()
    }
    scratch = roots.scratch and replace(roots.scratch, folder=roots.scratch.folder.absolute())
    return RawRoots(tuple(root.absolute() for root in roots.roots), mapped, scratch)
