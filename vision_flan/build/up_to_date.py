"""Whether an installed config is what a build would make now. It is looked up, never presumed."""

from __future__ import annotations

from vision_flan.build.identity import BuildRecord, Identity, damaged_output
from vision_flan.build.install import refresh_readme, renew
from vision_flan.build.job import Build, Result
from vision_flan.build.work import installed_record
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifest
from vision_flan.errors import VflanError


def up_to_date(build: Build, identity: Identity) -> Result | None:
    """The installed config, with title, license and the like renewed; None if it has to be built."""
    task = build.task.id
    try:
        manifest = read_manifest(manifest_path(build.out, task))
    except FileNotFoundError:
        return None
    except VflanError as error:
        build.report.note(f"{task} is compiled again: its manifest is broken: {error.what}")
        return None
    record = BuildRecord.read(installed_record(build.out, task))
    if record is None:
        build.report.note(f"{task} is compiled again: there is no record of the raw files it was made from")
        return None
    why = _outdated(build, identity, record, manifest)
    if why:
        build.report.note(f"{task} is compiled again: {why}")
        return None
    current = renew(build, manifest)
    refresh_readme(build.out, build.report)
    return Result(current, build.out, built=False, renewed=current is not manifest)


def _outdated(build: Build, identity: Identity, record: BuildRecord, manifest: Manifest) -> str | None:
    changed = record.stale(identity, build.raw, verify=build.options.verify_raw)
    if changed:
        return f"{changed} changed"
    damaged = damaged_output(record, manifest, build.out)
    return f"{damaged} is not as it was installed" if damaged else None
