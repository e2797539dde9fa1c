"""Routes of the test Hub that write: refs, pull requests, uploads, commits."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from .messages import Answer, HubError, Request
from .routing import REPO_ID, REVISION, commit_at, pushable, readable, route, writable
from .store import MAIN, Commit, Entry, Repo

if TYPE_CHECKING:
    from .server import HubServer

PREUPLOAD_FILES = 256

# ---- refs and pull requests


@route("POST", f"/api/datasets/{REPO_ID}/tag/{REVISION}")
def create_tag(hub: HubServer, request: Request, repo_id: str, revision: str) -> Answer:
    repo, asked = writable(hub, request, repo_id), request.json()
    return new_ref(repo, f"refs/tags/{asked['tag']}", commit_at(repo, revision), asked.get("message", ""))


@route("POST", f"/api/datasets/{REPO_ID}/branch/(?P<name>.+)")
def create_branch(hub: HubServer, request: Request, repo_id: str, name: str) -> Answer:
    repo = writable(hub, request, repo_id)
    start = request.json().get("startingPoint") or "main"
    return new_ref(repo, f"refs/heads/{name}", commit_at(repo, start), "")


def new_ref(repo: Repo, ref: str, commit: Commit, message: str) -> Answer:
    if ref in repo.refs:
        raise HubError(409, "", f"{ref} already exists")
    repo.refs[ref], repo.tag_messages[ref] = commit.oid, message
    return Answer({})


@route("DELETE", f"/api/datasets/{REPO_ID}/(?P<kind>tag|branch)/(?P<name>.+)")
def delete_ref(hub: HubServer, request: Request, repo_id: str, kind: str, name: str) -> Answer:
    repo = writable(hub, request, repo_id)
    ref = f"refs/{'tags' if kind == 'tag' else 'heads'}/{name}"
    if ref == MAIN or repo.refs.pop(ref, None) is None:
        raise HubError(404 if ref != MAIN else 403, "RevisionNotFound", f"cannot delete {ref}")
    return Answer({})


@route("POST", f"/api/datasets/{REPO_ID}/discussions")
def open_discussion(hub: HubServer, request: Request, repo_id: str) -> Answer:
    repo, asked = readable(hub, request, repo_id), request.json()
    if request.user is None:
        raise HubError(401, "", "Invalid username or password.")
    number = len(repo.discussions) + 1
    repo.discussions[number] = {
        "title": asked["title"],
        "num": number,
        "author": {"name": request.user.name},
        "createdAt": "2026-01-01T00:00:00.000Z",
        "status": "draft" if asked["pullRequest"] else "open",
        "repo": {"name": repo_id, "type": "dataset"},
        "isPullRequest": asked["pullRequest"],
        "events": [],
        "changes": {"base": MAIN},
        "filesWithConflicts": [],
    }
    if asked["pullRequest"]:
        repo.refs[f"refs/pr/{number}"] = repo.refs[MAIN]
    return Answer(
        {
            "num": number,
            "pullRequest": asked["pullRequest"],
            "url": f"{hub.url}/datasets/{repo_id}/discussions/{number}",
        }
    )


@route("GET", f"/api/datasets/{REPO_ID}/discussions")
def discussions(hub: HubServer, request: Request, repo_id: str) -> Answer:
    repo = readable(hub, request, repo_id)
    author = request.query.get("author", [None])[0]
    found = [d for d in repo.discussions.values() if author in (None, d["author"]["name"])]
    return Answer({"count": len(found), "start": 0, "discussions": found})


@route("GET", f"/api/datasets/{REPO_ID}/discussions/(?P<number>\\d+)")
def discussion(hub: HubServer, request: Request, repo_id: str, number: str) -> Answer:
    repo = readable(hub, request, repo_id)
    if int(number) not in repo.discussions:
        raise HubError(404, "", "no such discussion")
    return Answer(repo.discussions[int(number)])


@route("POST", f"/api/datasets/{REPO_ID}/discussions/(?P<number>\\d+)/merge")
def merge(hub: HubServer, request: Request, repo_id: str, number: str) -> Answer:
    repo = writable(hub, request, repo_id)
    ours, theirs = commit_at(repo, f"refs/pr/{number}"), commit_at(repo, "main")
    gone: dict[str, Entry | None] = {path: None for path in theirs.tree if path not in ours.tree}
    hub.store.commit(repo, MAIN, {**gone, **ours.tree}, repo.discussions[int(number)]["title"])
    repo.discussions[int(number)]["status"] = "merged"
    return Answer({})


# ---- uploads and commits


@route("GET", f"/api/datasets/{REPO_ID}/xet-(?P<kind>read|write)-token/{REVISION}")
def xet_token(hub: HubServer, request: Request, repo_id: str, kind: str, revision: str) -> Answer:
    if kind == "write":
        pushable(hub, request, repo_id, revision)
    readable(hub, request, repo_id)
    name = request.user.name if request.user else "anonymous"
    url, until = hub.store.xet.url(name), int(time.time()) + 3600
    if kind == "read":
        hub.store.xet.share_with(name)
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(until)}
    return Answer({"casUrl": url, "accessToken": "xet", "exp": until}, headers=headers)


@route("POST", f"/api/datasets/{REPO_ID}/preupload/{REVISION}")
def preupload(hub: HubServer, request: Request, repo_id: str, revision: str) -> Answer:
    commit = commit_at(pushable(hub, request, repo_id, revision), revision)
    files = request.json()["files"]
    if len(files) > PREUPLOAD_FILES:
        raise HubError(413, "", f"at most {PREUPLOAD_FILES} files")

    def about(path: str, size: int) -> dict[str, Any]:
        there = commit.tree.get(path)
        mode = {"path": path, "uploadMode": hub.store.upload_mode(path, size), "shouldIgnore": False}
        return {**mode, "oid": there.sha256 or there.oid} if there else mode

    return Answer({"files": [about(file["path"], file["size"]) for file in files]})


@route("POST", f"/datasets/{REPO_ID}.git/info/lfs/objects/batch")
def lfs_batch(hub: HubServer, request: Request, repo_id: str) -> Answer:
    asked = request.json()
    pushable(hub, request, repo_id, asked.get("ref", {}).get("name", "main"))
    objects = []
    for item in asked["objects"]:
        oid, size = item["oid"], item["size"]
        if hub.store.object_entry(oid):
            objects.append({"oid": oid, "size": size})
            continue
        upload: dict[str, Any] = {"href": f"{hub.cdn_url}/lfs/{oid}", "header": {}}
        if hub.part_size and size > hub.part_size:
            parts = range(1, -(-size // hub.part_size) + 1)
            upload["header"] = {f"{n:05d}": f"{hub.cdn_url}/lfs/{oid}/{n}" for n in parts}
            upload["header"]["chunk_size"] = str(hub.part_size)
            upload["href"] = f"{hub.url}/lfs/{oid}/complete"
        verify = {"href": f"{hub.url}/lfs/{oid}/verify", "header": {}}
        objects.append({"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}})
    return Answer({"transfer": "basic", "objects": objects})


@route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
def lfs_put(hub: HubServer, request: Request, oid: str) -> Answer:
    received(hub, oid, request.body)
    return keep_object(hub, oid, request.body)


@route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})/(?P<number>\\d+)")
def lfs_put_part(hub: HubServer, request: Request, oid: str, number: str) -> Answer:
    received(hub, oid, request.body)
    hub.take_part(oid, int(number), request.body)
    return Answer(headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


@route("POST", "/lfs/(?P<oid>[0-9a-f]{64})/complete")
def lfs_complete(hub: HubServer, request: Request, oid: str) -> Answer:
    return keep_object(
        hub, oid, hub.join_parts(oid, [part["partNumber"] for part in request.json()["parts"]])
    )


@route("POST", "/lfs/(?P<oid>[0-9a-f]{64})/verify")
def lfs_verify(hub: HubServer, request: Request, oid: str) -> Answer:
    path = hub.store.objects / oid
    if not path.exists() or path.stat().st_size != request.json()["size"]:
        raise HubError(404, "", f"object {oid} is not there in full")
    return Answer({})


def received(hub: HubServer, oid: str, body: bytes) -> None:
    hub.received_objects[oid] = hub.received_objects.get(oid, 0) + len(body)


def keep_object(hub: HubServer, oid: str, content: bytes) -> Answer:
    if hashlib.sha256(content).hexdigest() != oid:
        raise HubError(400, "", f"content does not have sha256 {oid}")
    hub.store.add_object(content)
    return Answer({})


@route("POST", f"/api/datasets/{REPO_ID}/commit/{REVISION}")
def commit_route(hub: HubServer, request: Request, repo_id: str, revision: str) -> Answer:
    lines = [json.loads(line) for line in request.body.splitlines()]
    header = lines[0]["value"]
    with hub.store.lock:
        repo = pushable(hub, request, repo_id, revision)
        ref = repo.find_ref(revision)
        if ref is None:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        head = repo.commits[repo.refs[ref]]
        parent = header.get("parentCommit")
        if parent and not head.oid.startswith(parent):
            raise HubError(412, "", "A commit has happened since. Please refresh and try again.")
        changes: dict[str, Entry | None] = {}
        for line in lines[1:]:
            changes |= changed(hub, head, line["key"], line["value"])
        author = request.user.name if request.user else ""
        commit = hub.store.commit(repo, ref, changes, header["summary"], header["description"], author)
    url = f"{hub.url}/datasets/{repo_id}/commit/{commit.oid}"
    return Answer({"success": True, "commitOid": commit.oid, "commitUrl": url, "pullRequestUrl": None})


def changed(hub: HubServer, head: Commit, key: str, value: dict[str, Any]) -> dict[str, Entry | None]:
    """The files that one line of a commit changes."""
    path = value["path"]
    if key == "file":
        return {path: hub.store.add_blob(base64.b64decode(value["content"]))}
    if key == "lfsFile":
        entry = hub.store.object_entry(value["oid"])
        if entry is None:
            raise HubError(400, "", f"LFS pointer {path} points to a file that was not uploaded")
        return {path: entry}
    if key == "deletedFile" and path in head.tree:
        return {path: None}
    if key == "deletedFolder":
        return {name: None for name in head.tree if name.startswith(path.rstrip("/") + "/")}
    raise HubError(404, "EntryNotFound", "A file with this name doesn't exist")
