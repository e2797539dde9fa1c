"""The nearest names to one that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def did_you_mean(name: str, known: Collection[str], otherwise: str) -> str:
    """The next step after an unknown name: one to three near ones, or `otherwise` where none is near."""
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f"did you mean {', '.join(folded[one] for one in near)}?" if near else otherwise
