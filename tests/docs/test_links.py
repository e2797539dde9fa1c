"""Links of the documents lead somewhere: in a checkout, and those of the README on any page that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BLOB = "https://github.com/vision-flan/vision-flan/blob/main/"
DOCUMENTS = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")


def links(document: Path) -> list[str]:
    text = _FENCE.sub("", document.read_text("utf-8"))
    return _LINK.findall(_CODE.sub("", text))


def anchors(document: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", document.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_to_a_file_and_a_heading(document: Path) -> None:
    for link in links(document):
        if link.startswith(BLOB):
            path, _, anchor = link.removeprefix(BLOB).partition("#")
            target = REPOSITORY / path
        elif re.match(r"[a-z]+:", link):
            continue
        else:
            path, _, anchor = link.partition("#")
            target = document.parent / path if path else document
        assert target.exists(), f"{document.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{document.name}: {link}"


def test_links_of_the_readme_hold_on_any_page() -> None:
    found = links(REPOSITORY / "README.md")
    assert len(found) > 10
    assert all(link.startswith("https://") for link in found)


def test_documents_name_files_of_the_checkout_that_exist() -> None:
    """`vision_flan/a.py`, `tests/b.py`, `docs/c.md` and their like, in text and in code."""
    pattern = re.compile(r"\b(?:vision_flan|tests|docs|lock)/[\w./-]*\w(?:\.(?:py|md|txt|json|j2))\b")
    for document in DOCUMENTS:
        text = re.sub(r"https?://(?!github\.com/vision-flan)\S+", "", document.read_text("utf-8"))
        for name in pattern.findall(text):
            assert (REPOSITORY / name).exists(), f"{document.name} names {name}"
