"""LAD: images of 230 classes, twenty per class with a vector of 359 attributes, as comma-separated text.

`n` counts images with attributes (upstream: 4,600); as many again have a label and a box only. `source_id`
is the file name without suffix, 32 hex digits.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

#: Super-class -> first attribute, end of its attributes, number of its classes.
_SUPER = {
    "A": (0, 123, 50),
    "F": (123, 181, 50),
    "V": (181, 262, 50),
    "E": (262, 337, 50),
    "H": (337, 359, 30),
}
#: Five kinds times ten variants make fifty classes (of hairstyles, three kinds and thirty).
_KINDS = {
    "A": "antelope,horse,bear,wolf,fox",
    "F": "apple,plum,pear,grape,melon",
    "V": "car,train,bus,boat,van",
    "E": "camera,phone,printer,speaker,fan",
    "H": "bob hair,permed hair,plaited hair",
}
_WAYS = {
    "A": "mountain desert forest river northern southern giant dwarf striped spotted",
    "F": "wild garden winter summer early late giant dwarf sweet sour",
    "V": "touring racing city family police rescue school toy vintage electric",
    "E": "pocket desk wall travel toy studio kitchen office wireless folding",
    "H": "short long loose tight wavy curly straight layered dyed blunt",
}
#: Parts, with one phrase per color; the rare comma is upstream's.
_PARTS = {
    "A": "a {} nose|a {} belly|a {} back|{} legs|{} feet|{} ears|{} eyes|a long, {} tail|{} lips|{} fur",
    "F": "a thin, {} skin|{} flesh|{} seeds|{} leaves",
    "V": "{} wheels|{} doors|{} seats|{} lights|{} stripes|a flat, {} roof",
    "E": "{} buttons|{} edges|{} feet|a {} case|a long, {} cable",
    "H": "",
}
#: What the other attributes of a super-class are about, with upstream's full-width character.
_SIZE = {"A": "weighs ＞ {} kg", "F": "weighs ＞ {} g", "V": "seats ＞ {} people", "E": "works ＞ {} hours"}
_LENGTH = "is ＞ {} cm long"
_CHINESE = "颜色：是"


def _classes() -> list[tuple[str, str]]:
    """(label id, English name) of all classes."""
    rows = []
    for letter, (_, _, count) in _SUPER.items():
        for number in range(1, count + 1):
            kind, way = divmod(number - 1, 10)
            name = f"{_WAYS[letter].split()[way]} {_KINDS[letter].split(',')[kind]}"
            rows.append((f"Label_{letter}_{number:02d}", name if number > 1 else name.split(" ", 1)[1]))
    return rows


def _attributes() -> list[tuple[str, str, str]]:
    """(attribute id, group, phrase); a few phrases have a full-width character, as upstream's do."""
    rows = []
    for letter, (first, end, _) in _SUPER.items():
        parts = _PARTS[letter].split("|") if _PARTS[letter] else []
        phrases = [("color", f"is {color}") for color in text.COLORS]
        phrases += [("parts", f"has {_colored(part, color)}") for part in parts for color in text.COLORS]
        rest = end - first - len(phrases)
        size = _SIZE.get(letter, _LENGTH)
        phrases += [("size", size.format(10 * step)) for step in range(1, rest + 1)]
        rows += [
            (f"Attr_{letter}_{offset:03d}", group, phrase)
            for offset, (group, phrase) in enumerate(phrases, start=1)
        ]
    return rows


def _colored(part: str, color: str) -> str:
    """The part in that color, with the right article."""
    if part.startswith("a {}"):
        return text.article(part.removeprefix("a ").format(color))
    return part.format(color)


def generate(mini: Miniature) -> None:
    classes, attributes = _classes(), _attributes()
    with ExitStack() as stack:
        lists = stack.enter_context(mini.pack("LAD_annotations.zip"))
        images = stack.enter_context(mini.pack("LAD_images.zip"))
        chinese = (phrase.replace(",", "，") for _, _, phrase in attributes)
        rows = (
            f"{key}, {group}: {phrase}, {_CHINESE}{other}"
            for (key, group, phrase), other in zip(attributes, chinese, strict=True)
        )
        lists.write_lines("LAD_annotations/attribute_list.txt", rows)
        labels = (f"{key}, {name}, 类{place}" for place, (key, name) in enumerate(classes))
        lists.write_lines("LAD_annotations/label_list.txt", labels)
        means = (f"{key}, [ {_vector(mini, key, 0.2, whole=False)} ]" for key, _ in classes)
        lists.write_lines("LAD_annotations/attributes_per_class.txt", means)
        unseen = (
            ", ".join(mini.rng("unseen", line).sample([key for key, _ in classes], 46)) for line in range(5)
        )
        rows = (f"Unseen_List_{line + 1}: {keys}" for line, keys in enumerate(unseen))
        lists.write_lines("LAD_annotations/split_zsl.txt", rows)
        add_vector = stack.enter_context(lists.lines("LAD_annotations/attributes.txt"))
        add_image = stack.enter_context(lists.lines("LAD_annotations/images.txt"))
        for index in range(2 * mini.n):
            # steps far apart, so that a small tree has every super-class
            label, name = classes[index * 47 % len(classes)]
            key = mini.hex_id(32, index)
            path = f"images/{label[6]}_{name.replace(' ', '_')}/{key}.jpg"
            x1, y1 = mini.rng("box", index).randint(0, 20), mini.rng("box", index, "y").randint(0, 20)
            add_image(f"img_{index:06d}, {label}, [{y1}, {x1}, 90, 120], {path}")
            phrases: list[str] = []
            if index < mini.n:
                vector = _vector(mini, index, 0.0 if index % 30 == 8 else 0.06, letter=label[6])
                add_vector(f"{label}, {path}, [ {vector} ]")
                true = [place for place, value in enumerate(vector.split()) if value == "1"]
                phrases = [attributes[place][2] for place in true]
                _truth(mini, key, label, name, phrases)
            card = partial(draw.caption_card, f"{name}: {', '.join(phrases)}", (240, 160), note=key)
            images.image(f"LAD_images/{path}", card)


def _vector(mini: Miniature, key: object, part: float, *, letter: str = "", whole: bool = True) -> str:
    """359 values in the order of the list; only attributes of its own super-class can be 1."""
    rng = mini.rng("vector", key)
    first, end, _ = _SUPER.get(letter, (0, 359, 0))
    if whole:
        return " ".join(str(int(first <= place < end and rng.random() < part)) for place in range(359))
    return " ".join(f"{rng.random() * part:.2f}" for _ in range(359))


def _truth(mini: Miniature, key: str, label: str, name: str, phrases: list[str]) -> None:
    if phrases:
        what = f"hairstyle in the image is {name}"
        if "_H_" not in label:
            what = f"object in the image is {text.article(name)}"
        before = f"{', '.join(phrases[:-1])} and " if len(phrases) > 1 else ""
        target = f"The {what}. It {before}{phrases[-1]}."
        mini.truth("caption_lad_detailed", key, target=target.replace("＞", "more than"))
    else:
        mini.truth("caption_lad_detailed", key, dropped="no attribute")
