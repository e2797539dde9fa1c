"""A page on a phone: in Chromium, 360 pixels wide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.chromium import chromium


@contextmanager
def on_phone(file: Path) -> Iterator[Page]:
    """Open a page; at the end it must fit the width and have written nothing to the console."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 360, "height": 700})
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.goto(file.as_uri())
        yield page
        assert page.evaluate("document.documentElement.scrollWidth <= 360")
        assert problems == []
