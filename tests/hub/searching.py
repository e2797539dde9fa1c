"""Searching bytes for pieces of images: what must not be sent must not be found in what a Hub received."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Bytes of a piece to search for, and how many pieces of an image are searched.
PIECE, PIECES = 8, 24
#: Pieces of its own with which an image is recognized.
_ENOUGH = 4


def leaked(kept: Sequence[bytes], gone: Sequence[bytes], received: Sequence[bytes]) -> list[int]:
    """Which images that must stay are in what was received, whole or a good part of their pixels.

    Drawings have flat parts in common, so pieces that images have which may go out are not searched for. A
    single piece may stand anywhere by chance, as the end of a PNG in the card's plot; a quarter of an image's
    pieces does not.

    Raises:
        AssertionError: hardly an image has pieces of its own, so nothing would be found.
    """
    signs = [pieces(content) for content in kept]
    shared = found_in(gone, np.unique(np.concatenate(signs)))
    own = [np.setdiff1d(sign, shared) for sign in signs]
    assert sum(len(sign) >= _ENOUGH for sign in own) > 0.9 * len(kept)
    found = found_in(received, np.unique(np.concatenate(own)))
    there = (int(np.isin(sign, found).sum()) for sign in own)
    return [
        at for at, (count, sign) in enumerate(zip(there, own, strict=True)) if count > max(1, len(sign) // 4)
    ]


def pieces(content: bytes) -> np.ndarray:
    """Pieces of an image's second half, where its pixels are, as numbers."""
    start = len(content) // 2
    step = max((len(content) - start - PIECE) // PIECES, 1)
    cut = (content[at : at + PIECE] for at in range(start, len(content) - PIECE + 1, step))
    return np.unique(np.frombuffer(b"".join(cut), "<u8"))


def found_in(contents: Sequence[bytes], wanted: np.ndarray) -> np.ndarray:
    """Those of the pieces wanted, sorted, that stand anywhere in the contents."""
    rare = np.zeros(1 << 16, bool)  # most windows are excluded by two of their bytes
    rare[(wanted & 0xFFFF).astype(np.uint16)] = True
    found: list[np.ndarray] = []
    for content in contents:
        for shift in range(min(PIECE, max(len(content) - PIECE + 1, 0))):
            count = (len(content) - shift) // PIECE
            windows = np.frombuffer(content, "<u8", count, shift)
            windows = windows[rare[(windows & 0xFFFF).astype(np.uint16)]]
            nearest = np.minimum(np.searchsorted(wanted, windows), len(wanted) - 1)
            found.append(windows[wanted[nearest] == windows])
    return np.unique(np.concatenate(found)) if found else wanted[:0]
