"""LFW: news portraits, one folder per person, with lists of people beside them.

`n` counts images. `source_id` is the file name without suffix, `Pete_Sampras_0001`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_FIRST = text.listed("Abdullah Aaron Ana Jean-Pierre Mary Pete Queen Serena Hu Kofi")
_LAST = text.listed(
    "al-Attiyah Sampras Guevara Raffarin-Noir Carey Beatrix de_la_Rua O_Neal Jintao Annan Rice"
)


def generate(mini: Miniature) -> None:
    people = max(mini.n // 2, 1)
    counts = [mini.n // people + (person < mini.n % people) for person in range(people)]
    with mini.pack("lfw.tgz") as tree, mini.lines("lfw-names.txt") as add:
        for person, count in enumerate(counts):
            name = _name(person, mini.seed)
            add(f"{name}\t{count}")
            for number in range(1, count + 1):
                stem = f"{name}_{number:04d}"
                portrait = draw.caption_card(name.replace("_", " "), (125, 125), note=str(number))
                tree.image(f"lfw/{name}/{stem}.jpg", portrait)
                mini.truth("face_lfw", stem, target=name.replace("_", " "))
    # the aligned images, which must not be mixed in, and a list among them
    mini.image(f"lfw_funneled/{_name(0, mini.seed)}/{_name(0, mini.seed)}_0001.jpg", draw.blank((32, 32)))
    mini.write_text("lfw_funneled/pairs_01.txt", "300\n")
    mini.write_text("peopleDevTrain.txt", f"1\n{_name(0, mini.seed)}\t{counts[0]}\n")


def _name(person: int, seed: int) -> str:
    """A name for each number; with a middle name from the 111th person on."""
    round_, place = divmod(person + seed, len(_FIRST) * len(_LAST))
    first, last = _FIRST[place % len(_FIRST)], _LAST[place // len(_FIRST)]
    return f"{first}_{last}" if not round_ else f"{first}_{_numeral(round_)}_{last}"


def _numeral(number: int) -> str:
    """Letters for a number from 1: A, B ... Z, AA."""
    letters = ""
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters
