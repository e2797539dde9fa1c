"""License texts and copyright notices that travel with a config, in `LICENSES/` of the compiled folder."""

from __future__ import annotations

from pathlib import PurePosixPath

from vision_flan.build.job import Build
from vision_flan.dataset.attribution import NOTICES
from vision_flan.dataset.manifest import Manifest, write_atomically
from vision_flan.errors import BadRawError, Location, MissingRawError, SpecError
from vision_flan.places.place import Place
from vision_flan.raw.folder import RawDataset
from vision_flan.spec.model import DatasetSpec

#: Bytes of one text; the longest license in common use has 50,000.
_MAX_BYTES = 200_000


def notices_of(build: Build) -> dict[str, str]:
    """File in `LICENSES/` -> its text, of the dataset and those it borrows images from.

    A text that should be in the raw folder and is not, or cannot be read, is empty: publishing says so.

    Raises:
        SpecError: a text beside dataset.yaml is missing.
    """
    folders = {folder.dataset: folder for folder in (build.raw, *build.raw.borrowed)}
    found = {}
    for dataset in (build.sources.dataset, *build.sources.lenders):
        for notice in dataset.license.notices:
            name = f"{dataset.dataset}-{PurePosixPath(notice.file or notice.raw).name}"
            if notice.file:
                found[name] = notice_beside(dataset, notice.file)
            else:
                found[name] = _raw(folders[dataset.dataset], notice.raw)
    return found


def notice_beside(dataset: DatasetSpec, name: str) -> str:
    """The text of a file beside dataset.yaml.

    Raises:
        SpecError: it cannot be read.
    """
    path = dataset.folder / name
    try:
        return path.read_bytes()[:_MAX_BYTES].decode("utf-8", "replace")
    except OSError as error:
        raise SpecError(
            f"the notice cannot be read: {error.strerror}",
            where=Location(path),
            hint="put the text there, or change `license.notices`",
        ) from error


def _raw(raw: RawDataset, path: str) -> str:
    try:
        return raw.read_bytes(path, _MAX_BYTES).decode("utf-8", "replace")
    except (MissingRawError, BadRawError):
        return ""


def write_notices(out: Place, manifest: Manifest) -> None:
    """Write the texts of a config that are not there yet."""
    for name, text in manifest.notices.items():
        path = out / NOTICES / name
        if text and not (path.is_file() and path.read_bytes() == text.encode()):
            write_atomically(path, text)
