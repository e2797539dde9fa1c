"""docs/api.md from the docstrings of `vision_flan.api`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from vision_flan import api

_HEAD = """\
# From Python

Made by `make docs` from the docstrings; a test runs the examples.

```python
import vision_flan as vf
```

The import costs nothing: what a function needs is imported when it is called.
"""
_SECTION = re.compile(r"^(Args|Returns|Raises|Examples):$")
_ITEM = re.compile(r"^(\w+): (.*)$", re.DOTALL)


def api_document() -> str:
    """The module's docstring, then a section a function."""
    about = (inspect.getdoc(api) or "").split("\n\n", 1)[1]
    functions = (getattr(api, name) for name in api.__all__)
    sections = map(_function, sorted(functions, key=lambda each: each.__code__.co_firstlineno))
    return "\n".join([_HEAD, f"{_unwrapped(about)}\n", *sections])


def _function(function: Callable[..., Any]) -> str:
    doc = inspect.getdoc(function) or ""
    parts = [f"## vf.{function.__name__}\n", f"```python\n{_signature(function)}\n```\n"]
    for heading, text in _sections(doc):
        if heading == "Examples":
            parts.append(f"```python\n{text}\n```\n")
        elif heading:
            parts.append(f"**{heading}**\n\n{_items(text)}\n")
        else:
            parts.append(f"{_unwrapped(text)}\n")
    return "\n".join(parts)


def _signature(function: Callable[..., Any]) -> str:
    """The signature as the source writes it."""
    source = inspect.getsource(function)
    return "vf." + source[: source.index(':\n    """')].removeprefix("def ")


def _sections(doc: str) -> Iterator[tuple[str, str]]:
    heading, lines = "", []
    for line in doc.splitlines():
        found = _SECTION.match(line)
        if found:
            yield heading, inspect.cleandoc("\n".join(lines))
            heading, lines = found.group(1), []
        else:
            lines.append(line if heading == "" else line.removeprefix("    "))
    yield heading, "\n".join(lines).strip("\n")


def _items(text: str) -> str:
    """`name: text` as a list; anything else as it is."""
    entries = re.split(r"\n(?=\S)", text)
    found = [_ITEM.match(entry) for entry in entries]
    if not all(found):
        return _unwrapped(text)
    return "\n".join(f"- `{item.group(1)}`: {' '.join(item.group(2).split())}" for item in found if item)


def _unwrapped(text: str) -> str:
    """Paragraphs on one line each: the width of a docstring is no matter of a page."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
