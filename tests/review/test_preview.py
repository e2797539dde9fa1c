"""`vflan preview`: the page, and the page in a browser."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from tests.pets import TASK, pets_catalog, pets_raw
from vision_flan.build.open_task import open_task
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.review.preview import Preview, collect, render
from vision_flan.spec.catalog import Catalog

HOSTILE = "</pre><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def shows_names(catalog: Catalog) -> Catalog:
    """The task with the pet's name as its input."""
    path = catalog.task_files[TASK]
    path.write_text(path.read_text("utf-8") + "input: name\n", "utf-8")
    return catalog


def page(catalog: Catalog, raw: Path, n: int = 12) -> tuple[Preview, str]:
    with open_task(TASK, raw, catalog) as opened:
        found = collect(opened, n, seed=0)
        return found, render(opened, found, "these files", seed=0)


def test_the_page_has_what_a_reviewer_wants(tmp_path: Path) -> None:
    found, html = page(pets_catalog(tmp_path), pets_raw(tmp_path / "raw"))
    assert len(found.instances) == 10
    for text in ("Animal Classification", "CC BY 4.0", "10 in these files", "source_id 3", "images/3.jpg"):
        assert text in html
    for shown in found.instances:
        assert shown.text["prompt"] in unescape(html)
        assert f">{shown.text['target']}</pre>" in html
    assert html.count('src="data:image/jpeg;base64,') == 10


def test_it_stops_at_n(tmp_path: Path) -> None:
    found, _ = page(pets_catalog(tmp_path), pets_raw(tmp_path / "raw"), n=3)
    assert (len(found.instances), found.looked_at) == (3, 3)


def test_what_is_dropped_is_counted_by_reason_with_keys(tmp_path: Path) -> None:
    raw = pets_raw(tmp_path / "raw")
    (raw / "pets" / "images" / "4.jpg").unlink()
    (raw / "pets" / "images" / "5.jpg").write_bytes(b"no image")
    with (raw / "pets" / "pets.jsonl").open("a") as out:
        out.write('{"id": 9, "kind": "d"}\n{"id": 10, "kind": "snail"}\n')
    found, html = page(pets_catalog(tmp_path), raw)
    assert found.dropped == {"missing_image": ["4"], "not_an_image": ["5"], "unknown_label": ["10"]}
    for line in ("duplicate_key, of all records", "missing_image: 4", "not_an_image: 5", "unknown_label: 10"):
        assert line in html


def test_a_task_without_instances_says_so(tmp_path: Path) -> None:
    raw = pets_raw(tmp_path / "raw")
    shutil.rmtree(raw / "pets" / "images")
    _, html = page(pets_catalog(tmp_path), raw)
    assert "No record became an instance." in html


def test_data_cannot_add_markup(tmp_path: Path) -> None:
    _, html = page(shows_names(pets_catalog(tmp_path)), pets_raw(tmp_path / "raw", names=(HOSTILE,)))
    assert "<script" not in html
    assert "onerror=&#34;" in html


@pytest.mark.parametrize(("suffix", "mode"), [("TIFF", "RGB"), ("PPM", "RGB"), ("BMP", "RGB")])
def test_formats_that_browsers_do_not_show_are_shown_as_png(tmp_path: Path, suffix: str, mode: str) -> None:
    raw = pets_raw(tmp_path / "raw", count=1)
    Image.new(mode, (8, 8), "red").save(raw / "pets" / "images" / "0.jpg", suffix)
    found, html = page(pets_catalog(tmp_path), raw)
    assert 'src="data:image/png;base64,' in html
    assert found.instances[0].size.endswith(suffix)


def test_large_images_are_shown_smaller_and_named_by_their_own_size(tmp_path: Path) -> None:
    raw = pets_raw(tmp_path / "raw", count=1)
    noise = Image.effect_noise((2000, 1500), 100).convert("RGB")
    noise.save(raw / "pets" / "images" / "0.jpg", "JPEG")
    found, html = page(pets_catalog(tmp_path), raw)
    assert found.instances[0].size.startswith("2000 x 1500 pixels, ")
    assert 'src="data:image/png;base64,' in html


def test_the_command_writes_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = pets_catalog(tmp_path)
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))
    raw, out = pets_raw(tmp_path / "raw"), tmp_path / "page.html"
    assert run(vflan, ["preview", "Pets+kind", "--raw", str(raw), "--out", str(out)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{out}: 10 instances, 0 of 10 records dropped\n"
    assert out.read_text("utf-8").startswith("<!doctype html>")
    nowhere = ["preview", TASK, "--raw", str(raw), "--out", str(out / "page.html")]
    assert run(vflan, nowhere) == ExitCode.SYSTEM


def test_the_command_takes_a_miniature_where_no_raw_folder_is_given(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert run(vflan, ["preview", "ocr_textocr", "--n", "2", "--out", str(out)]) == ExitCode.OK
    assert "in a miniature" in out.read_text("utf-8")


# --- in a browser


def chromium(page_file: Path, *arguments: str) -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    profile = page_file.parent / "profile"
    base = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command = [*base, *arguments, page_file.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def purple_share(screenshot: Path) -> float:
    with Image.open(io.BytesIO(screenshot.read_bytes())) as image:
        pixels = list(image.convert("RGB").resize((200, 200)).get_flattened_data())
    return sum(r > 180 and g < 80 and b > 180 for r, g, b in pixels) / len(pixels)


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    raw = pets_raw(tmp_path / "raw", count=2, names=(HOSTILE,))
    for path in (raw / "pets" / "images").iterdir():
        Image.new("RGB", (600, 400), (220, 20, 220)).save(path, "JPEG")
    _, html = page(shows_names(pets_catalog(tmp_path)), raw)
    file = tmp_path / "page.html"
    file.write_text(html, "utf-8")
    return file


def test_a_browser_shows_the_data_as_text_and_runs_none_of_it(page_file: Path) -> None:
    dom = chromium(page_file, "--dump-dom")
    assert re.search(r"<title>(.*?)</title>", dom).group(1) == TASK  # type: ignore[union-attr]
    assert dom.count("<article>") == 2
    assert dom.count("<img ") == 2
    assert "&lt;script&gt;document.title='owned'" in dom


@pytest.mark.parametrize("width", [1200, 420])
def test_images_are_shown_on_screens_wide_and_narrow(page_file: Path, width: int) -> None:
    screenshot = page_file.with_name("shot.png")
    chromium(page_file, f"--window-size={width},2000", f"--screenshot={screenshot}", "--hide-scrollbars")
    assert purple_share(screenshot) > 0.05
