"""The judges' prompts, as text files; SOURCES.md says where each is from."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def prompt(name: str) -> str:
    """The text of `<name>.txt`."""
    return (files(__name__) / f"{name}.txt").read_bytes().decode("utf-8")


def filled(name: str, **values: str) -> str:
    """The prompt with `{name}` replaced; braces inside values stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], prompt(name))
