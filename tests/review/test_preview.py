"""`vflan preview`: the page, and the page in a browser."""

from __future__ import annotations

import base64
import shutil
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.server import ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.pets import TASK, pets_catalog, pets_raw
from vision_flan.build.compile import Options, compile_task
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.miniatures import registry
from vision_flan.raw.roots import RawRoots
from vision_flan.report import Silent, human_bytes
from vision_flan.review.preview import Source, Wanted, make_page
from vision_flan.review.preview import page as preview_page
from vision_flan.review.serve import Handler, Served
from vision_flan.review.shown import TaskShown, in_turn
from vision_flan.spec.catalog import Catalog

HOSTILE = "</pre><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def shows_names(catalog: Catalog) -> Catalog:
    """The task with the pet's name as its input."""
    path = catalog.task_files[TASK]
    path.write_text(path.read_text("utf-8") + "input: name\n", "utf-8")
    return catalog


def page(catalog: Catalog, raw: Path, n: int = 12) -> tuple[TaskShown, str]:
    made = make_page(Wanted((TASK,), source=Source(RawRoots.of(raw)), n=n), catalog, Silent())
    return made.tasks[0], made.html


def test_the_page_has_what_a_reviewer_wants(tmp_path: Path) -> None:
    found, html = page(pets_catalog(tmp_path), pets_raw(tmp_path / "raw"))
    assert len(found.instances) == 10
    for text in (
        "Animal Classification",
        "CC BY 4.0",
        "<dd>10</dd>",
        "source_id 3",
        "images/3.jpg",
        "table: pets",
    ):
        assert text in html
    for shown in found.instances:
        assert shown.text["prompt"] in unescape(html)
        assert f">{shown.text['target']}</pre>" in html
    assert html.count('"data:image/jpeg;base64,') == 10


def test_it_stops_at_n(tmp_path: Path) -> None:
    found, _ = page(pets_catalog(tmp_path), pets_raw(tmp_path / "raw"), n=3)
    assert len(found.instances) == 3
    assert len({shown.text["target"][4:] for shown in found.instances}) == 3  # one of each kind


@given(targets=st.lists(st.sampled_from("abcdef"), max_size=40), n=st.integers(1, 20))
def test_a_rare_target_is_shown_before_a_frequent_one_comes_again(targets: list[str], n: int) -> None:
    chosen = in_turn(range(len(targets)), targets, n)
    assert len(chosen) == len(set(chosen)) == min(n, len(targets))
    times = Counter(targets[i] for i in chosen)
    had = Counter(targets)
    assert all(times[t] == had[t] or times[t] >= max(times.values()) - 1 for t in had)


@given(
    pairs=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 8)), min_size=1, max_size=40),
    n=st.integers(1, 20),
)
def test_different_images_are_shown_before_one_is_shown_again(pairs: list[tuple[str, int]], n: int) -> None:
    targets, images = [target for target, _ in pairs], [image for _, image in pairs]
    chosen = in_turn(range(len(pairs)), targets, n, images)
    assert len(chosen) == len(set(chosen)) == min(n, len(pairs))
    shown, had = Counter(targets[at] for at in chosen), Counter(targets)
    assert all(shown[t] == had[t] or shown[t] >= max(shown.values()) - 1 for t in had), "targets in turn"
    seen: set[int] = set()
    for at in chosen[: len(had)]:  # the first turn
        others = {images[i] for i in range(len(pairs)) if targets[i] == targets[at]}
        assert images[at] not in seen or others <= {images[i] for i in chosen}, "its target has another image"
        seen.add(images[at])


def test_questions_about_one_image_do_not_crowd_out_other_images(tmp_path: Path) -> None:
    """VQA has several questions about each image; those of a compiled folder are drawn alike."""
    catalog, raw = Catalog.default(), tmp_path / "raw"
    registry.make("visual7w", raw, 60, 1)
    task = next(task for task, path in catalog.task_files.items() if path.parent.name == "visual7w")
    compile_task(task, raw, tmp_path / "out", catalog, Options(), Silent())
    for source in (Source(RawRoots.of(raw)), Source(dataset=tmp_path / "out")):
        for n in (6, 12):
            found = make_page(Wanted((task,), source=source, n=n), catalog, Silent()).tasks[0]
            shown = [one.image_path for one in found.instances]
            assert len(shown) == len(set(shown)) == n
    shard = next((tmp_path / "out" / task).glob("*.parquet"))
    stored = pq.ParquetFile(shard).read(columns=["image.path"])["image"]
    assert len({one["path"] for one in stored.to_pylist()}) < len(stored), "an image comes twice"


