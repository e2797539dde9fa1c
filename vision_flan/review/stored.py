"""The rows of a compiled task, read shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vision_flan.dataset.manifest import Manifest, read_manifests
from vision_flan.errors import Location, VflanError, to_type
from vision_flan.instances.images import BadImageError, check_image, decoded
from vision_flan.places.place import Place, source

#: Rows that are in memory at a time; a row group has as many.
_ROWS = 100


def manifests_of(folder: Place) -> dict[str, Manifest]:
    """The manifests of a compiled folder by task, sorted; one at least.

    Raises:
        VflanError: there is none, or one is damaged.
    """
    found = read_manifests(folder)
    if not found:
        hint = "give the folder that `vflan compile --out` wrote"
        raise VflanError("this folder holds no compiled config", where=Location(str(folder)), hint=hint)
    return found


def stored_batches(
    folder: Place, manifest: Manifest, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a config, at most 100 at a time.

    Args:
        columns: only these, or parts such as `image.path`; what an older folder lacks is left out.

    Raises:
        VflanError: a shard is missing or damaged.
    """
    for shard in manifest.shards:
        path = folder / shard.path
        try:
            with pq.ParquetFile(source(path)) as file:
                names = set(file.schema_arrow.names)
                chosen = (
                    None if columns is None else [name for name in columns if name.partition(".")[0] in names]
                )
                yield from file.iter_batches(batch_size=_ROWS, columns=chosen)
        except (OSError, pa.ArrowException) as error:
            hint = to_type("vflan", "verify", folder)
            raise VflanError(f"cannot read: {error}", where=Location(str(path)), hint=hint) from error


def shown_image(data: bytes | None) -> Image.Image:
    """A stored image as it is shown: upright, in RGB, on white.

    Raises:
        BadImageError: there is none, or it cannot be decoded.
    """
    if data is None:
        raise BadImageError("not in the folder")
    check_image(data)
    try:
        return decoded(data)
    except Exception as error:  # whatever Pillow raises for damage that a header does not show
        raise BadImageError("broken_image") from error
