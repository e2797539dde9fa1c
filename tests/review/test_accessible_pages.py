"""axe's rules hold on every page that the commands of a reviewer write, in light and dark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.review.test_duplicates import encoded, scene
from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.spec.catalog import Catalog

axe = pytest.importorskip("axe_playwright_python.base")
PAGES = {
    "preview": ["preview", "toy_color", "--raw", "{raw}"],
    "diff": ["diff", "{out}", "{other}"],
    "stats": ["stats", "{out}"],
    "duplicates": ["duplicates", "{out}"],
    "audit": ["audit", "{out}"],
}


@pytest.mark.parametrize("name", list(PAGES))
def test_axe_finds_nothing_to_fix(
    toy: Toy, browser: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    for i in range(6):
        (toy.raw / f"toy/images/{i:04}.png").write_bytes(encoded(scene(i % 5), "PNG"))
    dark = scene(7).point(lambda value: value // 8)
    (toy.raw / "toy/images/0006.png").write_bytes(encoded(dark, "PNG"))
    toy.compile()
    other = tmp_path / "other"
    toy.write_specs(text="The image shows something. Which color has it?\n")
    toy.compile(out=other, limit=10)
    page_file = tmp_path / "page.html"
    typed = [part.format(raw=toy.raw, out=toy.out, other=other) for part in PAGES[name]]
    assert run(vflan, [*typed, "--out", str(page_file)]) in (
        ExitCode.OK,
        ExitCode.FAILED,
    )  # a diff ends with 1
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            context = browser.new_context(
                color_scheme=scheme,  # type: ignore[arg-type]
                viewport={"width": width, "height": 800},
                bypass_csp=True,
            )
            page = context.new_page()
            page.goto(page_file.as_uri())
            page.evaluate(axe.AXE_SCRIPT)
            result = page.evaluate("axe.run()")
            assert len(result["passes"]) > 10, "the rules ran"
            found = result["violations"]
            told = [(one["id"], one["help"], [node["html"][:200] for node in one["nodes"]]) for one in found]
            assert not found, f"{name}, {scheme}, {width} pixels: {json.dumps(told, indent=1)}"
            context.close()