def test_what_is_dropped_is_counted_by_reason_with_keys(tmp_path: Path) -> None:
    raw = pets_raw(tmp_path / "raw")
    (raw / "pets" / "images" / "4.jpg").unlink()
    (raw / "pets" / "images" / "5.jpg").write_bytes(b"no image")
    with (raw / "pets" / "pets.jsonl").open("a") as out:
        out.write('{"id": 9, "kind": "d"}\n{"id": 10, "kind": "snail"}\n')
    found, html = page(pets_catalog(tmp_path), raw)
    assert found.dropped.pop("duplicate_key, of all records") == 1
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
    assert html.count("<script") == 2  # the images, and our own
    assert "onerror=&#34;" in html


@pytest.mark.parametrize(("suffix", "mode"), [("TIFF", "RGB"), ("PPM", "RGB"), ("BMP", "RGB")])
def test_formats_that_browsers_do_not_show_are_shown_in_one_that_they_do(
    tmp_path: Path, suffix: str, mode: str
) -> None:
    raw = pets_raw(tmp_path / "raw", count=1)
    Image.new(mode, (8, 8), "red").save(raw / "pets" / "images" / "0.jpg", suffix)
    found, html = page(pets_catalog(tmp_path), raw)
    assert '"data:image/webp;base64,' in html
    assert found.instances[0].size.endswith(suffix)


def test_large_images_are_shown_smaller_and_named_by_their_own_size(tmp_path: Path) -> None:
    raw = pets_raw(tmp_path / "raw", count=1)
    noise = Image.effect_noise((2000, 1500), 100).convert("RGB")
    noise.save(raw / "pets" / "images" / "0.jpg", "JPEG")
    found, _ = page(pets_catalog(tmp_path), raw)
    assert found.instances[0].size.startswith("2000 x 1500 pixels, ")
    assert len(found.instances[0].image) < 700_000


def test_the_command_writes_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = pets_catalog(tmp_path)
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))
    raw, out = pets_raw(tmp_path / "raw"), tmp_path / "page.html"
    assert run(vflan, ["preview", "Pets+kind", "--raw", str(raw), "--out", str(out)]) == ExitCode.OK
    assert capsys.readouterr().out == f"{out}: 10 instances, {human_bytes(out.stat().st_size)}\n"
    assert out.read_text("utf-8").startswith("<!doctype html>")
    nowhere = ["preview", TASK, "--raw", str(raw), "--out", str(out / "page.html")]
    assert run(vflan, nowhere) == ExitCode.SYSTEM


def test_the_command_takes_a_miniature_where_no_raw_folder_is_given(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert run(vflan, ["preview", "ocr_textocr", "--n", "2", "--out", str(out)]) == ExitCode.OK
    assert "a miniature, seed 0" in out.read_text("utf-8")


def test_a_compiled_folder_is_shown_as_it_is(tmp_path: Path) -> None:
    catalog, raw, out = pets_catalog(tmp_path), pets_raw(tmp_path / "raw"), tmp_path / "out"
    compile_task(TASK, raw, out, catalog, Options(), Silent())
    made = make_page(Wanted(source=Source(dataset=out), n=4), catalog, Silent())
    (task,) = made.tasks
    rows = {row["id"]: row for row in pq.read_table(out / TASK).to_pylist()}
    assert len(task.instances) == 4
    for shown in task.instances:
        assert shown.text["prompt"] == rows[shown.text["id"]]["prompt"]
        assert base64.b64decode(shown.image.split(",")[1]) == rows[shown.text["id"]]["image"]["bytes"]
    assert task.counts == {"instances": "10", "candidates": "10"}


def test_many_tasks_stand_on_one_page_and_one_that_fails_does_not_stop_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "page.html"
    registry.make("textocr", raw, 8, 0)
    arguments = ["preview", "ocr_textocr", "scene_300w", "--raw", str(raw), "--out", str(out)]
    assert run(vflan, arguments) == ExitCode.FAILED
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: 2 tasks, ")
    assert "not shown: scene_300w: " in printed.err
    assert run(vflan, [*arguments[:2], *arguments[3:]]) == ExitCode.OK


@pytest.mark.parametrize(
    "arguments", [[], ["a", "--suite", "vision_flan"], ["a", "--raw", "x", "--dataset", "."]]
)
def test_what_is_to_be_shown_is_said_once(arguments: list[str]) -> None:
    assert run(vflan, ["preview", *arguments]) == ExitCode.USAGE


def test_a_served_page_is_made_anew_when_an_instruction_is_saved(tmp_path: Path) -> None:
    catalog, raw = pets_catalog(tmp_path), pets_raw(tmp_path / "raw")
    served = Served(
        Wanted((TASK,), source=Source(RawRoots.of(raw))), lambda: Catalog(catalog.specs, catalog.instructions)
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, served))
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=60) as answer:
                return str(answer.read().decode())

        before = get("/stamp")
        assert "Say which animal this is." not in get("/") and get("/stamp") == before
        instruction = catalog.instruction_file(TASK)
        instruction.write_text("Say which animal this is. Answer with the option's letter and text.\n")
        assert get("/stamp") != before
        assert "Say which animal this is." in get("/")
        instruction.write_text("{% if %}\n")
        assert "instructions/animal_pets.j2" in get("/")
        server.shutdown()


