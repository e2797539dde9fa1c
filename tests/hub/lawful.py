"""What a publication must hold and must not hold, told from the dataset.yaml files alone, and not by the code
that publishes.

A check gives the names of what is wrong, so that a test can plant a fault and see it found.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from tests.hub.searching import leaked
from vision_flan.spec.catalog import Catalog

Row = dict[str, Any]
#: Words of somebody who did not read it. They belong into no file that others rely on.
_DOUBT = re.compile(
    r"\b(?:recalled|not confirmed|unconfirmed|as commonly|probably|presumably|todo|tbd)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Publication:
    """A compiled folder, the files of its repository, and all that the server received.

    Attributes:
        specs: the dataset.yaml files, by dataset; `tasks`: the YAML files of the tasks compiled.
    """

    out: Path
    files: Mapping[str, bytes]
    received: Sequence[bytes]
    specs: Mapping[str, Row]
    tasks: Mapping[str, Row]

    def rows(self, task: str) -> list[Row]:
        """What was compiled."""
        return [row for path in sorted((self.out / task).glob("*.parquet")) for row in table(path)]

    def sent(self, task: str) -> list[Row]:
        """What is in the repository."""
        found = [name for name in sorted(self.files) if re.search(rf"(^|/){task}/[^/]+\.parquet$", name)]
        return [row for name in found for row in table(io.BytesIO(self.files[name]))]

    @property
    def public(self) -> dict[str, Row]:
        """The tasks that go out in some form: those whose annotations may be passed on."""
        return {task: spec for task, spec in self.tasks.items() if not self.is_withheld(task)}

    def is_withheld(self, task: str) -> bool:
        """Whether nothing of a task may go out."""
        license = self.specs[self.tasks[task]["dataset"]]["license"]
        return bool(license["annotations"]["verdict"] == "no")

    def form(self, task: str) -> str:
        """Whole, mixed or recipe, as the repository says."""
        return str(json.loads(self.files[f"manifest/{task}.json"])["published"]["form"])

    def terms(self, task: str) -> Row:
        """The license of a task's images as the YAML files have it, that of the lender where one is named."""
        dataset = self.specs[self.tasks[task]["dataset"]]
        terms = (self.tasks[task].get("license") or {}).get("images") or dataset["license"]["images"]
        return self.specs[terms["lender"]]["license"]["images"] if "lender" in terms else terms

    def allowed(self, task: str) -> set[str]:
        """The instances whose image may go out."""
        terms, everything = self.terms(task), {row["id"] for row in self.rows(task)}
        if self.is_withheld(task) or terms["verdict"] not in ("yes", "per_image"):
            return set()
        if terms["verdict"] == "yes" and not terms.get("attribution"):
            return everything
        free = {str(value) for value in terms.get("per_image", {}).get("allowed", ())}
        listed = self.out / f"attribution/{task}.parquet"
        assert listed.exists(), f"{task}: the miniature has no list of authors"
        return {
            row["id"]
            for row in table(listed)
            if (terms["verdict"] == "yes" or row["license"] in free)
            and (not terms.get("attribution") or row["author"] or row["landing_url"])
        }


def of_tasks(out: Path, tasks: Sequence[str], files: dict[str, bytes], received: list[bytes]) -> Publication:
    """The publication of tasks of this repository's specs."""
    catalog = Catalog.default()

    def read(path: Path) -> Row:
        return dict(yaml.safe_load(path.read_text("utf-8")))

    specs = {name: read(path) for name, path in catalog.dataset_files.items()}
    return Publication(out, files, received, specs, {task: read(catalog.task_files[task]) for task in tasks})


def table(file: Path | io.BytesIO) -> list[Row]:
    return list(pq.read_table(file).to_pylist())


def wrong_rows(one: Publication) -> list[str]:
    """Tasks that lack rows or have others, and rows that lack their image, or have one that must stay."""
    wrong = []
    for task in one.public:
        allowed, rows = one.allowed(task), one.rows(task)
        there = {row["id"]: row for row in one.sent(task)}
        if set(there) != {row["id"] for row in rows}:
            wrong.append(task)
            continue
        for row in rows:
            expected = row["image"] if row["id"] in allowed else None
            if there[row["id"]].get("image") != expected:
                wrong.append(row["id"])
        form = "recipe" if not allowed else "whole" if len(allowed) == len(rows) else "mixed"
        if one.form(task) != form:
            wrong.append(task)
    return wrong


def withheld_there(one: Publication) -> list[str]:
    """Files of tasks of which nothing may go out."""
    hidden = "|".join(re.escape(task) for task in one.tasks if one.is_withheld(task))
    return [name for name in sorted(one.files) if hidden and re.search(rf"(^|/)({hidden})[./]", name)]


