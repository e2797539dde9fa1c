"""RAVEN: matrix problems of 16 panels as npz, with the rules in XML beside each.

`n` counts problems over the seven configurations; problem k is train where k mod 10 is 0 to 5. `source_id` is
the path of the npz below RAVEN-10000 without suffix, `center_single/RAVEN_0_train`.
"""

from __future__ import annotations

from random import Random
from xml.sax.saxutils import quoteattr

import numpy as np

from vision_flan.miniatures import formats, scenes
from vision_flan.miniatures.miniature import Miniature

Slot = tuple[float, float, float, float]


def _grid(side: int, top: float = 0.0, left: float = 0.0, span: float = 1.0) -> list[Slot]:
    cell = span / side
    steps = [(place + 0.5) * cell for place in range(side)]
    return [(top + y, left + x, cell, cell) for y in steps for x in steps]


#: Slots (center y, center x, height, width) of each component, as parts of the panel.
_CONFIGS: dict[str, list[list[Slot]]] = {
    "center_single": [_grid(1)],
    "distribute_four": [_grid(2)],
    "distribute_nine": [_grid(3)],
    "in_center_single_out_center_single": [_grid(1), [(0.5, 0.5, 0.33, 0.33)]],
    "in_distribute_four_out_center_single": [_grid(1), _grid(2, 0.3, 0.3, 0.4)],
    "left_center_single_right_center_single": [[(0.5, 0.25, 0.5, 0.5)], [(0.5, 0.75, 0.5, 0.5)]],
    "up_center_single_down_center_single": [[(0.25, 0.5, 0.5, 0.5)], [(0.75, 0.5, 0.5, 0.5)]],
}
_RULES = ("Constant", "Progression", "Distribute_Three")
#: Values of one component in one panel: number of entities, type, size, color.
Values = dict[str, int]
#: Lowest and highest value of each attribute.
Ranges = dict[str, tuple[int, int]]


def generate(mini: Miniature) -> None:
    with mini.pack("RAVEN-10000.zip") as tree:
        for index in range(mini.n):
            config = list(_CONFIGS)[index % len(_CONFIGS)]
            k = index // len(_CONFIGS)
            split = "train" if k % 10 < 6 else "val" if k % 10 < 8 else "test"
            name = f"{config}/RAVEN_{k}_{split}"
            rng = mini.rng(index)
            ranges = [_ranges(config, place) for place in range(len(_CONFIGS[config]))]
            rules = [_rules(rng, limits) for limits in ranges]
            tables = [_table(rng, limits, rule) for limits, rule in zip(ranges, rules, strict=True)]
            cells = [[table[place] for table in tables] for place in range(9)]
            choices, target = _choices(rng, cells[8], ranges)
            images = np.stack([_draw(config, panel) for panel in [*cells[:8], *choices]])
            structure = ["Scene", "Singleton", "Grid", config, "/", "/", "/", "/"]
            # copies made with upstream's generator hold wider integers
            data = formats.npz(
                image=images.astype(np.int64) if index % 20 == 9 else images,
                target=np.array(target),
                predict=np.array(target),
                structure=np.array(structure, dtype=object if index % 20 == 19 else str),
                meta_matrix=np.zeros((8, 9), dtype=np.uint8),
                meta_target=np.zeros(9, dtype=np.uint8),
                meta_structure=np.zeros(21, dtype=np.uint8),
            )
            tree.write_bytes(f"RAVEN-10000/{name}.npz", data)
            tree.write_text(f"RAVEN-10000/{name}.xml", _xml(config, [*cells[:8], *choices], rules))
            if split == "train":
                mini.truth("reasoning_raven", name, target=f"Option {target + 1}")


def _ranges(config: str, place: int) -> Ranges:
    """The outer shape: white and large, so that the inner ones are visible."""
    around = config.startswith("in_") and place == 0
    return {
        "Number": (1, len(_CONFIGS[config][place])),
        "Type": (1, 5),
        "Size": (3 if around else 0, 5),
        "Color": (0, 0 if around else 9),
    }


def _rules(rng: Random, ranges: Ranges) -> dict[str, str]:
    return {
        name: rng.choice(_RULES) if high - low >= 2 else "Constant" for name, (low, high) in ranges.items()
    }


def _table(rng: Random, ranges: Ranges, rules: dict[str, str]) -> list[Values]:
    """Values of the nine cells, row by row, each attribute following its rule."""
    columns: dict[str, list[int]] = {}
    for name, rule in rules.items():
        columns[name] = [value for row in _rows(rng, rule, *ranges[name]) for value in row]
    return [{name: values[cell] for name, values in columns.items()} for cell in range(9)]


def _rows(rng: Random, rule: str, low: int, high: int) -> list[list[int]]:
    if rule == "Constant":
        return [[rng.randint(low, high)] * 3 for _ in range(3)]
    if rule == "Progression":  # by one or two in every row
        step = rng.choice((1, 2) if high - low >= 4 else (1,))
        starts = [rng.randint(low, high - 2 * step) for _ in range(3)]
        return [[start, start + step, start + 2 * step] for start in starts]
    three = rng.sample(range(low, high + 1), 3)
    return [three[turn:] + three[:turn] for turn in range(3)]


def _choices(rng: Random, right: list[Values], ranges: list[Ranges]) -> tuple[list[list[Values]], int]:
    """Eight different panels: the right one, and seven that differ from it in one or two values."""
    wrong: list[list[Values]] = []
    while len(wrong) < 7:
        panel = [dict(values) for values in right]
        for _ in range(1 + len(wrong) // 5):
            place, name = rng.randrange(len(panel)), rng.choice(("Type", "Size", "Color"))
            panel[place][name] = rng.randint(*ranges[place][name])
        if panel != right and panel not in wrong:
            wrong.append(panel)
    target = rng.randrange(8)
    return [*wrong[:target], right, *wrong[target:]], target


def _draw(config: str, panel: list[Values]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    entities: list[scenes.Entity] = []
    for slots, values in zip(_CONFIGS[config], panel, strict=True):
        for slot in slots[: values["Number"]]:
            entities.append((slot, values["Type"], values["Size"], values["Color"]))
    return scenes.panel(entities)


def _xml(config: str, panels: list[list[Values]], rules: list[dict[str, str]]) -> str:
    parts = ["<Data><Panels>"]
    for panel in panels:
        parts.append(f'<Panel><Struct name="{config}">')
        for place, (slots, values) in enumerate(zip(_CONFIGS[config], panel, strict=True)):
            layout = [list(slot) for slot in slots]
            parts.append(
                f'<Component id="{place}" name="Grid"><Layout id="0" name="{config}" '
                f'Number="{values["Number"] - 1}" Position={quoteattr(str(layout))} Uniformity="1">'
            )
            for slot in slots[: values["Number"]]:
                numbers = " ".join(f'{name}="{values[name]}"' for name in ("Type", "Size", "Color"))
                parts.append(f'<Entity bbox="{list(slot)}" {numbers} Angle="3"/>')
            parts.append("</Layout></Component>")
        parts.append("</Struct></Panel>")
    parts.append("</Panels><Rules>")
    for place, component in enumerate(rules):
        inside = "".join(
            f'<Rule attr="{"Number/Position" if attribute == "Number" else attribute}" name="{rule}"/>'
            for attribute, rule in component.items()
        )
        parts.append(f'<Rule_Group id="{place}">{inside}</Rule_Group>')
    return "".join([*parts, "</Rules></Data>\n"])
