"""Images that are programs, containers of other things, or far larger inside: dropped and counted, in time."""

# ruff: noqa: E501 - an attempt is a line

from __future__ import annotations

import os
import re
import struct
import zlib

import pytest

from tests.security.conftest import Victim
from tests.toy import square


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, width: int = 8, height: int = 8) -> bytes:
    """A PNG of white pixels with more chunks before them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\xff" * 24) * 8)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BOMB = zlib.compress(b"a" * 300_000_000, 9)
FRAME = struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 10, 0, 0)
GIF = b"GIF89a\x08\0\x08\0\x80\0\0\0\0\0\xff\xff\xff"
GIF_FRAME = b",\0\0\0\0\x08\0\x08\0\0\x02\x07\x84\x8f\xa9\xcb\xed\x0f\xa3\x9c\xb4\x05\0"
#: Formats that Pillow reads by another program, or that no `datasets` shows as an image.
NO_IMAGES = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(OUT) (w) file closefile\nshowpage\n",
    "PostScript in a DOS file": b"\xc5\xd0\xd3\xc6" + struct.pack("<6IH", 30, 60, 0, 0, 0, 0, 0xFFFF)
    + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    "a PDF": b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/Launch/F(id)>>>>endobj\n%%EOF\n",
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/><script>x</script></svg>',
    "an SVG with entities": b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/hostname">]><svg><text>&x;</text></svg>',
    "a page": b"<html><img src=x onerror=alert(1)></html>",
    "a WMF": b"\xd7\xcd\xc6\x9a\0\0" + b"\0" * 60,
    "a video": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0" * 200,
    "a sound": b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40,
    "a movie of MPEG": b"\0\0\1\xb3" + b"\0" * 200,
    "a database": b"SQLite format 3\0" + b"\0" * 200,
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + b"\0" * 200,
    "an archive": b"PK\x05\x06" + b"\0" * 18,
    "a program": b"\x7fELF\2\1\1" + b"\0" * 200,
    "a script": b"#!/bin/sh\ntouch OUT\n",
    "an XPM": b'/* XPM */\nstatic char *x[] = {"8 8 1 1", "a c #fff"};\n',
    "a font": b"\0\1\0\0" + b"\0" * 200,
    "a file of MATLAB": b"MATLAB 5.0 MAT-file".ljust(128) + b"\0" * 100,
}  # fmt: skip
#: Images that are more than they look; each is dropped, or taken as it is, in time and memory.
LARGE = {
    "a text of PNG that inflates": png(chunk(b"zTXt", b"Comment\0\0" + BOMB)),
    "a profile of PNG that inflates": png(chunk(b"iCCP", b"x\0\0" + BOMB)),
    "an international text of PNG that inflates": png(chunk(b"iTXt", b"x\0\1\0\0\0" + BOMB)),
    "a PNG with 200,000 texts": png(chunk(b"tEXt", b"a\0b") * 200_000),
    "a PNG of a million frames": png(chunk(b"acTL", struct.pack(">II", 1_000_000, 0)), chunk(b"fcTL", FRAME)),
    "a PNG of pixels that inflate": png(width=30_000, height=30_000),
    "a GIF of 100,000 frames": GIF + GIF_FRAME * 100_000 + b";",
    "a GIF with comments without end": GIF + b"!\xfe" + (b"\xff" + b"a" * 255) * 50_000,
    "a JPEG with a profile of 255 pieces": b"\xff\xd8"
    + (b"\xff\xe2\xff\xffICC_PROFILE\0\1\xff" + b"a" * 65519) * 255 + square("r", "JPEG")[2:],
    "a JPEG with a record that points to itself": b"\xff\xd8\xff\xe1\0\x1eExif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0"
    + square("r", "JPEG")[2:],
    "a JPEG and an archive in one": square("r", "JPEG") + b"PK\3\4" + b"\0" * 500,
    "a TIFF of a million pages": b"II*\0\x08\0\0\0" + b"\0\0\x0e\0\0\0" * 1_000_000,
    "a TIFF whose strips are elsewhere": square("r", "TIFF").replace(struct.pack("<I", 8), struct.pack("<I", 1 << 31)),
    "an icon of many images": b"\0\0\1\0\xff\xff" + (b"\0\0\0\0\1\0\x20\0" + struct.pack("<II", 1 << 30, 22)) * 65535,
}  # fmt: skip


def compiled(victim: Victim, data: bytes) -> tuple[int, str]:
    (victim.raw / "toy/images/0000.png").write_bytes(data)
    code, said = victim.vflan(
        "compile", "--task", "toy_color", "--raw", str(victim.raw), "--out", str(victim.out),
        "--check-images", "full",
    )  # fmt: skip
    assert "Traceback" not in said
    assert "Corrupt EXIF" not in said and "TIFFRead" not in said  # what libraries print about damaged images
    victim.is_unharmed()
    return code, said


@pytest.mark.parametrize("attempt", NO_IMAGES)
def test_an_image_is_not(victim: Victim, attempt: str) -> None:
    outside = victim.home / "out"
    code, said = compiled(victim, NO_IMAGES[attempt].replace(b"OUT", os.fsencode(outside)))
    assert code == 0, said
    assert "dropped 1: " in said
    assert not outside.exists()


@pytest.mark.parametrize("attempt", LARGE)
def test_an_image_does_not_stall_or_fill_as(victim: Victim, attempt: str) -> None:
    code, said = compiled(victim, LARGE[attempt])
    assert code == 0, said
    assert "6 instances of 6 records" in said or "dropped 1: " in said, said
    code, said = victim.vflan("stats", str(victim.out), "--out", str(victim.root / "here/stats.html"))
    assert "Traceback" not in said


def bitmap(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 118, 0, 0, 54) + head + b"\0" * 64


def webp(width: int, height: int) -> bytes:
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return (
        b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + size + b"\0" * 8
    )


def tiff(*tags: tuple[int, int, int, int]) -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8) + b"\0" * 40


#: Images whose headers lie, and formats that only Pillow has: one command reads them all, and drops each.
LIES = [
    bitmap(30_000, 30_000), bitmap(2**31 - 1, 2**31 - 1), bitmap(8, -(2**31)), bitmap(0, 0), webp(16_383, 16_383), webp(1 << 24, 1 << 24),
    tiff((256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1)), tiff((256, 4, 2**32 - 1, 8), (257, 4, 1, 8)),
    square("r", "JPEG").replace(struct.pack(">BHH", 8, 8, 8), struct.pack(">BHH", 8, 65_500, 65_500), 1),
    b"P3 20000 20000 255\n" + b"1 " * 1000, b"P6 8 8 99999999999\n" + b"\0" * 200, b"P5 " + b"9" * 100_000 + b" 1 255\n",
    b"GIF89a\x08\0\x08\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;",
    b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 " + b"\x7f" * 100, b"8BPS\0\1" + b"\0" * 6 + b"\0\3" + b"\x7f" * 100,
    b"\x01\xda\1\1\0\3" + b"\xff" * 600, b"\0\0\2" + b"\0" * 9 + b"\xff" * 4 + b"\x18\0" + b"\0" * 10, b"DDS " + b"\x7f" * 200,
    b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0" + struct.pack("<II", 1 << 20, 22) + png(width=30_000, height=30_000),
    b"icns" + b"\x7f" * 100, b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + b"\xff" * 100, b"qoif" + b"\x7f" * 30,
    b"#define x_width 99999999\n#define x_height 99999999\nstatic char x_bits[] = {\n0x00};", b"SIMPLE  =                    T".ljust(2880),
    png(chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", FRAME))[:-20] + b"\xff" * 20,
]  # fmt: skip


def test_no_header_is_believed(victim: Victim) -> None:
    for number, data in enumerate(LIES):
        (victim.raw / f"toy/images/lie{number}.png").write_bytes(data)
    names = ["0001.png", *(f"lie{number}.png" for number in range(len(LIES)))]
    victim.write_records([{"name": name, "color": "r"} for name in names])
    code, said = victim.vflan(
        "compile", "--task", "toy_color", "--raw", str(victim.raw), "--out", str(victim.out),
        "--check-images", "full",
    )  # fmt: skip
    assert code == 0, said
    assert f"1 instances of {len(names)} records" in said
    assert sum(map(int, re.findall(r"dropped (\d+): ", said))) == len(LIES), said
    victim.is_unharmed()
