"""Duplicates as lines of text, as facts for JSON, and as a page."""

from __future__ import annotations

from collections.abc import Mapping

from vision_flan.report import counted
from vision_flan.review.duplicates import Duplicates, Group, Place
from vision_flan.review.pages import template, text
from vision_flan.review.thumbnails import stored_images

#: What a scope is in words.
_SCOPES = {"within": "within one task", "across": "across tasks", "against": "with another folder"}
#: Instances of a group that are listed.
_LISTED = 6


def headline(found: Duplicates) -> str:
    """How many images were compared, and how many groups there are."""
    return f"{found.images:,} images compared: {counted(len(found.groups), 'group')} of duplicates"


def as_text(found: Duplicates, shown: int | None) -> str:
    """Counts by kind and scope, then the first groups; a group is an image and the instances that have it."""
    lines = [headline(found)]
    for name, count in found.counts().items():
        kind, scope = name.split()
        if count:
            lines.append(f"  {kind}, {_SCOPES[scope]}: {count:,}")
    for group in found.groups[:shown]:
        lines.append(f"{title(group)}:")
        lines += [f"  {named(place, found)}" for place in group.places[:_LISTED]]
        rest = len(group.places) - _LISTED
        lines += [f"  ... and {rest:,} more"] if rest > 0 else []
    rest = len(found.groups[shown:]) if shown is not None else 0
    lines += [f"... and {counted(rest, 'more group')}"] if rest else []
    lines += [f"images not compared by sight, {reason}: {count:,}" for reason, count in found.unread.items()]
    return "\n".join(lines)


def drops_text(going: Mapping[str, Mapping[str, int]], *, dropped: bool) -> str:
    """What went of each task, or would go."""
    if not going:
        return "no instance was dropped" if dropped else "--drop would drop no instance"
    verb = "dropped" if dropped else "--drop would drop"
    return "\n".join(
        f"{verb} {counted(sum(reasons.values()), 'instance')} of {task}: "
        + ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
        for task, reasons in going.items()
    )


def title(group: Group) -> str:
    """`near, across tasks, at most 4 bits apart`."""
    apart = f", at most {counted(group.bits, 'bit')} apart" if group.kind == "near" else ""
    return f"{group.kind}, {_SCOPES[group.scope]}{apart}"


def named(place: Place, found: Duplicates) -> str:
    """An instance by id, and its folder if it is another one."""
    return f"{place.id} ({found.folders[place.folder]})" if place.folder else place.id


def as_facts(found: Duplicates) -> dict[str, object]:
    """All groups for JSON."""
    return {
        "folders": [str(folder) for folder in found.folders],
        "images": found.images,
        "groups_by_kind": found.counts(),
        "images_not_compared_by_sight": dict(found.unread),
        "groups": [
            {
                "kind": group.kind,
                "scope": group.scope,
                "bits": group.bits,
                "instances": [
                    {"folder": str(found.folders[place.folder]), "task": place.task, "id": place.id}
                    for place in group.places
                ],
            }
            for group in found.groups
        ],
    }


def as_page(found: Duplicates, shown: int | None) -> str:
    """The first groups with their images, as one HTML file without outside parts and without script.

    Raises:
        VflanError: a shard cannot be read any more.
    """
    groups = found.groups[:shown]
    wanted = {place for group in groups for place in group.places[:_LISTED]}
    return template("duplicates.html.j2").render(
        headline=headline(found),
        folder=found.folders[0],
        counts=[(*name.split(), count) for name, count in found.counts().items()],
        scopes=_SCOPES,
        groups=groups,
        title=title,
        rest=len(found.groups) - len(groups),
        listed=_LISTED,
        named=lambda place: named(place, found),
        images={place: image for place, image, _ in stored_images(found.folders, wanted)},
        style=text("preview.css") + text("diff.css"),
    )
