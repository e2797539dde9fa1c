"""The sizes that a pickle claims are compared with it before memory is taken."""

from __future__ import annotations

import pickle
import pickletools
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.console import ROOT, environment
from vision_flan.errors import BadRawError
from vision_flan.readers.pickle_sizes import _TABLE, _UNKNOWN, check_sizes
from vision_flan.readers.pickled import restricted_loads

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.binary().map(bytearray),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)
    | st.frozensets(st.integers()),
    max_leaves=20,
)  # fmt: skip
TOO_MUCH = struct.pack("<Q", 1 << 40)
#: An opcode that announces bytes, with a number that no file has.
CLAIMS = {
    "BINSTRING": b"T\xff\xff\xff\x7f",
    "BINUNICODE": b"X\xff\xff\xff\xff",
    "BINUNICODE8": b"\x8d" + TOO_MUCH,
    "BINBYTES": b"B\xff\xff\xff\xff",
    "BINBYTES8": b"\x8e" + TOO_MUCH,
    "BYTEARRAY8": b"\x96" + TOO_MUCH,
    "SHORT_BINBYTES": b"C\xff",
    "SHORT_BINUNICODE": b"\x8c\xff",
    "SHORT_BINSTRING": b"U\xff",
    "LONG1": b"\x8a\xff",
    "LONG4": b"\x8b\xff\xff\xff\x7f",
    "FRAME": b"\x95" + TOO_MUCH,
    "LONG_BINPUT": b"Nr\xff\xff\xff\x7f",
}


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_a_pickle_that_holds_what_it_says_passes(value: object, protocol: int) -> None:
    check_sizes(pickle.dumps(value, protocol))


def test_every_opcode_of_python_is_known() -> None:
    known = {ord(opcode.code) for opcode in pickletools.opcodes}
    assert {code for code in range(256) if _TABLE[code] != _UNKNOWN} == known


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_allocates_nothing(claim: str) -> None:
    data = b"\x80\x05" + CLAIMS[claim] + b"x."
    with pytest.raises(BadRawError, match=r"claims [0-9,]+ "):
        restricted_loads(data, "x.pkl")
    with pytest.raises(pickle.UnpicklingError):
        check_sizes(data)


def test_a_claim_of_a_bytearray_prints_nothing() -> None:
    """CPython 3.11 prints that a bytearray has exported buffers where there is no memory for it."""
    script = (
        "from vision_flan.readers.pickled import restricted_loads\n"
        "try:\n    restricted_loads(b'\\x80\\x05\\x96' + (1 << 46).to_bytes(8, 'little'), 'x.pkl')\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    assert (done.stdout, done.stderr) == ("BadRawError\n", "")


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL), st.data())
def test_a_pickle_that_is_cut_is_refused(value: object, protocol: int, data: st.DataObject) -> None:
    whole = pickle.dumps(value, protocol)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(pickle.UnpicklingError):
        check_sizes(cut)
