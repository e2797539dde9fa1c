"""What may be done with a dataset: licenses of both halves, with their evidence; limits of use.

Values are made from documents that passed the JSON schema. A manifest holds them as plain data (`asdict`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

YES, PER_IMAGE, UNCLEAR, NO = "yes", "per_image", "unclear", "no"
#: Verdicts, from most to least permissive.
VERDICTS = (YES, PER_IMAGE, UNCLEAR, NO)
FORBIDDEN, DISCOURAGED = "forbidden", "discouraged"


@dataclass(frozen=True)
class Evidence:
    """Where a verdict was read: the page, at most a sentence of it, and the day.

    Attributes:
        copy_of: where the original is, if the page is somebody's copy of it.
        states_none: the page was read whole, and states no license; there is no quote then.
    """

    url: str
    quote: str = ""
    seen: str = ""
    copy_of: str = ""
    states_none: bool = False


@dataclass(frozen=True)
class Terms:
    """The license of one half of a dataset, its images or its annotations.

    Attributes:
        spdx: its SPDX id, None where it has none.
        verdict: yes, per_image, unclear or no: whether that half may be passed on.
        attribution: the license asks for the author of each image, which the dataset's `credits` name.
        column: for per_image, the column of `credits` with an image's license.
        allowed: for per_image, the licenses in that column under which an image may be passed on.
        lender: the dataset whose images these are, whose terms hold.
    """

    name: str
    spdx: str | None = None
    verdict: str = UNCLEAR
    attribution: bool = False
    column: str = ""
    allowed: tuple[str, ...] = ()
    lender: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def rank(self) -> int:
        """0 for yes; the larger, the less is permitted."""
        return VERDICTS.index(self.verdict)

    @property
    def needs_credits(self) -> bool:
        """Whether an image may go out only with an entry in `credits`."""
        return self.attribution or self.verdict == PER_IMAGE


@dataclass(frozen=True)
class Notice:
    """A license text or copyright notice that travels with the images: a file beside dataset.yaml, or one in
    the raw folder."""

    file: str = ""
    raw: str = ""


@dataclass(frozen=True)
class License:
    """The licenses of a dataset's two halves."""

    images: Terms
    annotations: Terms
    note: str = ""
    notices: tuple[Notice, ...] = ()

    @property
    def name(self) -> str:
        """Both halves in one line."""
        if self.images.name == self.annotations.name:
            return self.images.name
        return f"images: {self.images.name}; annotations: {self.annotations.name}"

    @property
    def spdx(self) -> str | None:
        """The SPDX id of both halves, None where they differ."""
        return self.images.spdx if self.images.spdx == self.annotations.spdx else None

    def with_images(self, terms: Terms | None) -> License:
        """The same license with other terms for the images; itself for None."""
        return self if terms is None else replace(self, images=terms)


@dataclass(frozen=True)
class Use:
    """A limit of use that its makers set: training on it is forbidden or discouraged."""

    train: str
    reason: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Withdrawn:
    """A dataset, or the one it is drawn from, that its makers have taken back, or whose host is gone.

    Attributes:
        by: who took it back; with `host_gone`, which host is gone and where a copy is.
        date: of the withdrawal, or when the host was found gone.
    """

    by: str
    date: str
    evidence: tuple[Evidence, ...] = ()
    host_gone: bool = False

    @property
    def said(self) -> str:
        """What a user should know, in a sentence without its end."""
        if self.host_gone:
            return f"its host is gone, as found on {self.date}: {self.by}"
        return f"withdrawn on {self.date} by {self.by}"


@dataclass(frozen=True)
class Source:
    """A work that a dataset's images or annotations come from, for citations and licenses."""

    key: str
    title: str
    homepage: str
    license: str
    citation: str = field(default="")
    evidence: tuple[Evidence, ...] = ()


