"""`vflan audit`: made images of each kind are found, and ordinary ones are not."""

from __future__ import annotations

import io
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.review.phone import on_phone
from tests.review.test_duplicates import encoded, scene
from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.spec.catalog import Catalog

#: Kind of finding -> an image that has it, made of an ordinary one.
ODD: dict[str, Callable[[Image.Image], Image.Image]] = {
    "dark": lambda image: image.point(lambda value: value // 8),
    "bright": lambda image: image.point(lambda value: 250 + value // 64),
    "blurry": lambda image: image.filter(ImageFilter.GaussianBlur(12)).point(lambda value: value * 2 // 3),
    "uniform": lambda image: Image.new("RGB", image.size, (120, 130, 140)),
    "odd_aspect": lambda image: image.resize((320, 40)),
    "odd_size": lambda image: image.resize((2400, 1800)),
}
Audited = Callable[..., dict[str, object]]


@pytest.fixture
def audited(toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Audited:
    """Types `vflan audit --json`; returns what it prints."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))

    def typed(*arguments: str) -> dict[str, object]:
        capsys.readouterr()
        assert run(vflan, ["audit", str(toy.out), *arguments, "--json"]) == ExitCode.OK
        printed: dict[str, object] = json.loads(capsys.readouterr().out)
        return printed

    return typed


def write(toy: Toy, images: dict[str, tuple[bytes, str]]) -> None:
    """Compile these images, by name with their color."""
    for name, (data, _) in images.items():
        (toy.raw / "toy/images" / name).write_bytes(data)
    toy.write_records([{"name": name, "color": color} for name, (_, color) in images.items()])
    toy.compile()


def found(printed: dict[str, object], kind: str) -> set[str]:
    findings = printed["findings"]
    assert isinstance(findings, list)
    return {one["id"].removeprefix("toy_color/") for one in findings if one["kind"] == kind}


def ordinary(n: int) -> dict[str, tuple[bytes, str]]:
    return {f"scene-{i}": (encoded(scene(i)), "rgby"[i % 4]) for i in range(n)}


@pytest.mark.parametrize("kind", list(ODD))
def test_an_image_of_each_kind_is_found_among_ordinary_ones(toy: Toy, audited: Audited, kind: str) -> None:
    odd = encoded(ODD[kind](scene(99)), "PNG")
    write(toy, ordinary(11) | {"odd": (odd, "r")})
    printed = audited()
    assert found(printed, kind) == {"odd"}
    tasks = printed["tasks"]
    assert isinstance(tasks, dict) and tasks["toy_color"][kind] == 1 and printed["images"] == 12


def test_ordinary_images_have_no_findings(toy: Toy, audited: Audited) -> None:
    write(toy, ordinary(16))
    assert audited("--outlier", "0")["findings"] == []


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("--dark", "0.999", "dark"),
        ("--bright", "0.999", "bright"),
        ("--blurry", "1", "blurry"),
        ("--uniform", "1", "uniform"),
        ("--odd-aspect", "0.8", "odd_aspect"),
        ("--odd-size", "0", "odd_size"),
    ],
)
def test_each_limit_is_an_option(toy: Toy, audited: Audited, option: str, value: str, kind: str) -> None:
    images = {
        f"{width}": (encoded(scene(width).resize((width, width * 3 // 4))), "r")
        for width in range(300, 440, 20)
    }
    write(toy, images)
    assert found(audited(), kind) == set()
    assert found(audited(option, value), kind)


def test_two_answers_for_one_image_are_a_pair(toy: Toy, audited: Audited) -> None:
    """Exact and near; an image with the same answer twice is a duplicate, which is another command's."""
    images = ordinary(12)
    images["scene-0-again"] = (images["scene-0"][0], "g")
    images["scene-1-smaller"] = (encoded(scene(1).resize((160, 120))), "b")
    images["scene-2-again"] = (images["scene-2"][0], images["scene-2"][1])
    write(toy, images)
    printed = audited()
    pairs = found(printed, "two_answers")
    assert len(pairs & {"scene-0", "scene-0-again"}) == len(pairs & {"scene-1", "scene-1-smaller"}) == 1
    assert len(pairs) == 2
    notes = [one["note"] for one in printed["findings"] if one["kind"] == "two_answers"]  # type: ignore[index, attr-defined]
    assert any("the same image" in note and "'red'" in note and "'green'" in note for note in notes)
    assert any("of 64 bits away" in note for note in notes)
    assert len(found(audited("--bits", "0"), "two_answers")) <= 2


def test_answers_that_are_swapped_look_like_the_others(toy: Toy, audited: Audited) -> None:
    draw = np.random.default_rng(0)
    hues = {"r": (200, 40, 40), "g": (40, 170, 50), "b": (40, 60, 210)}

    def of_class(color: str) -> bytes:
        noise = draw.normal(0, 12, (24, 24, 3)) + np.array(hues[color])
        out = io.BytesIO()
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(out, "PNG")
        return out.getvalue()

    images = {f"{color}{i}": (of_class(color), color) for color in hues for i in range(12)}
    write(toy, images)
    assert found(audited(), "outlier") == set()
    images["r3"], images["g5"] = (images["r3"][0], "g"), (images["g5"][0], "r")
    write(toy, images)
    printed = audited()
    assert found(printed, "outlier") == {"r3", "g5"}
    notes = [one["note"] for one in printed["findings"] if one["kind"] == "outlier"]  # type: ignore[index, attr-defined]
    assert all("may be swapped with toy_color/" in note for note in notes)
    assert found(audited("--outlier", "0"), "outlier") == set()


def test_a_sample_is_spread_over_the_task(toy: Toy, audited: Audited) -> None:
    write(toy, ordinary(20))
    assert audited("--sample", "5")["images"] == 5
    assert audited("--sample", "500")["images"] == 20


def test_an_image_that_cannot_be_decoded_is_counted(toy: Toy, audited: Audited) -> None:
    """A PNG whose chunks have their checksums passes a compile, whatever its pixels are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    damaged = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"no pixels") + chunk(b"IEND", b"")
    write(toy, ordinary(6) | {"damaged": (damaged, "r")})
    printed = audited()
    assert printed["images_not_read"] == {"broken_image": 1} and printed["images"] == 6


def test_the_page_shows_the_images_and_escapes_what_it_is_given(
    toy: Toy, audited: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.write_specs(dataset=(toy.specs / "toy/dataset.yaml").read_text().replace("r: red", "r: <b>red</b>"))
    dark = encoded(ODD["dark"](scene(50)))
    images = ordinary(10) | {"dark": (dark, "r"), "again": (encoded(scene(0)), "g")}
    write(toy, images)
    out = tmp_path / "audit.html"
    assert run(vflan, ["audit", str(toy.out), "--out", str(out), "--n", "1"]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].startswith("12 images of 1 task: ")
    assert "dark: even the brightest hundredth of the image is: 1" in shown and "toy_color/dark" in shown
    html = out.read_text("utf-8")
    assert "<script" not in html and "<b>red" not in html
    with on_phone(out) as page:
        assert page.locator("img").count() >= 2


def test_without_cleanvision_it_says_what_to_install(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.compile()
    monkeypatch.setitem(sys.modules, "cleanvision.issue_managers.image_property_issue_manager", None)
    assert run(vflan, ["audit", str(toy.out)]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "vision-flan[review]" in said and "looking at" not in said
