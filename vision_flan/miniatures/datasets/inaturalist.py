"""iNaturalist 2021: one COCO-like document per split, images in folders named after the whole taxonomy.

`n` counts train images; val and public_test get an eighth each, train_mini a quarter of train's.
`source_id` is the UUID in the file name.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "specific_epithet")
#: Common name; supercategory; ranks. The last two have no common name of their own.
_SPECIES = text.listed(
    "Common Earthworm;Animalia;Animalia Annelida Clitellata Haplotaxida Lumbricidae Lumbricus terrestris|"
    "Northern Pike;Ray-finned Fishes;Animalia Chordata Actinopterygii Esociformes Esocidae Esox lucius|"
    "Blue-breasted Cordonbleu;Birds;Animalia Chordata Aves Passeriformes Estrildidae Uraeginthus angolensis|"
    "Common Yarrow;Plants;Plantae Tracheophyta Magnoliopsida Asterales Asteraceae Achillea millefolium|"
    "Monarch;Insects;Animalia Arthropoda Insecta Lepidoptera Nymphalidae Danaus plexippus|"
    "Fly Agaric;Fungi;Fungi Basidiomycota Agaricomycetes Agaricales Amanitaceae Amanita muscaria|"
    "Common Frog;Amphibians;Animalia Chordata Amphibia Anura Ranidae Rana temporaria|"
    "Sand Lizard;Reptiles;Animalia Chordata Reptilia Squamata Lacertidae Lacerta agilis|"
    "Red Fox;Mammals;Animalia Chordata Mammalia Carnivora Canidae Vulpes vulpes|"
    "Burgundy Snail;Mollusks;Animalia Mollusca Gastropoda Stylommatophora Helicidae Helix pomatia|"
    "Wasp Spider;Arachnids;Animalia Arthropoda Arachnida Araneae Araneidae Argiope bruennichi|"
    ";Fungi;Fungi Ascomycota Lecanoromycetes Lecanorales Parmeliaceae Evernia prunastri|"
    "Ginkgo biloba;Plants;Plantae Tracheophyta Ginkgoopsida Ginkgoales Ginkgoaceae Ginkgo biloba",
    "|",
)


def _category(key: int) -> dict[str, Any]:
    common, group, line = _SPECIES[key].split(";")
    ranks = dict(zip(_RANKS, line.split(), strict=True))
    return {
        "id": key,
        "name": f"{ranks['genus']} {ranks['specific_epithet']}",
        "common_name": common,
        "supercategory": group,
        **ranks,
        "image_dir_name": f"{key:05d}_{'_'.join(ranks.values())}",
    }


_CATEGORIES = [_category(key) for key in range(len(_SPECIES))]


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    for split, count in (
        ("train", mini.n),
        ("train_mini", max(mini.n // 4, 1)),
        ("val", few),
        ("public_test", few),
    ):
        with mini.pack(f"{split}.tar.gz") as tree, mini.pack(f"{split}.json.tar.gz") as lists:
            _split(mini, split, count, tree, lists)


def _split(mini: Miniature, split: str, count: int, tree: Tree, lists: Tree) -> None:
    with lists.json_document(f"{split}.json") as document:
        document.field("info", {"year": 2021, "description": "iNaturalist 2021 (miniature)"})
        put_image, put_category = document.array("images"), document.array("categories")
        put_link = None if split == "public_test" else document.array("annotations")
        document.field("licenses", [{"id": 0, "name": "CC BY-NC 4.0", "url": ""}])
        for category in _CATEGORIES:
            put_category(category)
        for index in range(count):
            rng = mini.rng(split, index)
            category = _CATEGORIES[index % len(_CATEGORIES)]
            uuid = _uuid(mini, split.removesuffix("_mini"), index)
            folder = f"{split}/{category['image_dir_name']}" if put_link else split
            size = draw.some_size(rng)
            image_id = index + (0 if split.startswith("train") else 2_686_843)
            put_image(
                {
                    "id": image_id,
                    "width": size[0],
                    "height": size[1],
                    "file_name": f"{folder}/{uuid}.jpg",
                    "license": 0,
                    "rights_holder": "A. Naturalist",
                    "date": "2020-06-01 10:00:00+00:00",
                    "latitude": None if index % 9 == 3 else rng.uniform(-60, 70),
                    "longitude": None if index % 9 == 3 else rng.uniform(-180, 180),
                    "location_uncertainty": rng.choice((None, 5, 3_000_000)),
                }
            )
            card = partial(
                draw.caption_card, f"{category['common_name']} {category['name']}", size, note=uuid
            )
            tree.image(f"{folder}/{uuid}.jpg", card)
            if put_link:
                put_link({"id": index, "image_id": image_id, "category_id": category["id"]})
            if split == "train":
                _truth(mini, uuid, category)


def _uuid(mini: Miniature, *key: object) -> str:
    digits = mini.hex_id(32, *key)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _truth(mini: Miniature, uuid: str, category: dict[str, Any]) -> None:
    for rank in ("phylum", "class", "order", "family", "genus"):
        mini.truth(f"animal_inaturalist_{rank}", uuid, target=category[rank])
    group = category["supercategory"].lower().replace("animalia", "other animals")
    mini.truth("animal_inaturalist_supercategory", uuid, answer=group)
    common, name = category["common_name"], category["name"]
    if common in ("", name):
        mini.truth("animal_inaturalist_name", uuid, dropped="no common name")
    else:
        target = f"The organism in the image is the {common}. Its scientific name is {name}."
        mini.truth("animal_inaturalist_name", uuid, target=target)