def stricter(first: Terms, second: Terms) -> Terms:
    """The terms of which less goes out; of two lists of allowed licenses what both allow.

    The first where nothing differs. An image with unclear terms goes out on request, so per_image is the
    stricter of the two.
    """
    order = (YES, UNCLEAR, PER_IMAGE, NO)
    ranks = [order.index(terms.verdict) for terms in (first, second)]
    chosen = second if ranks[1] > ranks[0] else first
    if first.verdict == second.verdict == PER_IMAGE:
        chosen = replace(chosen, allowed=tuple(value for value in first.allowed if value in second.allowed))
    if first.attribution or second.attribution:
        chosen = replace(chosen, attribution=True)
    return chosen


def terms_from(data: Mapping[str, object], lender: Terms | None = None) -> Terms:
    """The terms of one half, as a spec or a manifest has them.

    Args:
        lender: the terms that hold where the half names a `lender`.
    """
    if lender is not None:
        return replace(lender, lender=str(data["lender"]))
    spdx = data.get("spdx")
    return Terms(
        name=str(data.get("name", "")),
        spdx=None if spdx is None else str(spdx),
        verdict=str(data.get("verdict", UNCLEAR)),
        attribution=bool(data.get("attribution", False)),
        column=str(_part(data, "per_image", "column")),
        allowed=tuple(str(value) for value in _listed(_part(data, "per_image", "allowed"))),
        lender=str(data.get("lender", "")),
        evidence=evidence_from(data.get("evidence")),
    )


def _part(data: Mapping[str, object], key: str, name: str) -> object:
    """`key.name` of a spec, `name` of a manifest."""
    block = data.get(key)
    return block.get(name, "") if isinstance(block, Mapping) else data.get(name, "")


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def evidence_from(entries: object) -> tuple[Evidence, ...]:
    """The evidence in a spec or a manifest; what is no mapping is left out."""
    return tuple(
        Evidence(
            url=str(entry.get("url", "")),
            quote=str(entry.get("quote", "")),
            seen=str(entry.get("seen", "")),
            copy_of=str(entry.get("copy_of", "")),
            states_none=entry.get("states_none") is True,
        )
        for entry in _listed(entries)
        if isinstance(entry, Mapping)
    )


def license_from(data: Mapping[str, object], images: Terms | None = None) -> License:
    """A license in a spec or a manifest.

    Args:
        images: the terms of the images' lender, where the spec names one.
    """
    halves = {name: data[name] for name in ("images", "annotations") if isinstance(data.get(name), Mapping)}
    if not halves:  # a manifest of an earlier version has one license for both
        whole = {**data, "verdict": data.get("redistribute_images", NO)}
        known = whole["verdict"] in VERDICTS
        terms = terms_from(whole if known else {**whole, "verdict": NO})
        return License(terms, replace(terms, verdict=UNCLEAR), str(data.get("note", "")))
    notices = tuple(
        Notice(str(entry.get("file", "")), str(entry.get("raw", "")))
        for entry in _listed(data.get("notices"))
        if isinstance(entry, Mapping)
    )
    return License(
        _half(halves, "images", images), _half(halves, "annotations"), str(data.get("note", "")), notices
    )


def _half(halves: Mapping[str, object], name: str, lender: Terms | None = None) -> Terms:
    data = halves.get(name)
    if not isinstance(data, Mapping):
        return Terms("None stated", verdict=NO)
    terms = terms_from(data, lender)
    return terms if terms.verdict in VERDICTS else replace(terms, verdict=NO)


def use_from(data: object) -> Use | None:
    """A limit of use in a spec or a manifest, None where there is none."""
    if not isinstance(data, Mapping):
        return None
    return Use(str(data.get("train", "")), str(data.get("reason", "")), evidence_from(data.get("evidence")))


def withdrawn_from(data: object) -> Withdrawn | None:
    """A withdrawal in a spec or a manifest, None where there is none."""
    if not isinstance(data, Mapping):
        return None
    return Withdrawn(
        str(data.get("by", "")),
        str(data.get("date", "")),
        evidence_from(data.get("evidence")),
        host_gone=bool(data.get("host_gone", False)),
    )
