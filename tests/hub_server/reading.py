"""Read-only routes of the test Hub: accounts, settings, listings, files."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

import yaml

from .messages import Answer, HubError, Request
from .routing import REPO_ID, REVISION, commit_at, flag, readable, route, writable
from .store import Commit, Entry

if TYPE_CHECKING:
    from .server import HubServer

# ---- accounts, repositories, settings


@route("GET", "/api/whoami-v2")
def whoami(hub: HubServer, request: Request) -> Answer:
    user = request.user
    if user is None:
        raise HubError(401, "", "Invalid username or password.")
    orgs = [{"name": name, "type": "org", "roleInOrg": role} for name, role in user.orgs.items()]
    token = {"type": "access_token", "accessToken": {"displayName": "test", "role": user.role}}
    return Answer({"type": "user", "name": user.name, "orgs": orgs, "auth": token})


@route("POST", "/api/repos/create")
def create_repo(hub: HubServer, request: Request) -> Answer:
    asked = request.json()
    if request.user is None:
        raise HubError(401, "", "Invalid username or password.")
    repo_id = f"{asked.get('organization') or request.user.name}/{asked['name']}"
    kind = "" if asked.get("type", "model") == "model" else "datasets/"
    url = f"{hub.url}/{kind}{repo_id}"
    if not request.user.may_write(repo_id.split("/")[0]):
        raise HubError(403, "", f"You don't have the rights to create a dataset under {repo_id}")
    if repo_id in hub.store.repos:
        raise HubError(409, "", "You already created this dataset repo", url=url)
    hub.store.create_repo(repo_id, asked.get("visibility") == "private")
    return Answer({"url": url, "name": repo_id})


@route("PUT", f"/api/datasets/{REPO_ID}/settings")
def settings(hub: HubServer, request: Request, repo_id: str) -> Answer:
    repo, asked = writable(hub, request, repo_id), request.json()
    repo.gated = asked.get("gated", repo.gated)
    repo.private = asked.get("visibility", "private" if repo.private else "public") == "private"
    return Answer({})


@route("GET", f"/api/datasets/{REPO_ID}/auth-check(?P<write>/write)?")
def auth_check(hub: HubServer, request: Request, repo_id: str, write: str | None) -> Answer:
    (writable if write else readable)(hub, request, repo_id)
    return Answer({})


@route("POST", "/api/validate-yaml")
def validate_yaml(hub: HubServer, request: Request) -> Answer:
    content = request.json()["content"]
    block = re.match(r"---\n(.*?)\n---\n", content, re.S)
    if not block:
        return Answer(
            {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
        )
    try:
        metadata = yaml.safe_load(block[1])
    except yaml.YAMLError as error:
        raise HubError(400, "", "bad yaml", errors=[{"message": str(error)}], warnings=[]) from None
    errors = [
        {"message": f'"{key}" must be a list'}
        for key in ("configs",)
        if not isinstance(metadata.get(key, []), list)
    ]
    if metadata.get("license") == "other" and not metadata.get("license_name"):
        errors.append({"message": '"license_name" is required with license: other'})
    if errors:
        raise HubError(400, "", "invalid metadata", errors=errors, warnings=[])
    return Answer({"errors": [], "warnings": []})


# ---- contents of a repository


def described(entry: Entry, path: str) -> dict[str, Any]:
    about: dict[str, Any] = {"type": "file", "path": path, "oid": entry.oid, "size": entry.size}
    if entry.sha256:
        about["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
    if entry.xet_hash:
        about["xetHash"] = entry.xet_hash
    return about


def listing(commit: Commit, folder: str, recursive: bool, expand: bool) -> list[dict[str, Any]]:
    """Files and folders below `folder`, in order of their paths."""
    prefix = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path, entry in sorted(commit.tree.items()):
        if not path.startswith(prefix):
            continue
        names = path.removeprefix(prefix).split("/")
        for depth in range(1, len(names) if recursive else min(2, len(names))):
            parent = prefix + "/".join(names[:depth])
            oid = hashlib.sha1(f"{commit.oid} {parent}".encode()).hexdigest()
            found.setdefault(parent, {"type": "directory", "path": parent, "oid": oid, "size": 0})
        if recursive or len(names) == 1:
            found[path] = described(entry, path)
    last = {"id": commit.oid, "title": commit.title, "date": commit.date}
    return [{**about, "lastCommit": last} if expand else about for about in found.values()]


@route("GET", f"/api/datasets/{REPO_ID}(?:/revision/{REVISION})?")
def info(hub: HubServer, request: Request, repo_id: str, revision: str | None) -> Answer:
    repo = readable(hub, request, repo_id)
    commit = commit_at(repo, revision or "main")
    siblings = [{"rfilename": path} for path in sorted(commit.tree)]
    about = {
        "id": repo_id,
        "_id": "0",
        "author": repo_id.split("/")[0],
        "sha": commit.oid,
        "private": repo.private,
    }
    return Answer(
        {**about, "gated": repo.gated, "lastModified": commit.date, "tags": [], "siblings": siblings}
    )


@route("GET", f"/api/datasets/{REPO_ID}/tree/{REVISION}(?:/(?P<folder>.+))?")
def tree(hub: HubServer, request: Request, repo_id: str, revision: str, folder: str | None) -> Answer:
    commit = commit_at(readable(hub, request, repo_id), revision)
    entries = listing(commit, folder or "", flag(request, "recursive"), flag(request, "expand"))
    if folder and not entries:
        raise HubError(404, "EntryNotFound", f"{folder} does not exist on {revision}")
    start = int(request.query.get("cursor", ["0"])[0])
    size = min(50, hub.page_size) if flag(request, "expand") else hub.page_size
    headers = {}
    if start + size < len(entries):
        query = {name: values[0] for name, values in request.query.items()} | {"cursor": str(start + size)}
        path = f"/api/datasets/{repo_id}/tree/{quote(revision, safe='')}" + (
            f"/{quote(folder, safe='')}" if folder else ""
        )
        headers["Link"] = f'<{hub.url}{path}?{urlencode(query)}>; rel="next"'
    return Answer(entries[start : start + size], headers=headers)


@route("POST", f"/api/datasets/{REPO_ID}/paths-info/{REVISION}")
def paths_info(hub: HubServer, request: Request, repo_id: str, revision: str) -> Answer:
    commit = commit_at(readable(hub, request, repo_id), revision)
    asked = parse_qs(request.body.decode())
    expand = asked.get("expand", ["false"])[0].lower() == "true"
    everything = {about["path"]: about for about in listing(commit, "", True, expand)}
    return Answer([everything[path] for path in asked.get("paths", []) if path in everything])


@route("GET", f"/api/datasets/{REPO_ID}/refs")
def refs(hub: HubServer, request: Request, repo_id: str) -> Answer:
    repo = readable(hub, request, repo_id)

    def named(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
            for ref, oid in repo.refs.items()
            if ref.startswith(prefix)
        ]

    return Answer(
        {
            "branches": named("refs/heads/"),
            "tags": named("refs/tags/"),
            "converts": named("refs/convert/"),
            "pullRequests": named("refs/pr/"),
        }
    )


@route("GET", f"/api/datasets/{REPO_ID}/commits/{REVISION}")
def commits(hub: HubServer, request: Request, repo_id: str, revision: str) -> Answer:
    repo = readable(hub, request, repo_id)
    return Answer(
        [
            {
                "id": c.oid,
                "title": c.title,
                "message": c.message,
                "date": c.date,
                "authors": [{"user": c.author}],
            }
            for c in repo.history(commit_at(repo, revision))
        ]
    )


@route("GET", f"/datasets/{REPO_ID}/resolve/{REVISION}/(?P<path>.+)")
def resolve(hub: HubServer, request: Request, repo_id: str, revision: str, path: str) -> Answer:
    repo = readable(hub, request, repo_id)
    commit = commit_at(repo, revision)
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    if path not in commit.tree:
        return Answer(
            {"error": "Entry not found"},
            404,
            {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"},
        )
    entry = commit.tree[path]
    if entry.sha256 is None:
        return ranged(request, hub.store.content(entry), {**headers, "ETag": f'"{entry.oid}"'})
    headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    if entry.xet_hash:
        token = f"{hub.url}/api/datasets/{repo_id}/xet-read-token/{commit.oid}"
        headers |= {"X-Xet-Hash": entry.xet_hash, "Link": f'<{token}>; rel="xet-auth"'}
    return Answer(b"", 302, {**headers, "Location": f"{hub.cdn_url}/cdn/{entry.sha256}"})


@route("GET", "/cdn/(?P<sha256>[0-9a-f]{64})")
def cdn(hub: HubServer, request: Request, sha256: str) -> Answer:
    return ranged(request, (hub.store.objects / sha256).read_bytes(), {"ETag": f'"{sha256}"'})


def ranged(request: Request, content: bytes, headers: dict[str, str]) -> Answer:
    """The content, or the one requested range of it."""
    asked = {name.lower(): value for name, value in request.headers.items()}.get("range", "")
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    if request.method == "HEAD" or not found:
        return Answer(content, 200, {**headers, "Content-Type": "application/octet-stream"})
    first, last = found.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    if start > end:
        raise HubError(416, "", "range beyond the end")
    return Answer(
        content[start : end + 1], 206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"}
    )
