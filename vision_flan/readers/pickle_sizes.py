"""Whether the sizes that a pickle claims fit into it; looked at before anything is allocated.

The unpickler of the standard library takes memory for the bytes that an opcode announces before it reads
them, and for a memo of any number. So the opcodes are walked once, without their meaning.
"""

from __future__ import annotations

import pickle
from typing import Final

_LINE, _TWO_LINES, _COUNTED, _UNKNOWN = -1, -2, -3, -4

_NO_ARGUMENT: Final = b"(.012QRabd}elo])stu\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98N"
_FIXED: Final = {b"J": 4, b"K": 1, b"M": 2, b"G": 8, b"h": 1, b"j": 4, b"q": 1, b"r": 4, b"\x80": 1,
                 b"\x82": 1, b"\x83": 2, b"\x84": 4, b"\x95": 8}  # fmt: skip
_LINES: Final = b"FILPSVgp"
#: Opcodes that say how many bytes follow -> bytes of that number.
_WIDTHS: Final = {b"T"[0]: 4, b"U"[0]: 1, b"X"[0]: 4, b"B"[0]: 4, b"C"[0]: 1, 0x8A: 1, 0x8B: 4, 0x8C: 1,
                  0x8D: 8, 0x8E: 8, 0x96: 8}  # fmt: skip
_STOP, _LONG_BINPUT, _FRAME = b"."[0], b"r"[0], 0x95


def _table() -> list[int]:
    table = [_UNKNOWN] * 256
    for code in _NO_ARGUMENT:
        table[code] = 0
    for name, size in _FIXED.items():
        table[name[0]] = size
    for code in _LINES:
        table[code] = _LINE
    for code in b"ci":
        table[code] = _TWO_LINES
    for code in _WIDTHS:
        table[code] = _COUNTED
    return table


_TABLE: Final = _table()


def check_sizes(data: bytes) -> None:
    """Refuse a pickle that announces more than it holds.

    Raises:
        pickle.UnpicklingError: it does, is cut, or has an opcode that there is not.
    """
    at, end = 0, len(data)
    while at < end:
        code = data[at]
        size = _TABLE[code]
        if size >= 0:
            if code == _STOP:
                return
            at += 1 + size
            if code in (_LONG_BINPUT, _FRAME):
                claimed = int.from_bytes(data[at - size : at], "little")
                if claimed > end:
                    raise pickle.UnpicklingError(f"it claims {claimed:,} of {end:,} bytes")
        elif size == _COUNTED:
            width = _WIDTHS[code]
            claimed = int.from_bytes(data[at + 1 : at + 1 + width], "little")
            at += 1 + width + claimed
            if at > end:
                raise pickle.UnpicklingError(f"it claims {claimed:,} bytes, and has {end:,} in all")
        elif size == _UNKNOWN:
            raise pickle.UnpicklingError(f"invalid opcode {code:#x}")
        else:
            for _ in range(-size):
                at = data.find(b"\n", at + 1)
                if at < 0:
                    raise pickle.UnpicklingError("it is cut within a line")
            at += 1
    raise pickle.UnpicklingError("it is cut")
