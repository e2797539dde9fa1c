"""`vflan duplicates`: what it finds of a made set whose duplicates are known, and what it leaves alone."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.real_samples import MISSING
from tests.toy import Toy
from vision_flan.build.compile import Options, compile_task
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.report import Silent
from vision_flan.review.duplicates import FURTHEST, USUAL, near_pairs
from vision_flan.spec.catalog import Catalog

Make = Callable[[Image.Image], bytes]
SCENES = 40


def scene(seed: int) -> Image.Image:
    """An image of its own: soft colors, and ellipses in front."""
    draw = np.random.default_rng(seed)
    soft = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    image = soft.resize((320, 240), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, width, height = (int(value) for value in draw.integers((0, 0, 10, 10), (320, 240, 90, 90)))
        color = tuple(int(value) for value in draw.integers(0, 256, 3))
        pen.ellipse([x, y, x + width, y + height], fill=color)
    return image


def encoded(image: Image.Image, kind: str = "JPEG", quality: int = 92) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, quality=quality)
    return out.getvalue()


def cropped(image: Image.Image, percent: int) -> bytes:
    """Cut at all four edges, together so many percent of width and height."""
    x, y = image.width * percent // 200, image.height * percent // 200
    return encoded(image.crop((x, y, image.width - x, image.height - y)))


CHANGES: dict[str, Make] = {
    "resized": lambda image: encoded(image.resize((image.width // 2, image.height // 2))),
    "quality": lambda image: encoded(image, quality=40),
    "webp": lambda image: encoded(image, "WEBP", 50),
    "flipped": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "cropped2": lambda image: cropped(image, 2),
    "cropped5": lambda image: cropped(image, 5),
    "cropped10": lambda image: cropped(image, 10),
}


def write(toy: Toy, images: dict[str, bytes], out: Path) -> Path:
    """Compile these images, by name, into a folder."""
    for name, data in images.items():
        (toy.raw / "toy/images" / name).write_bytes(data)
    toy.write_records([{"name": name, "color": "rgby"[i % 4]} for i, name in enumerate(images)])
    toy.compile(out=out)
    return out


@pytest.fixture
def found(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, object]]]:
    """Types `vflan duplicates --json`; returns the groups."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))

    def typed(*arguments: str) -> list[dict[str, object]]:
        capsys.readouterr()
        assert run(vflan, ["duplicates", *arguments, "--json"]) == ExitCode.OK
        groups: list[dict[str, object]] = json.loads(capsys.readouterr().out)["groups"]
        return groups

    return typed


def ids(group: dict[str, object]) -> set[str]:
    instances = group["instances"]
    assert isinstance(instances, list)
    return {str(one["id"]).removeprefix("toy_color/") for one in instances}


@pytest.mark.parametrize(
    ("change", "least"),
    [("resized", 1), ("quality", 1), ("webp", 1), ("flipped", 1), ("cropped2", 0.95), ("cropped5", 0.7)],
)
def test_precision_and_recall_on_a_made_set(
    toy: Toy, found: Callable[..., list[dict[str, object]]], change: str, least: float
) -> None:
    """Of every scene and its change it finds the pair; a group of two different scenes is a mistake."""
    images: dict[str, bytes] = {}
    for seed in range(SCENES):
        image = scene(seed)
        images |= {f"{seed}-original": encoded(image), f"{seed}-changed": CHANGES[change](image)}
    groups = [ids(group) for group in found(str(write(toy, images, toy.out)))]
    wrong = [group for group in groups if len({name.partition("-")[0] for name in group}) > 1]
    recall = len(groups) / SCENES
    print(f"{change}: recall {recall:.2f}, wrong groups {len(wrong)}")
    assert not wrong, "precision is 1"
    assert recall >= least


def test_the_same_bytes_are_exact_and_plain_images_are_not_alike(
    toy: Toy, found: Callable[..., list[dict[str, object]]]
) -> None:
    images = {f"plain-{i}": encoded(Image.new("RGB", (40 + i, 40), (20 * i, 0, 0))) for i in range(8)}
    images |= {"one": encoded(scene(1)), "again": encoded(scene(1)), "other": encoded(scene(2))}
    (group,) = found(str(write(toy, images, toy.out)))
    assert (group["kind"], group["scope"], ids(group)) == ("exact", "within", {"one", "again"})


