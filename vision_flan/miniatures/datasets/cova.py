"""CoVA: screenshots of web shops, five folds with one table of pages.

`n` counts pages. `source_id` is the number of the page. Domains are made up; only their form is upstream's.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

#: x, y, width, height of background, price, title and image.
_BOXES = ((0, 0, 128, 20), (10, 60, 40, 12), (10, 40, 90, 12), (60, 60, 50, 50))
_SHOPS = text.listed("amazon ebay walmart target bestbuy poshmark etsy 4k4less mercari 1onelove")


def generate(mini: Miniature) -> None:
    for fold in range(1, 6):
        with mini.csv(f"splits/Fold-{fold}/webpage_info.csv", ["webpage_name", "domain"]) as add:
            for index in range(mini.n):
                add([_page(index), _domain(index)])
        for place, part in enumerate(("val", "test", "train")):
            own = [index for index in range(mini.n) if min((index + fold) % 5, 2) == place]
            mini.write_lines(f"splits/Fold-{fold}/{part}_imgs.txt", (str(_page(index)) for index in own))
            domains = dict.fromkeys(_domain(index) for index in own)
            mini.write_lines(f"splits/Fold-{fold}/{part}_domains.txt", domains)
    for index in range(mini.n):
        page, domain = _page(index), _domain(index)
        with mini.csv(f"data/bboxes/{page}.csv", ["x", "y", "w", "h", "label"]) as add:
            for label, box in enumerate(_BOXES):
                add([*box, label])
        lines = [f"https://{domain}", "", f"Product no. {page}", "$ 9.99", "Add to cart"]
        mini.image(f"data/imgs/{page}.png", partial(draw.page, lines, (160, 160), 10))
        mini.truth("ocr_cova", page, target=domain.removeprefix("www."))


def _page(index: int) -> int:
    """Numbers are not consecutive."""
    return index * 2 + 1 + index % 2


def _domain(index: int) -> str:
    """Most names begin with www, a few do not."""
    return f"{'' if index % 14 == 9 else 'www.'}{_SHOPS[index % len(_SHOPS)]}.com"
