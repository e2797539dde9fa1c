"""Routes of the test Hub: the table, permissions, and dispatch."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .messages import Answer, HubError, Request
from .store import Commit, Repo

if TYPE_CHECKING:
    from .server import HubServer

Route = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []
REPO_ID = r"(?P<repo_id>[\w.-]+/[\w.-]+)"
#: The client quotes a revision, so that in the unquoted path only refs/… holds slashes.
REVISION = r"(?P<revision>refs/(?:pr|heads|tags|convert)/[^/]+|[^/]+)"


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    def register(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern + "$"), function))
        return function

    return register


def answer(hub: HubServer, request: Request) -> Answer:
    """Find the route of a request and run it; HEAD is served as GET. Models are kept as datasets are."""
    method = "GET" if request.method == "HEAD" else request.method
    path = re.sub(r"^/api/models/", "/api/datasets/", request.path)
    path = re.sub(rf"^/(?!api/|datasets/)({REPO_ID}(?:/resolve/|\.git/))", r"/datasets/\1", path)
    for wanted, pattern, function in ROUTES:
        found = pattern.match(path)
        if wanted == method and found:
            return function(hub, request, **found.groupdict())
    raise HubError(404, "", f"no route {request.method} {request.path}")


def readable(hub: HubServer, request: Request, repo_id: str) -> Repo:
    """The repository, if this user may see it."""
    repo = hub.store.repos.get(repo_id)
    if repo is None:
        raise HubError(404 if request.user else 401, "RepoNotFound", "Repository not found")
    allowed = request.user and request.user.may_write(repo_id.split("/")[0])
    if repo.private and not allowed:
        raise HubError(404, "RepoNotFound", "Repository not found")
    return repo


def writable(hub: HubServer, request: Request, repo_id: str) -> Repo:
    """The repository, if this user may change it."""
    repo = readable(hub, request, repo_id)
    if request.user is None:
        raise HubError(401, "", "Invalid username or password.")
    if not request.user.may_write(repo_id.split("/")[0]):
        raise HubError(403, "", f"You don't have the rights to write to {repo_id}")
    return repo


def pushable(hub: HubServer, request: Request, repo_id: str, revision: str) -> Repo:
    """The repository, if this user may push to the branch; anybody may push to a pull request."""
    if revision.startswith("refs/pr/") and request.user is not None:
        return readable(hub, request, repo_id)
    return writable(hub, request, repo_id)


def commit_at(repo: Repo, revision: str) -> Commit:
    commit = repo.resolve(revision)
    if commit is None:
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return commit


def flag(request: Request, name: str) -> bool:
    return request.query.get(name, ["false"])[0].lower() in ("true", "1")
