"""Judges: a prompt goes in, a reply comes out, and every reply is recorded.

`RecordedJudge` keeps all replies in a JSON-lines file. A reply that is there already is not asked for
again, so a run that was interrupted resumes and a second run costs nothing. `chat_api` has the judge behind
an HTTP server.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from vision_flan.errors import Location, MachineError, VflanError
from vision_flan.evaluate.files import is_sealed, sealed
from vision_flan.evaluate.values import JudgeInfo
from vision_flan.report import Reporter

T = TypeVar("T")


class JudgeError(VflanError):
    """The judge refuses, does not answer, or its replies cannot be read."""


@dataclass(frozen=True)
class Prompt:
    """One question to a judge.

    Attributes:
        temperature, max_tokens: as the benchmark's official tool sets them.
        turn: tells repeated questions apart ("run 2", "attempt 3"); each is asked and recorded by itself.
    """

    user: str
    system: str = ""
    temperature: float = 0.0
    max_tokens: int = 1024
    turn: str = ""


@dataclass(frozen=True)
class Reply:
    """What the judge said, and the version that said it, as the server names it.

    Attributes:
        is_old: whether a run before this one recorded it.
    """

    text: str
    version: str = ""
    is_old: bool = False


class Judge(Protocol):
    """Replies to prompts; may be asked from several threads."""

    def ask(self, prompt: Prompt) -> Reply:
        """The reply to one prompt."""
        ...

    def info(self) -> JudgeInfo:
        """Who has replied so far."""
        ...

    def stop(self) -> None:
        """End pauses between attempts: the run has failed or was interrupted."""
        ...


def ask_all(judge: Judge, work: Sequence[Callable[[], T]], reporter: Reporter, parallel: int = 8) -> list[T]:
    """Run pieces of work that each ask the judge, several at a time; results in the order of `work`.

    The first error stops what has not begun or waits for a busy server. Replies so far are recorded.
    """
    reporter.stage("judging", len(work))
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        futures = [pool.submit(piece) for piece in work]
        try:
            for future in as_completed(futures):
                future.result()
                reporter.advance(1)
        except BaseException:
            judge.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


class RecordedJudge:
    """A judge whose replies are kept in a file.

    Args:
        model: the name the server knows it by.
        url: where it is; part of the key of a reply, so that two servers' models of one name stay apart.
        send: asks the server.
        path: the file of replies; made if it is not there. None keeps them in memory only.
        stop: ends the pauses of `send`.

    Raises:
        JudgeError: the file is damaged anywhere but in its last line, which a killed run leaves unfinished.
    """

    def __init__(
        self,
        model: str,
        url: str,
        send: Callable[[Prompt], Reply],
        path: Path | None,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.model, self.url, self.path = model, url, path
        self._send, self._stop = send, stop
        self._lock = threading.Lock()
        self._used: dict[str, str] = {}
        self._asked: dict[str, threading.Lock] = {}
        self._replies = {} if path is None else _load(path)

    def ask(self, prompt: Prompt) -> Reply:
        """The recorded reply, or the server's, which is then recorded."""
        key = self._key(prompt)
        with self._lock:
            one = self._asked.setdefault(key, threading.Lock())
        with one:  # a second thread with the same prompt waits for the first one's reply
            with self._lock:
                reply = self._replies.get(key)
            if reply is None:
                reply = self._send(prompt)
                self._record(key, prompt, reply)
        with self._lock:
            self._used[key] = reply.version
        return reply

    def info(self) -> JudgeInfo:
        """Model, URL, the versions that answered and the number of replies used."""
        with self._lock:
            versions = tuple(sorted({version for version in self._used.values() if version}))
            return JudgeInfo(self.model, self.url, versions, len(self._used))

    def stop(self) -> None:
        """End the pauses of the server's client."""
        self._stop()

    def _key(self, prompt: Prompt) -> str:
        text = json.dumps([self.model, self.url, asdict(prompt)], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _record(self, key: str, prompt: Prompt, reply: Reply) -> None:
        line: dict[str, object] = {
            "key": key,
            "model": self.model,
            "url": self.url,
            "version": reply.version,
            "reply": reply.text,
            **asdict(prompt),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        with self._lock:
            self._replies[key] = reply
            if self.path is None:
                return
            try:
                with self.path.open("ab") as file:
                    file.write(json.dumps(sealed(line), ensure_ascii=True).encode() + b"\n")
            except OSError as error:
                raise MachineError(
                    f"cannot write the judge's replies: {error}", where=Location(self.path)
                ) from error


def _load(path: Path) -> dict[str, Reply]:
    """The recorded replies; an unfinished last line is removed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes() if path.exists() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
    except OSError as error:
        raise MachineError(
            f"cannot use the file of the judge's replies: {error}", where=Location(path)
        ) from error
    found = {}
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], start=1):
        try:
            record: object = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or not is_sealed(record):
            raise JudgeError(
                "not a reply as it was recorded",
                where=Location(path, number),
                hint="remove the line, and the judge is asked again",
            )
        found[str(record["key"])] = Reply(str(record["reply"]), str(record["version"]), is_old=True)
    return found


def readable(
    judge: Judge, prompt: Prompt, parse: Callable[[str], T | None], attempts: int = 3, *, fresh: bool = False
) -> tuple[T | None, Reply]:
    """Ask until the reply can be read, at most `attempts` times; None if it never can.

    Args:
        fresh: for those to whom None is an error: replies of a run that failed by it are no attempts
            of this one.
    """
    reply, attempt, made = Reply(""), 0, 0
    while made < attempts:
        attempt += 1
        turn = prompt.turn if attempt == 1 else f"{prompt.turn} attempt {attempt}".strip()
        reply = judge.ask(replace(prompt, turn=turn))
        value = parse(reply.text)
        if value is not None:
            return value, reply
        made += not (fresh and reply.is_old)
    return None, reply
