"""CORe50: frames of videos in folders of session and object, in archives of two sizes.

`n` counts frames over eleven sessions and fifty objects. Most exist in the small size only; every twelfth is
one that the hand tracker lost, which only the archive of whole frames has; every 24th is in both. `source_id`
is the file's stem, `C_09_41_288`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_CATEGORIES = (
    "plug adapter",
    "cell phone",
    "scissors",
    "light bulb",
    "can",
    "glasses",
    "ball",
    "marker",
    "cup",
    "remote control",
)
_TEST_SESSIONS = (3, 7, 10)


def generate(mini: Miniature) -> None:
    with mini.pack("core50_128x128.zip") as cut, mini.pack("core50_350x350.zip") as whole:
        for index in range(mini.n):
            session = index % 11 + 1
            thing = index * 7 % 50 + 1
            frame = index // 550 * 2 + index % 2  # gaps: frames where the tracker lost the hand
            name = f"C_{session:02d}_{thing:02d}_{frame:03d}"
            category = _CATEGORIES[(thing - 1) // 5]
            path = f"s{session}/o{thing}/{name}.png"
            if index % 12 != 5:
                _frame(cut, f"core50_128x128/{path}", 128, category, session)
            if index % 12 == 5 or index % 24 == 16:
                _frame(whole, f"core50_350x350/{path}", 350, category, session)
            if session in _TEST_SESSIONS:
                mini.truth("object_core50", name, dropped="a session of the test set")
            else:
                mini.truth("object_core50", name, target=category)


def _frame(tree: Tree, path: str, side: int, category: str, session: int) -> None:
    note = f"in a hand, session {session}"
    tree.image(path, lambda: draw.caption_card(category, (side, side), note=note))
