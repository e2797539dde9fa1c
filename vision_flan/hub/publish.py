"""Publishes a compiled folder to a dataset repository; every commit leaves the repository complete.

A commit has complete tasks: their shards, their manifests, and a card that lists exactly the tasks there.
Content is uploaded before the commit that refers to it, so an interrupted publish has finished some tasks or
none, and running it again sends only what is missing. Each commit names its parent; if somebody else commits
first, the card is merged with theirs and the commit is retried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from vision_flan.errors import HubError
from vision_flan.hub import access, changelog
from vision_flan.hub.documents import Documents
from vision_flan.hub.packing import Limits, batches, groups
from vision_flan.hub.plan import Change, Choices, PublishPlan, after, local_tasks, make_plan, manifest_name
from vision_flan.hub.progress import Progress
from vision_flan.hub.remote import REPO_TYPE, Reader, Remote, git_oid
from vision_flan.hub.waiting import ATTEMPTS, MAX_PAUSE, BusyError, Patience, StaleError
from vision_flan.spec.catalog import Catalog

PULL_REQUEST_TITLE = "Publish with vflan"


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
        self.documents = Documents(self.reader, gated=bool(self.choices.gated))
        self.revision = self.branch
        self.commits: list[str] = []

    def plan(self) -> PublishPlan:
        """Compare the folder with the Hub; sends nothing.

        Raises:
            VflanError: no compiled folder, no permission to see the repository, or a tag that is taken.
        """
        local = local_tasks(self.folder, self.choices, self.catalog, self.progress.say)
        for published, _ in local.values():
            self.reader.remember(published)
        if self.pull_request:
            self.revision = self._open_pull_request() or "main"
        plan = make_plan(local, self._read_branch(), self.choices, self.documents)
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

    def run(self, plan: PublishPlan) -> Outcome:
        """Execute the plan."""
        self.check(plan)
        self._prepare(plan)
        self.progress.total_files = sum(len(change.uploads) for change in plan.to_do)
        self.progress.total_bytes = plan.bytes
        for group in groups(plan, self.limits):
            self._publish(group)
        self._finish(plan)
        self.progress.close()
        head = self.commits[-1] if self.commits else self.remote.head
        return Outcome(plan, tuple(self.commits), head, self._url())

    def _url(self) -> str:
        """Where to look at what was published."""
        page = f"{self.api.endpoint}/datasets/{self.repo_id}"
        if self.pull_request:
            return f"{page}/discussions/{self.revision.removeprefix('refs/pr/')}"
        return page if self.revision == "main" else f"{page}/tree/{self.revision}"

    # ---- destination

    def _read_branch(self) -> Remote:
        """The branch, or main if it does not exist yet."""
        remote = self.reader.read("main")
        if remote.head is None or self.revision == "main":
            return remote
        refs = self.patience.call(
            "listing branches",
            lambda: self.api.list_repo_refs(self.repo_id, repo_type=REPO_TYPE, include_pull_requests=True),
        )
        names = {ref.name for ref in refs.branches} | {ref.ref for ref in refs.pull_requests or ()}
        return self.reader.read(self.revision) if self.revision in names else remote

    def _open_pull_request(self) -> str | None:
        """The ref of the pull request an earlier run left open."""
        if self.reader.read("main").head is None:
            return None
        author = str(self.patience.call("checking the token", self.api.whoami)["name"])
        found = self.patience.call(
            "looking for an open pull request",
            lambda: list(
                self.api.get_repo_discussions(
                    self.repo_id, repo_type=REPO_TYPE, author=author, discussion_type="pull_request"
                )
            ),
        )
        ours = [d for d in found if d.title == PULL_REQUEST_TITLE and d.status in ("open", "draft")]
        return ours[0].git_reference if ours else None

    def _prepare(self, plan: PublishPlan) -> None:
        """Create repository, branch and pull request where they are missing."""
        private = self.choices.private
        if plan.remote.head is None:
            self.patience.call(
                f"creating {self.repo_id}",
                lambda: self.api.create_repo(
                    self.repo_id, repo_type=REPO_TYPE, private=private or None, exist_ok=True
                ),
            )
        gated = self.choices.gated
        if gated in ("auto", "manual"):
            self.patience.call(
                "asking readers to accept the terms",
                lambda: self.api.update_repo_settings(self.repo_id, repo_type=REPO_TYPE, gated=gated),  # type: ignore[arg-type]
            )
        if self.pull_request and self.revision == "main":
            request = self.patience.call(
                "opening a pull request",
                lambda: self.api.create_pull_request(self.repo_id, PULL_REQUEST_TITLE, repo_type=REPO_TYPE),
            )
            self.revision = str(request.git_reference)
        elif self.revision != "main" and not self.pull_request:
            self.patience.call(
                f"creating the branch {self.revision}",
                lambda: self.api.create_branch(
                    self.repo_id, branch=self.revision, repo_type=REPO_TYPE, exist_ok=True
                ),
            )
        self.remote = self.reader.read(self.revision)

    # ---- commits

    def _publish(self, group: list[Change]) -> None:
        additions = self._upload(group)
        self._commit(group, additions)

    def _upload(self, group: list[Change]) -> dict[str, CommitOperationAdd]:
        """Upload the shards; content the Hub already has is skipped."""
        additions: dict[str, CommitOperationAdd] = {}
        uploads = [upload for change in group for upload in change.uploads]
        for batch in batches(uploads, self.limits):
            operations = [CommitOperationAdd(upload.path, upload.local) for upload in batch]
            self.patience.call(
                f"uploading {batch[0].path}",
                lambda operations=operations: self.api.preupload_lfs_files(  # type: ignore[misc]
                    self.repo_id, operations, repo_type=REPO_TYPE, revision=self.revision, free_memory=False
                ),
            )
            for upload, operation in zip(batch, operations, strict=True):
                if operation.upload_info.sha256.hex() != upload.sha256:
                    raise HubError(
                        f"{upload.local} differs from its manifest (another sha256)",
                        hint=f"vflan verify {self.folder}, then compile the task again",
                    )
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
                        revision=self.revision,
                        parent_commit=self.remote.head,
                    ),
                )
            except StaleError:
                self.progress.say("somebody else published meanwhile; merging the card")
                self.remote = self.reader.read(self.revision)
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
                self.remote = self.reader.read(self.revision)
                return
        raise HubError(
            f"others committed to {self.repo_id} {ATTEMPTS} times in a row", hint="run the same command again"
        )

    def _settled(
        self,
        group: list[Change],
        additions: dict[str, CommitOperationAdd],
        texts: dict[str, str] | None,
        busy: BusyError,
    ) -> bool:
        """After a commit without an answer: whether it succeeded after all, or was retried in two halves."""
        self.remote = self.reader.read(self.revision)
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
        small = dict(texts)
        for change in group:
            operations += [additions[upload.path] for upload in change.uploads]
            operations += [
                CommitOperationDelete(path) for path in change.deletes if path in self.remote.files
            ]
            if change.published:
                small[manifest_name(change.task)] = change.published.to_json()
        small |= self.documents.render(after(self.remote.tasks, group), self.remote)
        for path, text in small.items():
            content = text.encode()
            if self.remote.files.get(path) != git_oid(content):
                operations.append(CommitOperationAdd(path, content))
        return operations

    def _is_there(self, group: list[Change]) -> bool:
        """Whether the branch has exactly the tasks of this group."""
        for change in group:
            there = self.remote.tasks.get(change.task)
            wanted = change.published.to_json() if change.published else None
            if (there.to_json() if there else None) != wanted:
                return False
        return bool(group)

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
