"""FlickrLogos-27: logos in photographs, boxes in a text list, images in an archive inside the archive.

`n` counts training images; a third as many are queries. `source_id` is the file name, `144503924.jpg`. The
outer archive is always unpacked, since an archive within an archive cannot be read in place; the inner one
never is.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_TOP = "flickr_logos_27_dataset"
_SPELLED = {"Cocacola": "Coca-Cola", "RedBull": "Red Bull", "McDonalds": "McDonald's", "Nbc": "NBC"}
_SPELLED |= {"Fedex": "FedEx", "Citroen": "Citroën", "Yahoo": "Yahoo!"}
_BRANDS = text.listed(
    "Adidas Apple BMW Citroen Cocacola DHL Fedex Ferrari Ford Google HP Heineken Intel McDonalds Mini Nbc "
    "Nike Pepsi Porsche Puma RedBull Sprite Starbucks Texaco Unicef Vodafone Yahoo"
)
_SIZE = (160, 120)


def generate(mini: Miniature) -> None:
    queries = max(mini.n // 3, 1)
    with (
        mini.archive(f"{_TOP}/{_TOP}_images.tar.gz") as tree,
        mini.lines(f"{_TOP}/{_TOP}_training_set_annotation.txt") as add,
    ):
        for index in range(mini.n):
            name, brand, rng = _name(mini, index), _BRANDS[index % len(_BRANDS)], mini.rng(index)
            boxes = [_box(rng, index) for _ in range(rng.randint(1, 3))]
            other = _BRANDS[(index + 1) % len(_BRANDS)] if index % 29 == 12 else brand
            # an image of subset k stands in all later subsets too
            for subset in range(rng.randint(1, 6), 7):
                for place, box in enumerate(boxes):
                    label = other if place == 0 else brand
                    add(f"{name} {label} {subset} {' '.join(map(str, box))}{' ' if index % 3 else ''}")
            labels = {other, brand} if len(boxes) > 1 else {other}
            marks = [(brand if place else other, _drawn(box)) for place, box in enumerate(boxes)]
            tree.image(f"{_TOP}_images/{name}", partial(draw.objects_scene, _SIZE, marks))
            _truth(mini, name, labels)
        for index in range(mini.n, mini.n + queries):
            card = partial(draw.caption_card, _query(mini, index), _SIZE, note=str(index))
            tree.image(f"{_TOP}_images/{_name(mini, index)}", card)
    lines = (f"{_name(mini, index)}\t{_query(mini, index)}" for index in range(mini.n, mini.n + queries))
    mini.write_lines(f"{_TOP}/{_TOP}_query_set_annotation.txt", lines)
    urls = (f"http://www.example.org/{index}.jpg" for index in range(5))
    mini.write_lines(f"{_TOP}/{_TOP}_distractor_set_urls.txt", urls)


def _name(mini: Miniature, index: int) -> str:
    return f"{mini.number(index, 10_000_000, 6_000_000_000, 'picture')}.jpg"


def _query(mini: Miniature, index: int) -> str:
    return "none" if index % 2 else mini.rng("query", index).choice(_BRANDS)


def _box(rng: Random, index: int) -> tuple[int, int, int, int]:
    left, top = rng.randint(0, 80), rng.randint(0, 60)
    return (left, top, left + (0 if index % 37 == 5 else rng.randint(30, 70)), top + rng.randint(15, 50))


def _drawn(box: tuple[int, int, int, int]) -> draw.Box:
    left, top, right, bottom = box
    return left, top, max(right - left, 20), bottom - top


def _truth(mini: Miniature, name: str, labels: set[str]) -> None:
    if len(labels) == 1:
        brand = labels.pop()
        mini.truth("ocr_flickrlogos27", name, target=_SPELLED.get(brand, brand))
    else:
        mini.truth("ocr_flickrlogos27", name, dropped="logos of two brands")
