"""What all pages of this room are made with: templates and styles that lie beside the modules."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template


@cache
def template(name: str) -> Template:
    """A page's template; what it is given is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text(name))


@cache
def text(name: str) -> str:
    """A file of this room, such as a style sheet."""
    return resources.files("vision_flan.review").joinpath(name).read_text("utf-8")
