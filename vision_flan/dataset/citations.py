"""BibTeX of sources, whose texts are anybody's: an entry ends where it ends, and runs nothing of TeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vision_flan.spec.markdown import flat

#: How an entry begins: its kind and its key.
_BEGIN = re.compile(r"@([A-Za-z]+)\s*\{\s*([^\s,{}\"#%~\\]+)\s*,")
#: What begins as an entry does, and is none.
_NO_ENTRIES = ("preamble", "string", "comment")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
#: Commands of TeX that only show something: accents, letters, fonts, signs.
_NAMES = """
aa AA ae AE alpha amp b beta bf c cdot cedilla copyright d delta dh DH dj DJ dots em emph ensuremath
epsilon eta gamma guillemotleft guillemotright H href i infty it j k l L lambda ldots mathbb mathcal
mathit mathrm mu ng o O oe OE omega P phi pi pm psi r relax rho rm S sc sigma sl ss sum t tau
textasciitilde textasciicircum textbackslash textbf textemdash textendash textit textmd textquoteright
textrm textsc textsf textsl textsuperscript textsubscript texttt textunderscore textup th TH theta times
tt u underline url v xi
"""
_SHOWS = frozenset(_NAMES.split())


def bibtex(dataset: str, source: Mapping[str, Any]) -> str:
    """A source's citation; one that is not BibTeX, or is more than entries, becomes a @misc entry."""
    citation = str(source.get("citation", "")).strip()
    if is_bibtex(citation):
        return citation
    note = f",\n  note  = {{{_inside(citation)}}}" if citation else ""
    url = re.sub(r"[{}\\\s]", lambda found: f"%{ord(found[0]):02X}", source["homepage"])
    return f"@misc{{{dataset},\n  title = {{{_inside(source['title'])}}},\n  url   = {{{url}}}{note}\n}}"


def is_bibtex(text: str) -> bool:
    """Whether a text is entries and nothing else, and asks TeX for letters and fonts at most."""
    at = 0
    for begin, end in _entries(text):
        if text[at:begin].strip():
            return False
        at = end
    shows = all(name in _SHOWS for name in _COMMAND.findall(text))
    return at > 0 and not text[at:].strip() and shows and "^^" not in text


def _entries(text: str) -> Iterator[tuple[int, int]]:
    """Where whole entries begin and end."""
    at = 0
    while found := _BEGIN.search(text, at):
        depth = 0
        if found[1].lower() in _NO_ENTRIES:
            return
        for place in range(found.start(), len(text)):
            depth += (text[place] == "{") - (text[place] == "}")
            if text[place] == "}" and not depth:
                at = place + 1
                yield found.start(), at
                break
        else:
            return


def citation_key(entry: str) -> str:
    """The key of a BibTeX entry."""
    found = re.match(r"@\w+\s*\{\s*([^,\s]+)", entry)
    return found[1] if found else ""


def _inside(text: str) -> str:
    """Text for a field, which it cannot end."""
    return flat(text).translate({ord("{"): "(", ord("}"): ")", ord("\\"): "\\textbackslash "})
