"""CLEVR-CoGenT: CLEVR's layout, in conditions A and B that differ in which shapes have which colors.

`n` counts trainA questions; each val gets a tenth, each test a twentieth. `source_id` is as for CLEVR, with
the split's name: `CLEVR_trainA_<question_index>`, `CLEVR_trainA_<6 digits>`.
"""

from __future__ import annotations

from vision_flan.miniatures.datasets import clevr
from vision_flan.miniatures.miniature import Miniature

_SOME = ("gray", "blue", "brown", "yellow")
_REST = ("red", "green", "purple", "cyan")
_A = {"cube": _SOME, "cylinder": _REST}
_B = {"cube": _REST, "cylinder": _SOME}


def generate(mini: Miniature) -> None:
    splits = {"trainA": 1.0, "valA": 0.1, "valB": 0.1, "testA": 0.05, "testB": 0.05}
    colors = {split: _A if split.endswith("A") else _B for split in splits}
    clevr.write_release(mini, clevr.Release("CLEVR_CoGenT_v1.0", splits, "trainA", "clevr_cogent", colors))
