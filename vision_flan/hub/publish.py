"""Publishes a compiled folder to a dataset repository; every commit leaves the repository complete.

A commit has complete tasks: their shards, their manifests, and a card that lists exactly the tasks there.
Content is uploaded before the commit that refers to it, so an interrupted publish has finished some tasks or
none, and running it again sends only what is missing. Each commit names its parent, and what it adds and
deletes is decided for that parent: if somebody else commits first, it is decided again. Tasks of ours that
somebody else replaced between our commits are put back at the end, so that what is left is one publisher's
state, never a mixture of two.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from vision_flan.errors import HubError, to_type
from vision_flan.hub import access, changelog
from vision_flan.hub.destination import Destination
from vision_flan.hub.documents import CARD, Documents
from vision_flan.hub.packing import Limits, batches, groups
from vision_flan.hub.plan import (
    KEPT,
    UNCHANGED,
    Change,
    Choices,
    PublishPlan,
    after,
    local_tasks,
    make_plan,
    manifest_name,
    rebased,
)
from vision_flan.hub.progress import Progress
from vision_flan.hub.remote import REPO_TYPE, Reader, Remote
from vision_flan.hub.waiting import ATTEMPTS, MAX_PAUSE, BusyError, Patience, StaleError
from vision_flan.spec.catalog import Catalog

#: How often tasks are put back that somebody else replaced during the publish.
_ROUNDS = 3


@dataclass(frozen=True)
class Outcome:
    """The result of a publish; `url` is its page."""

    plan: PublishPlan
    commits: tuple[str, ...]
    head: str | None
    url: str


@dataclass
class Publisher:
    """One publish of one folder.

    Attributes:
        branch: the branch to publish to; created if it does not exist.
        pull_request: publish to a pull request; reuses one that an earlier run left open.
        catalog: licenses as they are known now; they may be stricter than those of the manifests.
    """

    api: HfApi
    repo_id: str
    folder: Path
    choices: Choices
    branch: str = "main"
    pull_request: bool = False
    patience: Patience = field(default_factory=Patience)
    progress: Progress = field(default_factory=Progress)
    limits: Limits = field(default_factory=Limits)
    catalog: Catalog = field(default_factory=Catalog.default)

    def __post_init__(self) -> None:
        if self.repo_id.count("/") != 1:
            raise HubError(
                f"{self.repo_id!r} is not OWNER/NAME",
                hint=f"put your name or an organization first, as in my-org/{self.repo_id.split('/')[-1]}",
            )
        self.reader = Reader(self.api, self.repo_id, self.patience)
        self.documents = Documents(self.reader, gated=bool(self.choices.gated), contact=self.choices.contact)
        self.to = Destination(
            self.api, self.repo_id, self.reader, self.patience, self.branch, self.pull_request
        )
        self.commits: list[str] = []

    def plan(self) -> PublishPlan:
        """Compare the folder with the Hub; sends nothing.

        Raises:
            VflanError: no compiled folder, no permission to see the repository, or a tag that is taken.
        """
        local = local_tasks(self.folder, self.choices, self.catalog, self.progress.say)
        for published, _ in local.values():
            self.reader.remember(published)
        plan = make_plan(local, self.to.read(), self.choices, self.documents)
        tag = self.choices.tag
        if tag in plan.remote.tags and not plan.is_empty:
            raise HubError(
                f"tag {tag} exists on the Hub, and the folder differs from it",
                hint="choose the next version",
            )
        return plan

    def check(self, plan: PublishPlan) -> None:
        """Check token, name and permissions, before anything is sent."""
        account = access.check_token(self.api, self.patience)
        access.check_repository(self.api, plan.remote, account, self.patience, pull_request=self.pull_request)
        if CARD in plan.changed_documents:
            access.check_card(self.api, plan.documents[CARD].decode(), self.patience)

    def run(self, plan: PublishPlan) -> Outcome:
        """Execute the plan."""
        self.check(plan)
        self.remote = self.to.prepare(plan, self.choices)
        self._say_replaced(plan.remote, plan.to_do)
        self.progress.total_files = sum(len(change.uploads) for change in plan.to_do)
        self.progress.total_bytes = plan.bytes
        for group in groups(plan.to_do, self.limits):
            self._commit(group, self._upload(group))
        self._put_back(plan)
        self._finish(plan)
        self.progress.close()
        head = self.commits[-1] if self.commits else self.remote.head
        return Outcome(plan, tuple(self.commits), head, self.to.url)

    # ---- commits

    def _put_back(self, plan: PublishPlan) -> None:
        """Publish tasks again that somebody else replaced or removed since this publish began.

        Raises:
            HubError: they do it again and again.
        """
        ours = [change for change in plan.changes if change.action != KEPT] if plan.to_do else []
        for _ in range(_ROUNDS):
            now = (rebased(change, self.remote) for change in ours)
            replaced = [change for change in now if change.action != UNCHANGED]
            if not replaced:
                return
            names = ", ".join(change.task for change in replaced)
            self.progress.say(f"somebody else published {names} meanwhile; putting yours back")
            for group in groups(replaced, self.limits):
                self._commit(group, self._upload(group))
        raise HubError(
            f"somebody else keeps publishing the same tasks to {self.repo_id}",
            hint="agree who publishes them, then run the same command again",
        )

    def _upload(self, group: list[Change]) -> dict[str, CommitOperationAdd]:
        """Upload the shards that the repository lacks; content the Hub already has is skipped."""
        additions: dict[str, CommitOperationAdd] = {}
        uploads = [upload for change in group for upload in change.uploads]
        for batch in batches(uploads, self.limits):
            operations = [CommitOperationAdd(upload.path, upload.local) for upload in batch]
            for upload, operation in zip(batch, operations, strict=True):  # before anything of it is sent
                if operation.upload_info.sha256.hex() != upload.sha256:
                    raise HubError(
                        f"{upload.local} differs from its manifest (another sha256)",
                        hint=f"{to_type('vflan', 'verify', self.folder)}, then compile the task again",
                    )
            self.patience.call(
                f"uploading {batch[0].path}",
                lambda operations=operations: self.api.preupload_lfs_files(  # type: ignore[misc]
                    self.repo_id,
                    operations,
                    repo_type=REPO_TYPE,
                    revision=self.to.revision,
                    free_memory=False,
                ),
            )
            for upload, operation in zip(batch, operations, strict=True):
                additions[upload.path] = operation
            self.progress.sent(len(batch), sum(upload.bytes for upload in batch))
        return additions

    def _commit(
        self,
        group: list[Change],
        additions: dict[str, CommitOperationAdd],
        texts: dict[str, str] | None = None,
    ) -> None:
        """Commit complete tasks with the card that lists them; merges, splits or waits as the Hub answers."""
        names = ", ".join(change.task for change in group[:3]) + (" …" if len(group) > 3 else "")
        title = (
            f"Publish {len(group)} task{'s' if len(group) > 1 else ''}: {names}"
            if group
            else "Update the card"
        )
        for attempt in range(1, ATTEMPTS + 1):
            group = [rebased(change, self.remote) for change in group]
            additions |= self._upload([_lacking(change, additions) for change in group])
            operations = self._operations(group, additions, texts or {})
            if not operations:
                return
            try:
                info = self.patience.once(
                    "committing",
                    lambda operations=operations: self.api.create_commit(  # type: ignore[misc]
                        self.repo_id,
                        operations,
                        commit_message=title,
                        repo_type=REPO_TYPE,
                        revision=self.to.revision,
                        parent_commit=self.remote.head,
                    ),
                )
            except StaleError:
                self._merge(group)
            except BusyError as busy:
                if self._settled(group, additions, texts, busy):
                    return
                if attempt == ATTEMPTS:
                    raise HubError(
                        f"the Hub did not take the commit: {busy}", hint="run the same command again later"
                    ) from busy
                self.patience.pause(min(MAX_PAUSE, 2.0 ** (attempt - 1)), f"{busy} while committing")
            else:
                self._count(info.oid)
                self.remote = self.reader.read(self.to.revision)
                return
        raise HubError(
            f"others committed to {self.repo_id} {ATTEMPTS} times in a row", hint="run the same command again"
        )

    def _merge(self, group: list[Change]) -> None:
        """Read what somebody else committed, and say what becomes of it."""
        before, self.remote = self.remote, self.reader.read(self.to.revision)
        if not self._say_replaced(before, group):
            self.progress.say("somebody else published meanwhile; merging the card")

    def _say_replaced(self, before: Remote, changes: list[Change]) -> bool:
        """Say which of these tasks somebody else published since; whether there are any."""
        names = [
            change.task
            for change in changes
            if before.tasks.get(change.task) != self.remote.tasks.get(change.task)
        ]
        if names:
            self.progress.say(f"somebody else published {', '.join(names)} meanwhile; yours replaces it")
        return bool(names)

    def _settled(
        self,
        group: list[Change],
        additions: dict[str, CommitOperationAdd],
        texts: dict[str, str] | None,
        busy: BusyError,
    ) -> bool:
        """After a commit without an answer: whether it succeeded after all, or was retried in two halves."""
        self.remote = self.reader.read(self.to.revision)
        if self._is_there(group):
            self.progress.say(f"the Hub committed but its answer was lost ({busy})")
            self._count(str(self.remote.head))
            return True
        if len(group) < 2:
            return False
        self.progress.say(f"{busy} on a commit of {len(group)} tasks; trying two halves")
        for half in (group[: len(group) // 2], group[len(group) // 2 :]):
            self._commit(half, additions, texts)
        return True

    def _count(self, oid: str) -> None:
        self.commits.append(oid)
        self.progress.committed()

    def _operations(
        self, group: list[Change], additions: dict[str, CommitOperationAdd], texts: dict[str, str]
    ) -> list[CommitOperationAdd | CommitOperationDelete]:
        """What a commit of these tasks changes in the repository as it is now."""
        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        small = {path: text.encode() for path, text in texts.items()}
        for change in group:
            operations += [additions[upload.path] for upload in change.uploads]
            operations += [CommitOperationDelete(path) for path in change.deletes]
            if change.published:
                small[manifest_name(change.task)] = change.published.to_json().encode()
        small |= self.documents.render(after(self.remote.tasks, group), self.remote)
        for path, content in small.items():
            if not self.remote.has(path, content):
                operations.append(CommitOperationAdd(path, content))
        return operations

    def _is_there(self, group: list[Change]) -> bool:
        """Whether the branch has exactly the tasks of this group, each with its files."""
        return bool(group) and all(rebased(change, self.remote).action == UNCHANGED for change in group)

    def _finish(self, plan: PublishPlan) -> None:
        """Update the card if no task changed, the changelog and the tag."""
        texts, tag = {}, self.choices.tag
        if tag and tag not in self.remote.tags:
            texts = {changelog.PATH: self._changelog(tag)}
        self._commit([], {}, texts)
        if tag and tag not in self.remote.tags:
            head = self.commits[-1] if self.commits else self.remote.head
            self.patience.call(
                f"setting the tag {tag}",
                lambda: self.api.create_tag(
                    self.repo_id, tag=tag, revision=head, repo_type=REPO_TYPE, exist_ok=True
                ),
            )

    def _changelog(self, tag: str) -> str:
        """The changelog with an entry for this tag, relative to the previous one."""
        there = changelog.PATH in self.remote.files
        text = self.reader.text(changelog.PATH, str(self.remote.head)) if there else ""
        last = changelog.last_tag(text)
        before = self.reader.read(last).tasks if last in self.remote.tags and last else {}
        return changelog.with_entry(text, tag, before, self.remote.tasks)


def _lacking(change: Change, additions: dict[str, CommitOperationAdd]) -> Change:
    """The change with the uploads that were not made yet."""
    return replace(change, uploads=tuple(upload for upload in change.uploads if upload.path not in additions))
