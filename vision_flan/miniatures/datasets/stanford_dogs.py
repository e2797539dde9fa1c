"""Stanford Dogs: images in folders of breeds, lists of the splits as MATLAB 5 cell arrays.

`n` counts train images; test gets a quarter. `source_id` is the path below `Images`. The lists are held in
memory, as a cell array is written whole.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from vision_flan.miniatures import draw, formats, quirks, text
from vision_flan.miniatures.miniature import Miniature

#: Folders of some of the 120 breeds.
_FOLDERS = text.listed(
    "n02085620-Chihuahua n02091032-Italian_greyhound n02099267-flat-coated_retriever "
    "n02105855-Shetland_sheepdog n02106662-German_shepherd n02098105-soft-coated_wheaten_terrier "
    "n02110063-malamute n02112706-Brabancon_griffon n02111277-Newfoundland "
    "n02110958-pug n02115641-dingo n02116738-African_hunting_dog n02107574-Greater_Swiss_Mountain_dog"
)
#: Breeds that are not called as their folders are.
_NAMES = {
    "Italian_greyhound": "Italian greyhound",
    "malamute": "Alaskan malamute",
    "Doberman": "Doberman pinscher",
    "Great_Dane": "Great Dane",
    "Brabancon_griffon": "Brussels griffon",
    "Newfoundland": "Newfoundland dog",
    "African_hunting_dog": "African hunting dog",
    "Greater_Swiss_Mountain_dog": "greater Swiss mountain dog",
}
_SIZE = (128, 96)


def generate(mini: Miniature) -> None:
    ends = {"train": mini.n, "test": mini.n + max(mini.n // 4, 1)}
    everything = range(ends["test"])
    with mini.pack("lists.tar") as tree:
        tree.write_bytes("train_list.mat", _list(range(mini.n)))
        tree.write_bytes("test_list.mat", _list(range(mini.n, ends["test"])))
        tree.write_bytes("file_list.mat", _list(everything))
    with mini.pack("images.tar") as images, mini.pack("annotation.tar") as annotations:
        for index in everything:
            path, breed = _path(index), _breed(index)
            # one of upstream's files contains PNG data
            card = partial(draw.caption_card, breed, _SIZE, note=str(index))
            images.image(f"Images/{path}", quirks.palette(card()) if index % 39 == 3 else card)
            wnid = path.partition("-")[0]
            xml = formats.voc_xml("%s", _SIZE, [{"name": breed, "box": (9, 9, 90, 80)}], folder=wnid[1:])
            annotations.write_text(f"Annotation/{path.removesuffix('.jpg')}", xml)
            if index < mini.n:
                mini.truth("animal_stanford_dogs", path, target=breed)


def _breed(index: int) -> str:
    folder = _FOLDERS[index % len(_FOLDERS)].partition("-")[2]
    return _NAMES.get(folder, folder.replace("_", " "))


def _path(index: int) -> str:
    folder = _FOLDERS[index % len(_FOLDERS)]
    return f"{folder}/{folder.partition('-')[0]}_{index * 37 + 10}.jpg"


def _list(indexes: range) -> bytes:
    paths = [_path(index) for index in indexes]
    labels = np.array([[index % len(_FOLDERS) + 1] for index in indexes], dtype=np.float64)
    variables = {
        "file_list": formats.cell(paths, column=True),
        "annotation_list": formats.cell([path.removesuffix(".jpg") for path in paths], column=True),
        "labels": labels,
    }
    return formats.mat5(variables)
