"""Who made the images of a config and under what license: `attribution/<task>.parquet`, beside the config.

It is built when the task is compiled, from upstream's own list of credits, and published with the config.
What an image's license permits is decided from it, image by image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.dataset.manifest import Manifest, write_bytes_atomically
from vision_flan.errors import Location, VflanError
from vision_flan.places.place import P, Place
from vision_flan.spec.license import PER_IMAGE, Terms

FOLDER = "attribution"
#: License texts and copyright notices of a compiled folder and of a repository.
NOTICES = "LICENSES"


@dataclass(frozen=True)
class Credit:
    """What upstream says of one instance's image; empty where it says nothing.

    Attributes:
        id: the instance.
        image: the image's path in upstream's layout.
        source_id: upstream's id of the image.
        license: the image's license, in upstream's words or numbers.
        landing_url: the page that shows the image.
    """

    id: str
    image: str
    source_id: str = ""
    license: str = ""
    author: str = ""
    title: str = ""
    landing_url: str = ""
    license_url: str = ""


COLUMNS = tuple(field.name for field in fields(Credit))
#: Columns that a dataset's `credits` may have beside `image`.
KNOWN = COLUMNS[2:]


def attribution_path(folder: P, task: str) -> P:
    """The attribution table of a task in a compiled folder."""
    return folder / FOLDER / f"{task}.parquet"


def write_attribution(path: Place, credits: Iterable[Credit]) -> tuple[int, int, str]:
    """Write the table of a config; the same credits give the same bytes.

    Returns:
        Its rows, bytes and sha256.
    """
    rows = [astuple(credit) for credit in credits]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in COLUMNS]
    table = pa.table({name: pa.array(c, pa.string()) for name, c in zip(COLUMNS, columns, strict=True)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    write_bytes_atomically(path, content)
    return len(rows), len(content), hashlib.sha256(content).hexdigest()


def read_attribution(folder: Place, manifest: Manifest) -> list[Credit]:
    """The attribution table of a compiled task; empty if it has none.

    Raises:
        VflanError: it is missing, or is not the one the manifest names.
    """
    facts = manifest.attribution
    if not facts.get("sha256"):
        return []
    path = attribution_path(folder, manifest.task)
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise VflanError(
            f"the attribution table of {manifest.task} is missing or differs from its manifest",
            where=Location(str(path)),
            hint=f"compile {manifest.task} again",
        )
    return [Credit(**row) for row in pq.read_table(pa.BufferReader(content)).to_pylist()]


def permitted(terms: Terms, credits: Iterable[Credit]) -> frozenset[str]:
    """The instances whose image these terms let go out, as far as their credits tell.

    An image needs an allowed license where the verdict is per image, and an author or a page to name where
    the license asks for attribution.
    """
    return frozenset(
        credit.id
        for credit in credits
        if (terms.verdict != PER_IMAGE or credit.license in terms.allowed)
        and (not terms.attribution or credit.author or credit.landing_url)
    )