# --- in a browser


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[tuple[Page, list[str]]]:
    """Three tasks on a page, with hostile text; and what it says on its console or asks of a network."""
    catalog = shows_names(pets_catalog(tmp_path))
    text = catalog.task_files[TASK].read_text("utf-8")
    for name, form in (("animal_one", "options"), ("animal_two", "label")):
        path = catalog.task_files[TASK].with_name(f"{name}.yaml")
        changed = text.replace(f"id: {TASK}", f"id: {name}").replace("alias: Pets+kind\n", "")
        path.write_text(changed.replace("form: options", f"form: {form}"), "utf-8")
        catalog.instruction_file(name).write_text(catalog.instruction_file(TASK).read_text("utf-8"), "utf-8")
    raw = pets_raw(tmp_path / "raw", count=2, names=(HOSTILE,))
    for file in (raw / "pets" / "images").iterdir():
        Image.new("RGB", (600, 400), (220, 20, 220)).save(file, "JPEG")
    names = (TASK, "animal_one", "animal_two")
    catalog = Catalog(catalog.specs, catalog.instructions)
    html = make_page(Wanted(names, source=Source(RawRoots.of(raw))), catalog, Silent()).html
    (tmp_path / "page.html").write_text(html, "utf-8")
    page, heard = browser.new_page(viewport={"width": 1200, "height": 900}), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else heard.append(request.url),
    )
    page.goto((tmp_path / "page.html").as_uri())
    yield page, heard
    page.close()


def visible(page: Page) -> list[str]:
    return [card.get_attribute("id") or "" for card in page.query_selector_all(".task") if card.is_visible()]


def test_a_browser_shows_the_data_as_text_and_runs_none_of_it(opened: tuple[Page, list[str]]) -> None:
    page, heard = opened
    assert page.title() == "Preview of 3 tasks"
    assert HOSTILE in page.inner_text(f"#{TASK} .instances")
    assert page.locator("article").count() == 6
    assert heard == []


def test_search_and_filters_find_tasks(opened: tuple[Page, list[str]]) -> None:
    page, heard = opened
    assert len(visible(page)) == 3
    page.fill("#search", "animal_two")
    assert visible(page) == ["animal_two"]
    assert page.inner_text("#counter") == "1 of 3 tasks"
    page.fill("#search", "")
    page.select_option("select[data-filter=form]", "options")
    assert visible(page) == [TASK, "animal_one"]
    page.fill("#search", "nothing has this")
    assert visible(page) == []
    assert heard == []


def test_the_keyboard_is_enough(opened: tuple[Page, list[str]]) -> None:
    page, _ = opened
    focused = "document.activeElement.id"
    for key, at in (("j", TASK), ("j", "animal_one"), ("k", TASK), ("/", "search")):
        page.keyboard.press(key)
        assert page.evaluate(focused) == at
    page.keyboard.type("animal_two")
    assert visible(page) == ["animal_two"]
    page.keyboard.press("Escape")
    assert len(visible(page)) == 3
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.parametrize("width", [1200, 390])
def test_images_are_shown_on_screens_wide_and_narrow(opened: tuple[Page, list[str]], width: int) -> None:
    page, _ = opened
    page.set_viewport_size({"width": width, "height": 900})
    image = page.locator("article img").first
    image.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('article img').naturalWidth === 600")
    box = image.bounding_box()
    assert box is not None and 200 < box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_as_large_as_the_suite_is_small_and_painted_within_a_second(
    browser: Browser, tmp_path: Path
) -> None:
    """187 tasks with 6 instances each; the best of three loads, since other work may hold up one of them."""
    made = make_page(
        Wanted((TASK,), source=Source(RawRoots.of(pets_raw(tmp_path / "raw"))), n=6),
        pets_catalog(tmp_path),
        Silent(),
    )
    html = preview_page("Preview of vision_flan", [made.tasks[0]] * 187, 0)
    (tmp_path / "suite.html").write_text(html, "utf-8")
    assert len(made.tasks[0].instances) == 6 and len(html) < 30_000_000
    times = []
    for _ in range(3):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto((tmp_path / "suite.html").as_uri(), wait_until="load")
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
        times.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        page.close()
    assert min(times) < 1000, times
