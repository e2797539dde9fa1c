"""Where a publish goes: repository, branch or pull request, created where they are missing."""

from __future__ import annotations

from dataclasses import dataclass, field

from huggingface_hub import HfApi

from vision_flan.hub.plan import Choices, PublishPlan
from vision_flan.hub.remote import REPO_TYPE, Reader, Remote
from vision_flan.hub.waiting import Patience

PULL_REQUEST_TITLE = "Publish with vflan"


@dataclass
class Destination:
    """A branch, or a pull request.

    Attributes:
        branch: created if it does not exist.
        pull_request: publish to a pull request; one that an earlier run left open is used again.
        revision: what the Hub calls it; of a pull request known once it is found or opened.
    """

    api: HfApi
    repo_id: str
    reader: Reader
    patience: Patience
    branch: str = "main"
    pull_request: bool = False
    revision: str = field(init=False)

    def __post_init__(self) -> None:
        self.revision = self.branch

    @property
    def url(self) -> str:
        """Where to look at what was published."""
        page = f"{self.api.endpoint}/datasets/{self.repo_id}"
        if self.pull_request:
            return f"{page}/discussions/{self.revision.removeprefix('refs/pr/')}"
        return page if self.revision == "main" else f"{page}/tree/{self.revision}"

    def read(self) -> Remote:
        """The branch, or main if it does not exist yet."""
        if self.pull_request:
            self.revision = self._open_pull_request() or "main"
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

    def prepare(self, plan: PublishPlan, choices: Choices) -> Remote:
        """Create repository, branch and pull request where they are missing; their state then."""
        private = choices.private
        if plan.remote.head is None:
            self.patience.call(
                f"creating {self.repo_id}",
                lambda: self.api.create_repo(
                    self.repo_id, repo_type=REPO_TYPE, private=private or None, exist_ok=True
                ),
            )
        gated = choices.gated
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
        return self.reader.read(self.revision)
