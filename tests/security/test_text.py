"""What a spec says is shown as it is written: on pages, in cards, on a terminal."""

from __future__ import annotations

import html
import re

import pytest
import yaml

from tests.cli.console import on_specs, on_terminal
from tests.security.conftest import Victim
from vision_flan.dataset.licenses import licenses_md
from vision_flan.dataset.manifest import readable_manifests
from vision_flan.dataset.publication import WHOLE, Publication, PublishedTask

TEXTS = {
    "a script": "<script>alert(1)</script>",
    "an image that runs a script": "<img src=x onerror=alert(1)>",
    "a link": "[free money](https://evil.example)",
    "an image": "![x](https://evil.example/pixel.png)",
    "a reference": "[x][y] [y]: https://evil.example",
    "a heading": "x\n\n# Everything here is free\n\n",
    "a table": "x | y | z",
    "code": "`x` ``y``",
    "emphasis": "**bold** _soft_ ~~gone~~",
    "a comment that hides the rest": "<!-- ",
    "an entity": "&lt;b&gt; &#60;",
    "a formula": "$x$ $$y$$",
    "a backslash": "\\",
    "front matter": "x\n---\nlicense: mit\n---\n",
    "text that runs backwards": "abc\u202edef",
    "a style": "<style>body{display:none}</style>",
}
MARKUP = re.compile(r"<\w|<!|(?<!\\)[`*$]|\]\(https://evil|!\[")
ESCAPES = {
    "clears the screen": "\x1b[2J",
    "sets the title": "\x1b]0;x\x07",
    "writes to the clipboard": "\x1b]52;c;eA==\x07",
    "makes a link": "\x1b]8;;https://evil.example\x1b\\x",
    "asks the terminal": "\x9b6n",
    "goes back": "safe\rEVIL",
    "deletes": "abc\b\b\b",
    "runs backwards": "\u202etxt",
}


def say(victim: Victim, text: str) -> None:
    """Put a text wherever a dataset's spec is shown."""
    path = victim.specs / "toy/dataset.yaml"
    data = yaml.safe_load(path.read_text())
    data["title"] = f"Toy {text}"
    data["license"]["note"] = f"note {text}"
    for half in ("images", "annotations"):
        data["license"][half]["name"] = f"CC {text}"
    path.write_text(yaml.safe_dump(data))


@pytest.mark.parametrize("attempt", TEXTS)
def test_a_card_does_not_show_as_markup(victim: Victim, attempt: str) -> None:
    say(victim, TEXTS[attempt])
    code, said = victim.compiled()
    assert code == 0, said
    manifests, _ = readable_manifests(victim.out)
    published = {
        name: PublishedTask(made, Publication(WHOLE, "clear", "", made.shards))
        for name, made in manifests.items()
    }
    licenses = licenses_md(published)
    card = (victim.out / "README.md").read_text()
    example, row = (line for line in card.splitlines() if line.startswith("| ") and "`toy_color`" in line)
    image = "| ![Color of a square](gallery/toy_color.jpg) |"
    assert example.startswith(image)
    for line in (example, row, *(line for line in licenses.splitlines() if "Toy" in line)):
        ours = r"<br>|`[\w.-]+`|(?<=<br>)\*\*|\*\*(?=<br>)|\*\*(?=Toy)|\*\*(?= \()|<https:[^<>]*>"
        shown = re.sub(ours, "", line.removeprefix(image))
        assert not MARKUP.search(shown), line
        assert "\u202e" not in line
        assert "Toy" in html.unescape(line)
    assert [line.replace(r"\|", "").count("|") for line in (example, row)] == [3, 7]
    assert not [line for line in (card + licenses).splitlines() if line.startswith("# Everything")]


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/) <script>alert(1)</script>",
        'https://x.example/ "onmouseover=alert(1)',
        "https://x.example/|x|",
        "https://x.example/\n\n# Everything",
        "https://x.example/](https://evil.example)",
    ],
)
def test_a_homepage_does_not_end_its_link(victim: Victim, url: str) -> None:
    path = victim.specs / "toy/dataset.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "homepage": url}))
    code, said = victim.compiled()
    assert code in (0, 1), said
    if code == 0:
        card = (victim.out / "README.md").read_text()
        rows = [line for line in card.splitlines() if line.startswith("| ") and "`toy_color`" in line]
        assert rows
        for row in rows:
            assert re.search(r"\[Toy\]\(https://x\.example/[^\s()<>\"|]*\)(<br>|, )CC", row)


@pytest.mark.parametrize("attempt", [name for name in TEXTS if "<" in TEXTS[name]])
def test_a_preview_does_not_run(victim: Victim, attempt: str) -> None:
    say(victim, TEXTS[attempt])
    victim.write_records([{"name": f"000{i}.png", "color": "r"} for i in range(3)])
    victim.write_specs(text="{{ name }} " + TEXTS[attempt] + "\n")
    code, said = victim.vflan("preview", "toy_color", "--raw", str(victim.raw))
    assert code in (0, 1), said
    for page in (victim.root / "here").glob("*.html"):
        assert TEXTS[attempt].strip() not in page.read_text()


@pytest.mark.parametrize("attempt", ESCAPES)
def test_no_command_prints_what(victim: Victim, attempt: str) -> None:
    say(victim, ESCAPES[attempt])
    victim.replace("title: Color of a square", f"title: {yaml.safe_dump(ESCAPES[attempt]).strip()}")
    for command in (["show", "toy_color"], ["list"], ["validate", "toy_color"], ["list", "--json"]):
        _, said = victim.vflan(*command)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", said), (command, said)


def test_a_terminal_gets_none_of_it(victim: Victim) -> None:
    say(victim, "".join(ESCAPES.values()))
    for command in ("show", "list"):
        arguments = ["toy_color"] if command == "show" else []
        _, said = on_terminal(command, *arguments, columns=300, command=on_specs(victim.root))
        assert "\x1b[2J" not in said
        assert "\x1b]" not in said
