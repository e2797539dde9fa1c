"""The list of images that Open Images ships: who made each, under what license, where it is shown."""

from __future__ import annotations

from collections.abc import Iterable

from vision_flan.miniatures import text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_COLUMNS = (
    "ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author",
    "Title", "OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation",
)  # fmt: skip
LICENSE = "https://creativecommons.org/licenses/by/2.0/"


def authors(mini: Miniature, tree: Tree, path: str, subset: str, image_ids: Iterable[str]) -> None:
    """Write a list of these images and of one that nobody asks for."""
    with tree.csv(path, _COLUMNS) as add:
        for place, image_id in enumerate((*image_ids, mini.hex_id(16, "listed only"))):
            rng = mini.rng("author", image_id)
            page = f"https://www.flickr.com/photos/miniature/{place}"
            author = "" if place % 60 == 59 else f'{text.clause(rng)[:12].title()}, "{place}"'
            add(
                (image_id, subset, f"{page}_o.jpg", page, LICENSE, "https://www.flickr.com/people/miniature",
                 author, f"Photo {place}", 211079, "0Sad+xMj2ttXM1U8meEJ0A==", f"{page}_z.jpg", "0.0")
            )  # fmt: skip