def leaks(one: Publication) -> list[str]:
    """Rows whose image must stay, and of whose image the server received a good part."""
    kept: dict[str, bytes] = {}
    gone: list[bytes] = []
    for task in one.tasks:
        allowed = one.allowed(task)
        for row in one.rows(task):
            content = bytes(row["image"]["bytes"])
            if row["id"] in allowed:
                gone.append(content)
            else:
                kept[f"{task} {row['id']}"] = content
    names = list(kept)
    return [names[at] for at in leaked(list(kept.values()), gone, one.received)]


def shown_in_galleries(one: Publication) -> list[str]:
    """Examples, whose bytes are smaller copies, of tasks that do not send all images."""
    tasks = {name: Path(name).stem for name in one.files if name.startswith("gallery/")}
    return sorted(
        name
        for name, task in tasks.items()
        if task not in one.public or one.terms(task)["verdict"] != "yes" or one.terms(task).get("attribution")
    )


def without_author(one: Publication) -> list[str]:
    """Attribution tables that are missing or too many, and rows with an image that such a table lacks."""
    wrong = []
    for task in one.public:
        terms, name = one.terms(task), f"attribution/{task}.parquet"
        needs = terms.get("attribution") or terms["verdict"] == "per_image"
        if (name in one.files) != bool(needs and one.form(task) != "recipe"):
            wrong.append(name)
        if name not in one.files:
            continue
        named = {row["id"]: row for row in table(io.BytesIO(one.files[name]))}
        for row in one.sent(task):
            credit = named.get(row["id"], {})
            licensed = credit.get("license_url") or credit.get("license")
            named_author = credit.get("author") or credit.get("landing_url")
            if row["image"] and not (licensed and (named_author or not terms.get("attribution"))):
                wrong.append(row["id"])
    return wrong


def wrong_notices(one: Publication) -> list[str]:
    """Notices that are missing, changed or too many."""
    catalog, expected = Catalog.default(), {}
    for task, spec in one.public.items():
        if one.form(task) != "recipe":
            for slug in (spec["dataset"], *one.specs[spec["dataset"]].get("borrows", ())):
                for notice in one.specs[slug]["license"].get("notices", ()):
                    path = catalog.dataset_files[slug].parent / notice["file"]
                    expected[f"LICENSES/{slug}-{notice['file']}"] = path.read_bytes()
    there = {name: text for name, text in one.files.items() if name.startswith("LICENSES/")}
    return sorted(
        name for name in {*expected, *there} if there.get(name) != expected.get(name, b"none expected")
    )


def unnamed(one: Publication) -> list[str]:
    """Sources, lenders and other works that LICENSES.md or CITATIONS.bib do not name, and pages of evidence
    that LICENSES.md does not link."""
    licenses, citations = (one.files[name].decode() for name in ("LICENSES.md", "CITATIONS.bib"))
    others = yaml.safe_load((Catalog.default().specs / "sources.yaml").read_text("utf-8"))
    datasets = {spec["dataset"] for spec in one.public.values()}
    wrong = []
    for key in sorted(datasets | {key for slug in datasets for key in works_of(one.specs[slug])}):
        about = one.specs.get(key) or others[key]
        homepage = about["homepage"]
        if homepage not in licenses and homepage.replace("~", "%7E") not in licenses:
            wrong.append(f"{key} in LICENSES.md")
        cited = re.match(r"\s*@\w+\s*\{\s*([^,\s]+)", about["citation"])
        if not cited or f"{{{cited[1]}," not in citations:
            wrong.append(f"{key} in CITATIONS.bib")
    for task, spec in one.public.items():
        for terms in (one.terms(task), one.specs[spec["dataset"]]["license"]["annotations"]):
            pages = [page["url"] for page in terms.get("evidence", ())]
            wrong += [page for page in pages if page.split("?")[0] not in licenses]
    return wrong


def works_of(spec: Row) -> set[str]:
    """Keys of the datasets and works that a dataset takes images or annotations from."""
    return {*spec.get("borrows", ()), *spec.get("derived_from", ())}


def doubts(one: Publication) -> list[str]:
    """Words such as "(recalled)" in what LICENSES.md says."""
    text = re.sub(r"https?://\S+", "", one.files["LICENSES.md"].decode())
    return _DOUBT.findall(text)


#: Every check; a lawful publication gives an empty list for each.
CHECKS: tuple[Callable[[Publication], list[str]], ...] = (
    wrong_rows,
    withheld_there,
    leaks,
    shown_in_galleries,
    without_author,
    wrong_notices,
    unnamed,
    doubts,
)


def faults(one: Publication) -> dict[str, list[str]]:
    """What is wrong, by the name of the check that found it."""
    found = {check.__name__: check(one) for check in CHECKS}
    return {name: wrong for name, wrong in found.items() if wrong}
