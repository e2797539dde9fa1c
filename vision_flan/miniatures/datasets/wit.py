"""WIT: Wikipedia images with texts around them, as gzipped TSV without quoting.

`n` counts train rows, in ten files; val and test get a twentieth in five each. `source_id` is the image_url.
Images, which upstream does not ship, are in `images/`, named after the last part of the URL with its
percent-encoding, where that is a valid file name.
"""

from __future__ import annotations

import gzip
from functools import partial
from urllib.parse import quote

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_COLUMNS = text.listed(
    "language page_url image_url page_title section_title hierarchical_section_title "
    "caption_reference_description caption_attribution_description caption_alt_text_description "
    "mime_type original_height original_width is_main_image attribution_passes_lang_id "
    "page_changed_recently context_page_description context_section_description"
)
_NICKNAMES = ("Old Betty", "Müller", "The Landlord's Folly", "No. 7")
_TYPES = {"jpeg": ".jpg", "png": ".png", "svg+xml": ".svg", "gif": ".gif", "tiff": ".tif", "webp": ".webp"}
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>\n'
#: Longest file name of common file systems, in bytes.
_NAME_MAX = 255


def generate(mini: Miniature) -> None:
    few = max(mini.n // 20, 5)
    for split, count, shards in (("train", mini.n, 10), ("val", few, 5), ("test", few, 5)):
        for shard in range(shards):
            name = f"wit_v1.{split}.all-{shard:05d}-of-{shards:05d}.tsv.gz"
            rows = range(shard * count // shards, (shard + 1) * count // shards)
            with mini.open(name) as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
                out.write(("\t".join(_COLUMNS) + "\n").encode())
                for index in rows:
                    out.write(("\t".join(_row(mini, split, index)) + "\n").encode())


def _row(mini: Miniature, split: str, index: int) -> list[str]:
    rng = mini.rng(split, index)
    language = _language(index)
    shown = index - _shares(index)
    url, kind, size = _image(mini, split, shown)
    title = _title(mini, split, shown)
    page = _page(mini, split, index)
    main = rng.random() < 0.7
    if shown == index and index % 40 != 22:  # some images are gone from Wikimedia
        _draw(mini, url, kind, size, title)
    if split == "train" and language == "en":
        _truth(mini, index, url, kind, main)
    section = rng.choice(("", "History", "Gallery"))
    return [
        language,
        f"https://{language}.wikipedia.org/wiki/{title.replace(' ', '_')}",
        url,
        title,
        section,
        f"{title} / {section}" if section else title,
        rng.choice(("", text.sentence(rng))),
        rng.choice(("", f"English: {text.sentence(rng)}")),
        rng.choice(("", text.clause(rng))),
        f"image/{kind}",
        str(size[1]),
        str(size[0]),
        "true" if main else "false",
        rng.choice(("true", "false")),
        "true",
        page,
        rng.choice(("", text.sentence(rng))),
    ]


def _shares(index: int) -> bool:
    """Whether a row shows the image of the row before, on a page of its own or in another language."""
    return index % 30 == 17 or index % 10 == 9


def _language(index: int) -> str:
    return ("de", "fr", "ja")[index % 3] if index % 10 == 9 or index % 5 == 3 else "en"


def _title(mini: Miniature, split: str, shown: int) -> str:
    return text.subject(mini.rng(split, shown, "title")).title()


def _page(mini: Miniature, split: str, index: int) -> str:
    """The description of the page; quote characters are kept as they are, also at the start and unpaired."""
    rng = mini.rng(split, index, "page")
    title = _title(mini, split, index - _shares(index))
    nickname = f'"{rng.choice(_NICKNAMES)}"'
    known = rng.choice(
        (
            f"The {title}, also called {nickname}, is a monument that a town put up.",
            f"{nickname} is the name that a town gave to the {title}, its monument.",
            f'The {title} is a monument that is 24" tall.',
        )
    )
    return "" if index % 20 == 6 else f"{known} {text.paragraph(rng, 2)}"


def _image(mini: Miniature, split: str, index: int) -> tuple[str, str, draw.Size]:
    rng = mini.rng(split, index, "image")
    kind = "jpeg" if rng.random() < 0.6 else rng.choice(list(_TYPES))
    key = mini.hex_id(12, split, index)
    title = quote(f"Château_{key}" if index % 7 == 2 else f"Emperor_{key}")
    if index % 50 == 12:  # names longer than a file system allows
        title += quote("é" * 60)
    url = f"http://upload.wikimedia.org/wikipedia/commons/{key[0]}/{key[:2]}/{title}{_TYPES[kind]}"
    return url, kind, draw.some_size(rng)


def _draw(mini: Miniature, url: str, kind: str, size: draw.Size, title: str) -> None:
    name = url.rpartition("/")[2]
    if len(name.encode()) <= _NAME_MAX:
        card = partial(draw.caption_card, title, size)
        mini.image(f"images/{name}", _SVG if kind == "svg+xml" else card)


def _truth(mini: Miniature, index: int, url: str, kind: str, main: bool) -> None:
    """One line of truth per image: where two English pages show it, the second row writes it for both."""
    if index + 1 < mini.n and _shares(index + 1) and _language(index + 1) == "en":
        return
    rows = [index - 1, index] if _shares(index) else [index]
    pages = [page for page in (_page(mini, "train", row) for row in rows) if page]
    gone = rows[0] % 40 == 22 or len(url.rpartition("/")[2].encode()) > _NAME_MAX
    if kind not in ("jpeg", "png"):
        mini.truth("knowledge_wit", url, dropped="not a photograph")
    elif not pages:
        mini.truth("knowledge_wit", url, dropped="no description")
    elif gone:
        mini.truth("knowledge_wit", url, dropped="no picture")
    else:
        mini.truth("knowledge_wit", url, one_of=pages, main=main)
