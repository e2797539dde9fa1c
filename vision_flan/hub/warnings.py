"""What a publisher should know before anything is sent: people, gated sources, licenses, history."""

from __future__ import annotations

from collections.abc import Sequence

from vision_flan.dataset.publication import RECIPE, PublishedTask
from vision_flan.dataset.sensitive import SENSITIVE, kinds_of
from vision_flan.hub.corrections import license_was_corrected
from vision_flan.hub.plan import KEPT, REMOVED, Choices, PublishPlan
from vision_flan.hub.progress import listed
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import withdrawn_from


def warnings(plan: PublishPlan, choices: Choices, catalog: Catalog) -> list[str]:
    """Warnings before publishing, one line each."""
    found = [f"--remove {task}: not on the Hub" for task in choices.remove if task not in plan.remote.tasks]
    sent = [change.published for change in plan.to_do if change.published]
    if not (choices.private or choices.gated):
        found += _open_to_all([task for task in sent if task.publication.form != RECIPE])
    found += _limited(sent)
    recipes = [task for task in sent if task.publication.form == RECIPE]
    unclear = [task.task for task in recipes if task.publication.license == "unclear"]
    if unclear:
        found.append(
            f"license unclear, sent as recipe: {listed(unclear)}; --include-unclear sends the images"
        )
    names = {task.task for task in recipes} | {change.task for change in plan.having(REMOVED)}
    withdrawn = [c.task for c in plan.to_do if c.task in names and c.was_form and c.was_form != RECIPE]
    if withdrawn:
        found.append(
            f"images of {listed(withdrawn)} leave the branch but stay in earlier commits; "
            "`HfApi().super_squash_history` removes those"
        )
    kept = [change.published for change in plan.having(KEPT) if change.published]
    outdated = [task.task for task in kept if _is_outdated(task, catalog)]
    if outdated:
        found.append(
            f"on the Hub with images, but the license was corrected since: {listed(outdated)}; "
            "compile and publish again, or --remove"
        )
    return found


def _open_to_all(whole: Sequence[PublishedTask]) -> list[str]:
    """Warnings for images that are published without a gate."""
    upstream = [
        task.task for task in whole if task.manifest.source.get("access") in ("gated", "registration")
    ]
    found = []
    for name, kind in SENSITIVE.items():
        tasks = [task.task for task in whole if name in kinds_of(task.manifest)]
        if tasks:
            found.append(f"{kind.text} in {listed(tasks)}: {kind.advice}")
    if upstream:
        found.append(
            f"upstream asks for registration before {listed(upstream)}: consider --gated manual or --private"
        )
    return found


def _limited(sent: Sequence[PublishedTask]) -> list[str]:
    """Warnings for tasks whose makers limit their use, or have taken them back."""
    found = []
    for what in ("forbidden", "discouraged"):
        names = [t.task for t in sent if (t.manifest.source.get("use") or {}).get("train") == what]
        if names:
            found.append(f"training is {what} by the makers of {listed(names)}; the card says so")
    gone: dict[str, list[str]] = {}
    for task in sent:
        withdrawn = withdrawn_from(task.manifest.source.get("withdrawn"))
        if withdrawn:
            what = "their host is gone" if withdrawn.host_gone else "withdrawn by their makers"
            gone.setdefault(what, []).append(task.task)
    return [*found, *(f"{what}: {listed(names)}; the card says so" for what, names in gone.items())]


def _is_outdated(task: PublishedTask, catalog: Catalog) -> bool:
    """Whether images are on the Hub though the catalog's license is stricter by now."""
    allowed = task.publication.form == RECIPE or task.publication.reason
    return not allowed and license_was_corrected(task.manifest, catalog)
