"""The site: `python -m tests.docs.site OUT [TASK...]`, or `make site`.

Stages what the site is built from: OUT/mkdocs.yml, a copy of docs/site/mkdocs.yml, and OUT/pages with every
document, the README as home page, and the catalog with images drawn now, from miniatures. `mkdocs build` then
writes OUT/site. What is staged is plain Markdown, so another builder that reads mkdocs.yml can take over.
With task ids the catalog has these tasks only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.docs.site_catalog import write_catalog

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
#: Documents of the top level, and their names on the site.
TOP = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
BLOB = "https://github.com/vision-flan/vision-flan/blob/main/"

_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
#: GitHub nests what is indented by three spaces below `1. `; Python-Markdown wants four.
_NESTED = re.compile(r"^ {3}(?=\S)|^ {3}(?= )", re.MULTILINE)


def stage(out: Path, tasks: Sequence[str] = ()) -> None:
    """Write the folder that a site is built of.

    Raises:
        VflanError: a task has nothing to show.
    """
    pages = out / "pages"
    for folder in (pages, out / "site"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS / "site" / "assets", pages / "assets")
    shutil.copy(DOCS / "site" / "mkdocs.yml", out / "mkdocs.yml")
    for document in sorted(DOCS.glob("*.md")):
        (pages / document.name).write_text(_moved(document.read_text("utf-8"), "docs/"), "utf-8")
    for name, page in TOP.items():
        text = _moved((REPOSITORY / name).read_text("utf-8"), "")
        (pages / page).write_text(_nested(text) if page == "contributing.md" else text, "utf-8")
    write_catalog(pages, tasks)


def build(out: Path) -> subprocess.CompletedProcess[str]:
    """Build the staged site; a warning fails it."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(out / "mkdocs.yml")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # the theme's end of life: docs/design.md has it
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _moved(text: str, folder: str) -> str:
    """A document of a folder of the repository with links as they are on the site."""
    return _LINK.sub(lambda match: _target(match[1], folder), text)


def _target(link: str, folder: str) -> str:
    if link.startswith(BLOB):
        path, sharp, anchor = link.removeprefix(BLOB).partition("#")
    elif re.match(r"[a-z]+:|#", link):
        return link
    else:
        path, sharp, anchor = link.partition("#")
        path = path.removeprefix("../") if path.startswith("../") else folder + path
    if path in TOP:
        path = TOP[path]
    elif path.startswith("docs/") and path.endswith(".md"):
        path = path.removeprefix("docs/")
    else:
        path = BLOB + path
    return f"{path}{sharp}{anchor}"


def _nested(text: str) -> str:
    return _NESTED.sub("    ", text)


def main(arguments: Sequence[str]) -> int:
    """Stage and build; the exit code of the builder."""
    out = Path(arguments[0]).resolve()
    stage(out, arguments[1:])
    done = build(out)
    print(done.stdout + done.stderr, end="", file=sys.stderr)
    if done.returncode == 0:
        print(f"{out / 'site' / 'index.html'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
