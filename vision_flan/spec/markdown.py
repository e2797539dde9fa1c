"""Text of others in Markdown: it shows as it is written, whatever it holds."""

from __future__ import annotations

import re
from urllib.parse import quote

#: What Markdown or HTML may read as more than text. A `_` within a word is none of it.
_MARKDOWN = re.compile(r"[\\`*\[\]<>&~#!$]|(?<![^\W_])_|_(?![^\W_])")
#: Control characters, and those that turn text around.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
#: Characters of a URL that end neither a link nor a cell.
_IN_URLS = "%/:=&?~#+!$,;'@-._"


def shown(text: str) -> str:
    """Text for a line of Markdown."""
    escaped = _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", flat(text))
    return _UNSEEN.sub("", escaped)


def cell(text: str) -> str:
    """`shown`, for a cell of a table."""
    return piped(shown(text))


def piped(text: str) -> str:
    """Markdown of our own, for a cell of a table."""
    return flat(text).replace("|", "\\|")


def link(text: str, url: str) -> str:
    """A link to a page that a spec names, for a cell; only the text if it is no web page."""
    if not url.startswith(("https://", "http://")):
        return cell(text)
    return f"[{cell(text)}]({quoted(url)})"


def quoted(url: str) -> str:
    """A URL without the characters that would end it."""
    return quote(url, safe=_IN_URLS)


def flat(text: str) -> str:
    """Text on one line."""
    return " ".join(str(text).split())


def fenced(text: str, language: str = "") -> str:
    """A block of code, which no line of the text ends."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
