"""A page on a phone: in Chromium, 360 pixels wide."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright


@contextmanager
def on_phone(file: Path) -> Iterator[Page]:
    """Open a page; at the end it must fit the width and have written nothing to the console."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(viewport={"width": 360, "height": 700})
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.goto(file.as_uri())
        yield page
        assert page.evaluate("document.documentElement.scrollWidth <= 360")
        assert problems == []
        browser.close()
