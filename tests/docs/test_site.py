"""The site: every document is on it, links lead somewhere, and pages work from a folder, offline."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest
import yaml
from playwright.sync_api import Browser, Page

from tests.docs import site
from tests.docs.site_catalog import write_pages
from tests.docs.test_links import anchors, links
from tests.toy import Toy
from vision_flan.report import Silent
from vision_flan.review.preview import Source, collect
from vision_flan.review.shown import Sample
from vision_flan.review.thumbnails import SMALL

#: Tasks of the catalog that is built here; `make site` has all.
TASKS = ["ocr_textocr", "texture_dtd", "dialogue_visdial_medium"]
HOSTILE = '<script>alert(1)</script> *a* [b](javascript:c) {{ d }} & "e"\n\n# f'


class _NoTags(yaml.SafeLoader):
    """Reads mkdocs.yml; the object that a Python tag names is left out."""


_NoTags.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def nav() -> list[str]:
    """The pages that the navigation names."""
    config = yaml.load((site.DOCS / "site" / "mkdocs.yml").read_text("utf-8"), _NoTags)
    found: list[str] = []
    for entry in config["nav"]:
        for value in entry.values():
            found += [value] if isinstance(value, str) else [page for item in value for page in item.values()]
    return found


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    site.stage(out, TASKS)
    return out


@pytest.fixture(scope="module")
def built(staged: Path) -> Path:
    if find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: the extra docs has it")
    done = site.build(staged)
    printed = done.stdout + done.stderr
    assert done.returncode == 0 and "WARNING" not in printed, printed
    return staged / "site"


def test_the_navigation_has_every_document_once_and_no_other(staged: Path) -> None:
    pages = [page.name for page in (staged / "pages").glob("*.md")]
    assert sorted(nav()) == sorted(pages)


def test_links_between_the_pages_lead_to_a_page_and_a_heading(staged: Path) -> None:
    documents = sorted((staged / "pages").rglob("*.md"))
    count = 0
    for document in documents:
        for link in links(document):
            if not re.match(r"[a-z]+:", link):
                path, _, anchor = link.partition("#")
                target = document.parent / path if path else document
                assert target.exists(), f"{document.name}: {link}"
                assert not anchor or anchor in anchors(target), f"{document.name}: {link}"
                count += 1
            elif link.startswith(site.BLOB):
                name = link.removeprefix(site.BLOB).partition("#")[0]
                assert (site.REPOSITORY / name).exists(), f"{document.name}: {link}"
                assert not name.endswith(".md"), f"{document.name}: {link} is on the site too"
    assert len(documents) > 20 and count > 50


def test_the_catalog_has_an_image_a_prompt_and_an_answer_of_each_task(staged: Path) -> None:
    pages = staged / "pages"
    text = "".join(page.read_text("utf-8") for page in (pages / "tasks").glob("*.md"))
    for task in TASKS:
        _, found, rest = text.partition(f"## `{task}`\n")
        assert found
        section = rest.partition("\n## ")[0]
        image = re.search(r'<img src="images/([^"]+)"', section)
        assert image and (pages / "tasks/images" / image[1]).stat().st_size > 100
        assert "<dt>Prompt</dt> <dd" in section and "<dt>Answer</dt> <dd" in section
    assert "3 tasks in 3 categories" in (pages / "tasks.md").read_text("utf-8")
    assert "ocr_textocr" in (pages / "all-tasks.html").read_text("utf-8")


class _Reader(HTMLParser):
    """Text of the descriptions on a page, and the elements that hold or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: Path) -> _Reader:
    reader = _Reader()
    reader.feed(page.read_text("utf-8"))
    return reader


def test_markup_in_texts_of_a_task_is_text_in_the_catalog(toy: Toy, tmp_path: Path) -> None:
    markdown = pytest.importorskip("markdown")
    (shown,) = collect(toy.catalog, ["toy_color"], Source(toy.raw), Sample(1, 0, SMALL), Silent())
    (instance,) = shown.instances
    shown.instances = [replace(instance, text={**instance.text, "prompt": HOSTILE, "target": HOSTILE})]
    pages = tmp_path / "pages"
    pages.mkdir()
    write_pages(pages, [shown], toy.catalog)
    (page,) = (pages / "tasks").glob("*.md")
    made = tmp_path / "page.html"
    made.write_text(markdown.markdown(page.read_text("utf-8"), extensions=["attr_list", "tables"]), "utf-8")
    reader = read(made)
    assert "".join(reader.text).count(HOSTILE) == 2
    assert "script" not in [tag for tag, _ in reader.elements]


def test_no_page_loads_anything_from_elsewhere(built: Path) -> None:
    loads = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src"}
    pages = [page for page in built.rglob("*.html") if page.name != "404.html"]
    assert len(pages) > 20
    for page in pages:
        for tag, attributes in read(page).elements:
            link = attributes.get(loads.get(tag, "")) or ""
            if tag == "link" and attributes.get("rel") != "canonical":
                link = attributes.get("href") or ""
            assert not re.match(r"(?!data:)[a-z]+:|//", link), f"{page.name}: {tag} {link}"


# --- in a browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must ask no other host and write nothing to the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: request.url.startswith("http") and problems.append(request.url))
    yield opened
    assert problems == []
    context.close()


def test_search_finds_a_task_and_leads_to_it_from_a_folder(built: Path, page: Page) -> None:
    page.goto((built / "index.html").as_uri())
    page.click("[data-md-component=search-query]")
    page.keyboard.type("textocr")
    page.locator(".md-search-result__link[href*='h=textocr']").first.wait_for()
    link = page.locator(".md-search-result__link").first
    assert "tasks/ocr.html" in (link.get_attribute("href") or ""), "the task comes first"
    link.click()
    page.wait_for_url("**/tasks/ocr.html*")
    assert page.locator("h2", has_text="ocr_textocr").is_visible()
    image = page.locator(".task img").first
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_a_copied_block_has_the_commands_alone(built: Path, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto((built / "quickstart.html").as_uri())
    block = page.locator(".language-console").first
    block.hover()
    block.locator("button").first.click()
    page.wait_for_timeout(200)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines() == [
        "vflan miniature textocr --out raw --n 60",
        "vflan compile --task ocr_textocr --raw raw --out vision-flan",
    ]


def test_every_page_fits_a_phone(built: Path, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    for name in [*nav(), "tasks/ocr.md"]:
        page.goto((built / name).with_suffix(".html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_to_fix(
    built: Path, browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.base")
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    opened = context.new_page()
    for name in ("index", "tasks", "tasks/ocr", "review"):
        opened.goto((built / f"{name}.html").as_uri())
        opened.wait_for_timeout(200)
        opened.evaluate(axe.AXE_SCRIPT)
        found = opened.evaluate("axe.run()")["violations"]
        told = [(one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found]
        assert not found, f"{name}, {scheme}, {width} pixels: {json.dumps(told, indent=1)}"
    context.close()