def test_duplicates_across_tasks_and_with_a_benchmark_are_told_apart(
    toy: Toy, found: Callable[..., list[dict[str, object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = write(toy, {"b1": encoded(scene(3), quality=50), "b2": encoded(scene(9))}, toy.root / "bench")
    write(toy, {"one": encoded(scene(3)), "two": encoded(scene(4))}, toy.out)
    text = (toy.specs / "toy/toy_color.yaml").read_text()
    hue = text.replace("id: toy_color", "id: toy_hue").replace("alias: Toy+color\n", "")
    (toy.specs / "toy/toy_hue.yaml").write_text(hue)
    (toy.instructions / "toy_hue.j2").write_text("Which color has it?")
    compile_task("toy_hue", toy.raw, toy.out, toy.catalog, Options(), Silent())
    groups = found(str(toy.out), "--against", str(benchmark))
    kinds = sorted((str(group["kind"]), str(group["scope"])) for group in groups)
    assert kinds == [("exact", "across"), ("exact", "across"), ("near", "against")]
    only = found(str(toy.out), "--task", "toy_color", "--against", str(benchmark))
    assert [ids(group) for group in only] == [{"one", "b1"}]
    assert found(str(toy.out), "--task", "toy_color", "--against", str(benchmark), "--exact") == []
    page = toy.root / "duplicates.html"
    arguments = ["duplicates", str(toy.out), "--against", str(benchmark), "--out", str(page)]
    assert run(vflan, arguments) == ExitCode.OK
    shown = capsys.readouterr().out
    assert "6 images compared: 3 groups of duplicates" in shown
    assert f"  toy_color/b1 ({benchmark})" in shown
    html = page.read_text("utf-8")
    assert html.count('<img src="data:image/jpeg;base64,') == 6 and "<script" not in html


def test_without_imagehash_it_says_what_to_install(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.compile()
    monkeypatch.setitem(sys.modules, "imagehash", None)
    assert run(vflan, ["duplicates", str(toy.out)]) == ExitCode.FAILED
    assert "vision-flan[review]" in capsys.readouterr().err
    assert run(vflan, ["duplicates", str(toy.out), "--exact"]) == ExitCode.OK


hashes = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12)
flips = st.lists(st.sets(st.integers(0, 63), max_size=FURTHEST + 2), max_size=12)


@given(originals=hashes, changes=flips, bits=st.integers(0, FURTHEST))
def test_the_bands_find_every_pair_that_is_near(
    originals: list[int], changes: list[set[int]], bits: int
) -> None:
    changed = [
        original ^ sum(1 << bit for bit in some) for original, some in zip(originals, changes, strict=False)
    ]
    values = [*originals, *changed]
    wanted = {
        (i, j, (a ^ b).bit_count())
        for i, a in enumerate(values)
        for j, b in enumerate(values)
        if i != j and (a ^ b).bit_count() <= bits
    }
    array = np.array(values, np.uint64)
    assert set(near_pairs(array, array, bits)) == wanted


@cache
def _photographs() -> list[Image.Image]:
    from tests.review.likeness import photographs

    images = list(photographs())
    for image in images:
        image.thumbnail((480, 480))
    return images


@pytest.mark.parametrize(
    ("change", "least"),
    [("resized", 1), ("quality", 1), ("webp", 1), ("flipped", 1), ("cropped2", 0.9), ("cropped5", 0.6)],
)
def test_precision_and_recall_on_photographs(change: str, least: float) -> None:
    """Of real files of upstream, of which a checkout has none."""
    from tests.review.likeness import likeness

    images = _photographs()
    if len(images) < 20:
        pytest.skip(MISSING)
    found = likeness(images, CHANGES[change])
    assert found.wrong(USUAL) == 0, "precision is 1"
    assert found.recall(USUAL) >= least
