"""The state of the repository: files with checksums, and manifests; nothing large is downloaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, RepoFile, hf_hub_url
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
    http_stream_backoff,
)

from vision_flan.dataset.manifest import FOLDER
from vision_flan.dataset.publication import PublishedTask
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import HubError, Location
from vision_flan.hub.waiting import Patience
from vision_flan.report import human_bytes

REPO_TYPE = "dataset"
PARALLEL_DOWNLOADS = 8
#: Bytes that are read of a manifest or a card, which are far smaller: the repository may be anybody's.
MOST_TEXT = 64 * 2**20
#: Files, and manifests among them, of a repository: ours has 187 tasks of some shards each.
MOST_FILES, MOST_TASKS = 250_000, 5_000
#: The length of an LFS file's id, which is the sha256 of its content.
_SHA256 = 64


def git_oid(content: bytes) -> str:
    """git's blob id of a content, under which a repository's tree lists it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def ids_of(content: bytes) -> tuple[str, str]:
    """The ids under which a tree may list this content: git's, or LFS's where the Hub keeps it apart."""
    return git_oid(content), hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Remote:
    """A branch of a dataset repository.

    Attributes:
        head: the commit, None if there is no repository yet.
        files: path -> sha256 of LFS files, git's blob id of the others.
        tasks: its manifests, by task.
        tags: name -> commit.
    """

    repo_id: str
    revision: str
    head: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, PublishedTask] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def has(self, path: str, content: bytes) -> bool:
        """Whether this file is there with this content."""
        return self.files.get(path) in ids_of(content)


class Reader:
    """Reads a repository; caches manifests by blob id, so reading it again costs one listing."""

    def __init__(self, api: HfApi, repo_id: str, patience: Patience) -> None:
        self.api, self.repo_id, self.patience = api, repo_id, patience
        self._known: dict[str, PublishedTask] = {}

    def remember(self, task: PublishedTask) -> None:
        """Cache a local manifest, so that it is not downloaded."""
        self._known[git_oid(task.to_json().encode())] = task

    def read(self, revision: str) -> Remote:
        """The state of a branch, tag or commit.

        Raises:
            HubError: no such revision, or no permission to see it.
        """
        head = self.patience.call(f"reading {self.repo_id}", lambda: self._head(revision))
        if head is None:
            return Remote(self.repo_id, revision)
        listed = self.patience.call(f"listing {self.repo_id}", lambda: self._files(head))
        refs = self.patience.call(
            f"listing the tags of {self.repo_id}",
            lambda: self.api.list_repo_refs(self.repo_id, repo_type=REPO_TYPE),
        )
        tags = {tag.name: tag.target_commit for tag in refs.tags}
        return Remote(self.repo_id, revision, head, listed, self._tasks(head, listed), tags)

    def text(self, path: str, revision: str) -> str:
        """A small file of the repository.

        Raises:
            HubError: it is larger than `MOST_TEXT`, or not text.
        """
        url = hf_hub_url(
            self.repo_id, path, repo_type=REPO_TYPE, revision=revision, endpoint=self.api.endpoint
        )
        content = self.patience.call(f"reading {path}", lambda: self._small(url, path))
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise HubError(f"not text in UTF-8: {error.reason}", where=self._place(path)) from error

    def _small(self, url: str, path: str) -> bytes:
        headers = build_hf_headers(token=self.api.token)
        content = bytearray()
        with http_stream_backoff("GET", url, headers=headers, follow_redirects=True) as response:
            hf_raise_for_status(response)
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MOST_TEXT:
                    raise HubError(
                        f"larger than {human_bytes(MOST_TEXT)}, so it is none of ours",
                        where=self._place(path),
                    )
        return bytes(content)

    def _place(self, path: str) -> Location:
        return Location(f"{self.repo_id}/{path}")

    def _head(self, revision: str) -> str | None:
        try:
            return self.api.repo_info(self.repo_id, repo_type=REPO_TYPE, revision=revision).sha
        except RepositoryNotFoundError:
            return None

    def _files(self, revision: str) -> dict[str, str]:
        tree = self.api.list_repo_tree(self.repo_id, recursive=True, revision=revision, repo_type=REPO_TYPE)
        found = {}
        for number, entry in enumerate(tree):
            if number >= MOST_FILES:
                raise HubError(f"{self.repo_id} has more than {MOST_FILES:,} files, so it is none of ours")
            if isinstance(entry, RepoFile):
                found[entry.path] = entry.lfs.sha256 if entry.lfs else entry.blob_id
        return found

    def _tasks(self, head: str, files: Mapping[str, str]) -> dict[str, PublishedTask]:
        paths = {
            path: oid
            for path, oid in files.items()
            if path.startswith(f"{FOLDER}/") and path.endswith(".json")
        }
        if len(paths) > MOST_TASKS:
            raise HubError(f"{self.repo_id} has {len(paths):,} manifests; the limit is {MOST_TASKS:,}")
        new = [path for path, oid in paths.items() if oid not in self._known]
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            for path, text in zip(new, pool.map(lambda path: self.text(path, head), new), strict=True):
                self._known[paths[path]] = PublishedTask.from_json(text, self._place(path))
        tasks = {path: self._known[oid] for path, oid in sorted(paths.items())}
        for path, task in tasks.items():
            if path != f"{FOLDER}/{task.task}.json":
                raise HubError(f"the manifest belongs to the task {task.task!r}", where=self._place(path))
        return {task.task: task for task in tasks.values()}


def download(
    api: HfApi, remote: Remote, shard: ShardFacts, patience: Patience, folder: str | None = None
) -> Path:
    """A file of the repository, which is as its manifest says; in the Hub's cache if no folder is given.

    Raises:
        HubError: it is not there, or is another file.
    """
    where, listed = Location(f"{remote.repo_id}/{shard.path}"), remote.files.get(shard.path)
    if listed is None:
        raise HubError("its manifest names this file, and it is not there", where=where)
    if len(listed) == _SHA256 and listed != shard.sha256:
        raise HubError("another file than its manifest says (another sha256)", where=where)
    local = patience.call(
        f"downloading {shard.path}",
        lambda: api.hf_hub_download(
            remote.repo_id, shard.path, repo_type=REPO_TYPE, revision=remote.head, local_dir=folder
        ),
        most=shard.bytes,
    )
    with Path(local).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size != shard.bytes or hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            raise HubError("another file came than its manifest says (another sha256)", where=where)
    return Path(local)
