"""State of the test Hub: users, repositories, commits and the content of files."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .xorbs import XetFolders

MAIN = "refs/heads/main"
#: Suffixes that the Hub's default .gitattributes hands to LFS; larger files go there whatever their name.
LFS_SUFFIXES = (".parquet", ".bin", ".gz", ".zip", ".tar", ".arrow", ".png", ".jpg", ".lz4")
LFS_FROM_BYTES = 10_000_000
GITATTRIBUTES = b"".join(
    f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n".encode() for suffix in LFS_SUFFIXES
)


@dataclass(frozen=True)
class User:
    """An account with one token; `orgs` maps an organization to the role in it."""

    name: str
    token: str
    role: str = "write"
    orgs: dict[str, str] = field(default_factory=dict)

    def may_write(self, namespace: str) -> bool:
        return self.role == "write" and (
            namespace == self.name or self.orgs.get(namespace) in ("admin", "write", "contributor")
        )


@dataclass(frozen=True)
class Entry:
    """A file in a commit. `oid` is git's name of the blob; `sha256` is set where LFS holds it."""

    oid: str
    size: int
    sha256: str | None = None
    xet_hash: str | None = None


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    tree: dict[str, Entry]


@dataclass
class Repo:
    """A dataset repository: commits by id, refs by full name, pull requests by number."""

    repo_id: str
    private: bool = False
    gated: str | bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tag_messages: dict[str, str] = field(default_factory=dict)
    discussions: dict[int, dict[str, Any]] = field(default_factory=dict)

    def find_ref(self, revision: str) -> str | None:
        """Full ref name of the branch, tag or pull request `revision`."""
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.refs), None)

    def resolve(self, revision: str) -> Commit | None:
        """The commit a branch, tag, pull request or (shortened) id stands for."""
        ref = self.find_ref(revision)
        if ref:
            return self.commits[self.refs[ref]]
        found = [oid for oid in self.commits if len(revision) >= 7 and oid.startswith(revision)]
        return self.commits[found[0]] if len(found) == 1 else None

    def history(self, commit: Commit) -> list[Commit]:
        """The commit and its ancestors, newest first."""
        line = [commit]
        while (parent := line[-1].parent) is not None:
            line.append(self.commits[parent])
        return line


def git_blob_oid(content: bytes) -> str:
    """git's SHA-1 of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class Store:
    """All content, in one folder; every method that changes something holds the lock."""

    def __init__(self, folder: Path, users: list[User]) -> None:
        self.lock = threading.RLock()
        self.users = {user.token: user for user in users}
        self.repos: dict[str, Repo] = {}
        self.objects = folder / "objects"
        self.objects.mkdir(parents=True, exist_ok=True)
        self.xet = XetFolders(folder / "xet")
        self.blobs: dict[str, bytes] = {}
        self._serial = itertools.count()

    def create_repo(self, repo_id: str, private: bool = False) -> Repo:
        with self.lock:
            repo = self.repos[repo_id] = Repo(repo_id, private)
            self.commit(repo, MAIN, {".gitattributes": self.add_blob(GITATTRIBUTES)}, "initial commit")
            return repo

    def add_blob(self, content: bytes) -> Entry:
        """Store a regular git file."""
        oid = git_blob_oid(content)
        self.blobs[oid] = content
        return Entry(oid, len(content))

    def add_object(self, content: bytes) -> Entry:
        """Store an LFS file; two uploads of the same content may come at one time."""
        sha256 = hashlib.sha256(content).hexdigest()
        with tempfile.NamedTemporaryFile(dir=self.objects, prefix=".", delete=False) as file:
            file.write(content)
        Path(file.name).replace(self.objects / sha256)
        return Entry(git_blob_oid(lfs_pointer(sha256, len(content))), len(content), sha256)

    def object_entry(self, sha256: str) -> Entry | None:
        """The LFS object with this hash, fetched from the Xet folders if it was uploaded there."""
        path, xet_hash = self.objects / sha256, None
        found = self.xet.find(sha256)
        if found:
            xet_hash = found[0].xet_hash
            if not path.exists():
                path.write_bytes(found[1])
        if not path.exists():
            return None
        size = path.stat().st_size
        return Entry(git_blob_oid(lfs_pointer(sha256, size)), size, sha256, xet_hash)

    def content(self, entry: Entry) -> bytes:
        return (self.objects / entry.sha256).read_bytes() if entry.sha256 else self.blobs[entry.oid]

    def commit(
        self,
        repo: Repo,
        ref: str,
        changes: dict[str, Entry | None],
        title: str,
        message: str = "",
        author: str = "system",
    ) -> Commit:
        """A new commit on `ref`; None deletes a file."""
        with self.lock:
            parent = self.repos[repo.repo_id].refs.get(ref)
            tree = dict(repo.commits[parent].tree) if parent else {}
            for path, entry in changes.items():
                if entry is None:
                    tree.pop(path, None)
                else:
                    tree[path] = entry
            date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            seed = f"{next(self._serial)} {parent} {title} {sorted(tree.items())}"
            commit = Commit(
                hashlib.sha1(seed.encode()).hexdigest(), parent, title, message, author, date, tree
            )
            repo.commits[commit.oid] = commit
            repo.refs[ref] = commit.oid
            return commit

    def upload_mode(self, path: str, size: int) -> str:
        return "lfs" if path.endswith(LFS_SUFFIXES) or size >= LFS_FROM_BYTES else "regular"
