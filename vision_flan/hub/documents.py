"""The documents beside the shards: card, licenses, citations, plot, Croissant; made from the manifests only.

The same manifests give the same documents, so the repository ends up the same when several people publish, or
when one is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vision_flan.dataset import front_matter
from vision_flan.dataset.attribution import NOTICES
from vision_flan.dataset.card import render_published_card
from vision_flan.dataset.croissant import croissant
from vision_flan.dataset.licenses import citations_bib, licenses_md
from vision_flan.dataset.plot import PLOT, plot
from vision_flan.dataset.publication import RECIPE, PublishedTask
from vision_flan.errors import HubError
from vision_flan.hub.remote import Reader, Remote

CARD = "README.md"


@dataclass
class Documents:
    """Renders the documents of one repository.

    Attributes:
        gated: whether to ask readers to accept the terms (`extra_gated_prompt`).
        contact: whom to write to, for the card; empty keeps what the card on the Hub says.
    """

    reader: Reader
    gated: bool = False
    contact: str = ""
    _cards: dict[str, str] | None = None

    def render(self, tasks: Mapping[str, PublishedTask], remote: Remote) -> dict[str, bytes]:
        """Path -> content of all documents for these tasks."""
        repo_id = remote.repo_id
        kept = self._kept(remote)
        if self.contact:
            kept = {**kept, front_matter.CONTACT: self.contact}
        texts = {
            CARD: render_published_card(tasks, repo_id, gated=self.gated, kept=kept),
            "LICENSES.md": licenses_md(tasks),
            "CITATIONS.bib": citations_bib(tasks),
            **notices(tasks),
            "croissant.json": json.dumps(croissant(tasks, repo_id), ensure_ascii=False) + "\n",
        }
        return {**{path: text.encode() for path, text in texts.items()}, PLOT: plot(tasks)}

    def _kept(self, remote: Remote) -> dict[str, Any]:
        try:
            return front_matter.parsed(self._card_there(remote))
        except ValueError as error:
            raise HubError(
                f"README.md of {remote.repo_id}: {error}, and would be lost",
                hint="fix the block between the lines `---` on the repository's page",
            ) from error

    def _card_there(self, remote: Remote) -> str:
        """The card on the Hub, whose other front matter keys are kept."""
        oid = remote.files.get(CARD)
        if oid is None or remote.head is None:
            return ""
        if self._cards is None:
            self._cards = {}
        if oid not in self._cards:
            self._cards[oid] = self.reader.text(CARD, remote.head)
        return self._cards[oid]


def notices(tasks: Mapping[str, PublishedTask]) -> dict[str, str]:
    """`LICENSES/<file>` -> text of the notices that travel with the images published."""
    return {
        f"{NOTICES}/{name}": text
        for _, task in sorted(tasks.items())
        for name, text in sorted(task.manifest.notices.items())
        if text and task.publication.form != RECIPE
    }
