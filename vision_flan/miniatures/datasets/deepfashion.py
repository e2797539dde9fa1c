"""DeepFashion: photos of garments named by item and number, in a flat folder, and lists of names.

Upstream's archive of images has a password, so it is always written unpacked. `n` counts train
images; val and test get a seventh. `source_id` is the file name without suffix,
`Striped_Denim_Shorts-img_00000037`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_TOP = "Category and Attribute Prediction Benchmark"
_LOOKS = text.listed(
    "Abstract Mirrored Print;Striped Denim;Pleated-Front;Embroidered Lace;Lace-Up;Ombre", ";"
)
#: Kind of garment, and whether its name is a plural.
_KINDS = {"Dress": False, "Shorts": True, "Romper": False, "Jeans": True, "Tee": False}
#: One attribute of each of the six groups.
_ATTRIBUTES = ("floral 1", "long_sleeve 2", "mini_length 3", "v_neckline 4", "denim 5", "tight 6")


def generate(mini: Miniature) -> None:
    rows = [str(len(_ATTRIBUTES)), "attribute_name attribute_type", *_ATTRIBUTES]
    mini.write_lines(f"{_TOP}/Anno_fine/list_attr_cloth.txt", rows)
    few = max(mini.n // 7, 1)
    for split, count in (("train", mini.n), ("val", few), ("test", few)):
        with (
            mini.lines(f"{_TOP}/Anno_fine/{split}.txt") as names,
            mini.lines(f"{_TOP}/Anno_fine/{split}_attr.txt") as attributes,
        ):
            for index in range(count):
                rng = mini.rng(split, index)
                look, kind = rng.choice(_LOOKS), rng.choice(list(_KINDS))
                item = f"{look.replace(' ', '_')}_{kind}"
                number = f"img_{10 * index + ('train', 'val', 'test').index(split):08d}"
                names(f"img_highres_subset/{item}-{number}.jpg")
                attributes(" ".join(str(rng.randrange(2)) for _ in _ATTRIBUTES))
                card = draw.caption_card(f"{look} {kind}", (100, 150), note=number)
                mini.image(f"{_TOP}/Img/img_highres_subset/{_stored(item, number, index)}", card)
                if split == "train":
                    article = "" if _KINDS[kind] else f"{'an' if look[0] in 'AEIOU' else 'a'} "
                    target = f"The garment is {article}{look} {kind}."
                    mini.truth("texture_deepfashion", f"{item}-{number}", target=target)


def _stored(item: str, number: str, index: int) -> str:
    """Path of an image: flat, sometimes in a folder, or with different capitals from the list."""
    if index % 10 == 3:
        return f"{item}/{number}.jpg"
    return f"{item.capitalize() if index % 10 == 7 else item}-{number}.jpg"
