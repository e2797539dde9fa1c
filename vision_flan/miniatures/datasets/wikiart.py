"""WikiArt: artworks in folders of styles, and three lists (style, genre, artist), each with its own splits.

`n` counts the images of style_train; style_val gets a quarter. `source_id` is the path below `wikiart`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

#: Folder -> style as written in text.
_STYLES = {
    "Realism": "Realism",
    "Art_Nouveau_Modern": "Art Nouveau",
    "Post_Impressionism": "Post-Impressionism",
    "Ukiyo_e": "Ukiyo-e",
    "Color_Field_Painting": "Color Field Painting",
    "Baroque": "Baroque",
}
_CLASSES = tuple(folder.removesuffix("_Modern") for folder in _STYLES)
_GENRES = text.listed(
    "abstract_painting cityscape genre_painting illustration landscape nude_painting portrait "
    "religious_painting sketch_and_study still_life"
)
_ARTISTS = {
    "vincent-van-gogh": "Vincent van Gogh",
    "pyotr-konchalovsky": "Pyotr Konchalovsky",
    "fra-angelico": "Fra Angelico",
    "pierre-auguste-renoir": "Pierre-Auguste Renoir",
    "maurice-de-vlaminck": "Maurice de Vlaminck",
    # UTF-8 that was read as Latin-1, then put in lower case, as upstream's lists have it
    "josã©-de-ribera": "José de Ribera",
    "joaquã\xadn-sorolla": "Joaquín Sorolla",
    # capitals that are not just at the beginning of a word
    "t.-c.-steele": "T. C. Steele",
    "james-mcneill-whistler": "James McNeill Whistler",
    "utagawa-toyokuni-ii": "Utagawa Toyokuni II",
    "allan-d'arcangelo": "Allan D'Arcangelo",
    "josep-rovira-y-subias": "Josep Rovira y Subias",
    "georges-lacombeâ\xa0": "Georges Lacombe",
    "marevna-(marie-vorobieff)": "Marevna",
}
#: Genres that people call otherwise.
_CALLED = {
    "abstract_painting": "abstract art",
    "genre_painting": "genre scene",
    "nude_painting": "nude",
    "sketch_and_study": "sketch or study",
}
_PARTS = ("train", "val")


def generate(mini: Miniature) -> None:
    everything = range(mini.n + max(mini.n // 4, 1))
    with mini.pack("wikiart_csv.zip") as tree:
        names = (("style", _CLASSES), ("genre", _GENRES), ("artist", tuple(_ARTISTS)))
        for task, labels in names:
            lines = (f"{key} {name}" for key, name in enumerate(labels))
            tree.write_lines(f"wikiart_csv/{task}_class.txt", lines)
        for number, part in enumerate(_PARTS):
            own = [index for index in everything if (index >= mini.n) == bool(number)]
            lines = (f"{_path(index)},{index % len(_STYLES)}" for index in own)
            tree.write_lines(f"wikiart_csv/style_{part}.csv", lines, end="\r\n")
            tree.write_lines(f"wikiart_csv/genre_{part}.csv", _genre_lines(everything, number), end="\r\n")
            lines = (f"{_path(index)},{index % len(_ARTISTS)}" for index in everything if index % 4 == number)
            tree.write_lines(f"wikiart_csv/artist_{part}.csv", lines, end="\r\n")
    with mini.pack("wikiart.zip") as tree:
        for index in everything:
            tree.image(f"wikiart/{_path(index)}", partial(draw.caption_card, _sentence(index), (160, 120)))
    for index in range(mini.n):
        claim = {"target": _sentence(index)} if _genre(index) else {"dropped": "no genre"}
        mini.truth("art_wikiart", _path(index), **claim)


def _path(index: int) -> str:
    artist = list(_ARTISTS)[index * 5 // 4 % len(_ARTISTS)]
    title = f"study_no-{index}(1)" if index % 11 == 3 else f"view-{index}-1890"
    return f"{list(_STYLES)[index % len(_STYLES)]}/{artist}_{title}.jpg"


def _genre(index: int) -> str | None:
    """Four of five images are in a genre list."""
    return _GENRES[index * 3 % len(_GENRES)] if index % 5 else None


def _genre_lines(everything: range, number: int) -> Iterator[str]:
    """Images by threes go to val; the first of them stands there twice."""
    for index in everything:
        genre = _genre(index)
        if genre and (index % 3 == 0) == bool(number):
            line = f"{_path(index)},{_GENRES.index(genre)}"
            yield line
            if index == 3:
                yield line


def _sentence(index: int) -> str:
    artist = list(_ARTISTS.values())[index * 5 // 4 % len(_ARTISTS)]
    style = list(_STYLES.values())[index % len(_STYLES)]
    genre = _genre(index)
    called = _CALLED.get(genre or "", (genre or "").replace("_", " "))
    middle = f"falls under the genre of {called} and " if genre else ""
    return f"This artwork was created by {artist}. It {middle}showcases the {style} style."
