"""DomainNet: six domains of images in class folders, and train and test lists of each.

`n` counts train images over all domains; each test list gets a tenth. `source_id` is the path,
`clipart/zigzag/clipart_345_000001.jpg`.
"""

from __future__ import annotations

from contextlib import ExitStack

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature

#: Domains and their names in a sentence.
_DOMAINS = {
    "clipart": "a clip art image",
    "infograph": "an infographic",
    "painting": "a painting",
    "quickdraw": "a rough sketch",
    "real": "a photo",
    "sketch": "a sketch",
}
#: Folder, label, shown name, and how a sentence mentions it where that is not "a" or "an".
_CLASSES = (
    ("aircraft_carrier", 0, "aircraft carrier", None),
    ("binoculars", 25, "binoculars", "binoculars"),
    ("eyeglasses", 107, "glasses", "glasses"),
    ("motorbike", 187, "motorcycle", None),
    ("moustache", 190, "mustache", None),
    ("see_saw", 254, "seesaw", None),
    ("t-shirt", 324, "T-shirt", None),
    ("teddy-bear", 301, "teddy bear", None),
    ("tennis_racquet", 304, "tennis racket", None),
    ("The_Eiffel_Tower", 307, "Eiffel Tower", "the Eiffel Tower"),
    ("umbrella", 328, "umbrella", None),
    ("zigzag", 344, "zigzag", None),
)


def generate(mini: Miniature) -> None:
    for number, domain in enumerate(_DOMAINS):
        with mini.pack(f"{domain}.zip") as tree, ExitStack() as stack:
            lists = {
                split: stack.enter_context(mini.lines(f"{domain}_{split}.txt")) for split in ("train", "test")
            }
            count = len(range(number, mini.n, len(_DOMAINS)))
            for index in range(count + max(mini.n // 60, 1)):
                split = "train" if index < count else "test"
                folder, label, name, mention = _CLASSES[(index + number) % len(_CLASSES)]
                file = f"{domain}_{label + 1:03d}_{index + 1:06d}.jpg"
                if domain == "quickdraw":
                    file = f"{mini.number(index, 4 * 10**15, 7 * 10**15 - 1, domain)}.png"
                path = f"{domain}/{folder}/{file}"
                lists[split](f"{path} {label}")
                card = draw.caption_card(name, note=f"{domain} {index}")
                broken = domain == "infograph" and index == 2
                tree.image(path, quirks.truncated(card) if broken else card)
                if split == "train":
                    _truth(mini, domain, path, name, mention or text.article(name), broken=broken)


def _truth(mini: Miniature, domain: str, path: str, name: str, mention: str, *, broken: bool) -> None:
    claims: dict[str, str] = {"target": name}
    sentence: dict[str, str] = {"target": f"This is {_DOMAINS[domain]} of {mention}."}
    if broken:
        claims = sentence = {"dropped": "truncated"}
    if domain != "sketch":  # sketches have no task of their own
        mini.truth(f"object_domainnet_{domain}", path, **claims)
    mini.truth("style_domainnet", path, **sentence)
