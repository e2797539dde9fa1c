"""Kinds of personal or sensitive content: what the card says, and what a publisher should consider."""

from __future__ import annotations

from dataclasses import dataclass

from vision_flan.dataset.manifest import Manifest

#: The Hub's tag for content that not everybody should see.
NOT_FOR_ALL = "not-for-all-audiences"


@dataclass(frozen=True)
class Kind:
    """A kind of content.

    Attributes:
        text: what the card calls it.
        advice: what a publisher should consider.
        tagged: whether the repository gets the Hub's tag.
    """

    text: str
    advice: str
    tagged: bool = False


SENSITIVE = {
    "faces": Kind("faces of people", "consider --gated auto or --private"),
    "attributes": Kind(
        "labels of people's attributes",
        "they judge people by their looks: consider --gated manual or --private",
    ),
    "identity": Kind(
        "names of the people shown", "who is shown can be looked up: consider --gated manual or --private"
    ),
    "children": Kind("children", "nobody asked them: consider --gated auto or --private"),
    "medical": Kind("medical images", "make sure that no patient can be recognized: consider --gated manual"),
    "documents": Kind(
        "documents with names, addresses or signatures", "they may name private people: consider --gated auto"
    ),
    "adult": Kind("adult content", "the repository is tagged; consider --gated auto", tagged=True),
    "hate": Kind("hateful content", "the repository is tagged; consider --gated auto", tagged=True),
    "location": Kind("where an image was taken", "it may lead to a person's home: consider --gated auto"),
}


def kinds_of(manifest: Manifest) -> tuple[str, ...]:
    """The kinds of content in a task."""
    kinds = manifest.source.get("sensitive") or ()
    return tuple(str(kind) for kind in kinds)


def is_not_for_all(manifest: Manifest) -> bool:
    """Whether the Hub's tag fits a task."""
    return any(SENSITIVE[kind].tagged for kind in kinds_of(manifest) if kind in SENSITIVE)
