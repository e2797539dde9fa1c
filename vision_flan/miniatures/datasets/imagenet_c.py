"""ImageNet-C: corrupted copies of validation images, by corruption, severity and WordNet id.

`n` counts images over all 19 corruptions; up to 95 per original. `source_id` is the path,
`fog/3/n01440764/ILSVRC2012_val_00000001.JPEG`. There is one tar per group, without a folder for the group.
"""

from __future__ import annotations

from contextlib import ExitStack

from vision_flan.miniatures import draw
from vision_flan.miniatures.corrupt import GROUPS, corrupt
from vision_flan.miniatures.miniature import Miniature

_CLASSES = {"n01440764": "tench", "n02085620": "Chihuahua", "n03028079": "church", "n07753592": "banana"}
#: What some corruptions are called.
_NOUNS = {
    "gaussian_noise": "Gaussian noise",
    "gaussian_blur": "Gaussian blur",
    "jpeg_compression": "JPEG compression",
    "contrast": "low contrast",
    "elastic_transform": "elastic distortion",
    "pixelate": "pixelation",
    "saturate": "oversaturation",
}
_CELLS = [
    (group, name, severity)
    for severity in (3, 5, 1, 4, 2)
    for group, names in GROUPS.items()
    for name in names
]


def generate(mini: Miniature) -> None:
    with ExitStack() as stack:
        trees = {group: stack.enter_context(mini.pack(f"{group}.tar")) for group in GROUPS}
        for index in range(mini.n):
            original = index // len(_CELLS)
            group, name, severity = _CELLS[index % len(_CELLS)]
            wnid = list(_CLASSES)[original % len(_CLASSES)]
            path = f"{name}/{severity}/{wnid}/ILSVRC2012_val_{original + 1:08d}.JPEG"
            photo = draw.texture(mini.rng(original), (224, 224), grain=16)
            photo.paste(draw.caption_card(_CLASSES[wnid], (160, 120), note=str(original)), (32, 50))
            trees[group].image(path, corrupt(name, severity, photo, mini.np_rng(index)), quality=85)
            _truth(mini, group, name, path, visible=severity >= 3)


def _truth(mini: Miniature, group: str, name: str, path: str, *, visible: bool) -> None:
    label = _NOUNS.get(name, name.replace("_", " "))
    answers = {"quality_imagenet_c_coarse": group}
    if group == "extra":
        answers = {"quality_imagenet_c_fine": label}
    elif group in ("blur", "weather"):
        answers[f"quality_imagenet_c_{group}"] = label
    else:
        answers["quality_imagenet_c_fine"] = label
    for task, answer in answers.items():
        if visible:
            mini.truth(task, path, answer=answer)
        else:
            mini.truth(task, path, dropped="hardly visible")
