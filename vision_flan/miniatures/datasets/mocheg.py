"""Mocheg: claims with verdicts in a CSV, evidence images named by claim.

`n` counts claims of train; val and test get an eighth each. `source_id` is the claim's number. A claim has
one to three rows, one per text evidence.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_HEADER = text.listed(
    "claim_id;Claim;Truthfulness;cleaned_truthfulness;Evidence;ruling_outline;Origin;Snopes URL;Category", ";"
)
#: cleaned_truthfulness -> what the sites say, the task's answer
_VERDICTS = {
    "supported": ("True", "yes"),
    "refuted": ("Pants on Fire", "no"),
    "NEI": ("Unproven", "not sure"),
}
_LINKED = "Corpus3.csv", "supplementary/Corpus3_sentence_level.csv"


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.pack("mocheg.tar.gz") as tree:
        for name in _LINKED:
            with tree.csv(f"mocheg/{name}", ["claim_id", "relevant_document_id", "Origin Document"]) as add:
                add([1, 1, "A page."])
        for split, count in (("train", mini.n), ("val", few), ("test", few)):
            with tree.csv(f"mocheg/{split}/Corpus2.csv", _HEADER) as add:
                for index in range(count):
                    claim_id = index + 1 + {"train": 0, "val": mini.n, "test": mini.n + few}[split]
                    rng = mini.rng(split, index)
                    claimed, seen = text.clause(rng), text.clause(rng)
                    claim = f"{claimed[0].upper()}{claimed[1:]}."
                    verdict = list(_VERDICTS)[index % 3]
                    scene = {"supported": claimed, "refuted": seen}.get(verdict, "the place is empty")
                    outline, context = _outline(index, verdict, scene)
                    for _ in range(rng.randint(1, 3)):
                        evidence = rng.choice(("", f"<p>{text.paragraph(rng, 2)}</p>\n<p>More.</p>"))
                        say = _VERDICTS[verdict][0]
                        url = "https://example.org/fact"
                        add([claim_id, claim, say, verdict, evidence, outline, outline, url, "Politics"])
                    _images(tree, f"mocheg/{split}/images", index, claim_id, scene)
                    if split == "train":
                        lost = {8: "no proof picture", 5: "the picture does not decode"}.get(index % 20)
                        mini.truth(
                            "reasoning_mocheg",
                            claim_id,
                            **({"dropped": lost} if lost else _claim(verdict, context)),
                        )


def _outline(index: int, verdict: str, scene: str) -> tuple[str, str]:
    """A short ruling, and the same without its verdict."""
    say = f'"We rate this claim {_VERDICTS[verdict][0]}," says the site.'
    if index % 12 == 10:
        return (say, "") if index % 24 == 10 else ("", "")
    saw = {"supported": "saw it", "refuted": "were there, and saw none of it", "NEI": "came the day after"}
    facts = f"In the U.S. press, 3.5 percent of papers wrote about it. Photographers {saw[verdict]}: {scene}."
    return f"{facts} {say}", facts


def _claim(verdict: str, context: str) -> dict[str, object]:
    if not context:
        return {"dropped": "no context"}
    return {"answer": _VERDICTS[verdict][1], "contains": f"\nContext: {context}\nOptions:"}


def _images(tree: Tree, folder: str, index: int, claim_id: int, scene: str) -> None:
    """Evidence images with padded and odd names; and one of a linked document, which is not evidence."""
    card = partial(draw.caption_card, scene, (128, 96))
    tree.image(f"{folder}/{claim_id:05d}-{claim_id + 7}-01-page.jpg", card)
    if index % 20 == 8:
        return
    if index % 20 == 5:
        tree.image(f"{folder}/{claim_id:05d}-proof-01-cut.jpg", lambda: quirks.truncated(card()))
        return
    for number in range(1 + index % 2):
        tree.image(f"{folder}/{claim_id:05d}-proof-{number:02d}-a%20b=c,({number}).jpg", card)
