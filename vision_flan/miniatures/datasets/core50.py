"""CORe50: frames of videos in folders of session and object.

`n` counts frames over eleven sessions and fifty objects. `source_id` is the file's stem, `C_09_41_288`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_CATEGORIES = (
    "plug adapter",
    "mobile phone",
    "scissors",
    "light bulb",
    "can",
    "glass",
    "ball",
    "marker",
    "cup",
    "remote control",
)
_TEST_SESSIONS = (3, 7, 10)


def generate(mini: Miniature) -> None:
    with mini.pack("core50_128x128.zip") as tree:
        for index in range(mini.n):
            session = index % 11 + 1
            thing = index * 7 % 50 + 1
            frame = index // 550 * 2 + index % 2  # gaps: frames where the tracker lost the hand
            name = f"C_{session:02d}_{thing:02d}_{frame:03d}"
            category = _CATEGORIES[(thing - 1) // 5]
            card = draw.caption_card(category, (128, 128), note=f"in a hand, session {session}")
            tree.image(f"core50_128x128/s{session}/o{thing}/{name}.png", card)
            if session in _TEST_SESSIONS:
                mini.truth("object_core50", name, dropped="a session of the test set")
            else:
                mini.truth("object_core50", name, target=category)
