"""One process per work folder, and errors of the machine that say what a user can do about them."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vision_flan.build.store_lock import held, is_held
from vision_flan.errors import Location, MachineError, system_words
from vision_flan.places.place import P, Place
from vision_flan.places.remote import RemotePath

WORK_FOLDER = ".vflan"

_AGAIN = "then run the same command: finished shards are kept"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: errno -> what to do; anything else is a fault of the disk or the file system
_HINTS = (
    dict.fromkeys(_FULL, f"free some space, {_AGAIN}")
    | dict.fromkeys(
        (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
        "choose another --out, or fix its permissions",
    )
    | dict.fromkeys(
        (errno.ENOENT, errno.ESTALE, errno.ENOTCONN),
        f"a file or folder disappeared while it was in use: check that --out exists, {_AGAIN}",
    )
    | dict.fromkeys((errno.EMFILE, errno.ENFILE), "too many files are open: raise `ulimit -n`")
    | {
        errno.ENAMETOOLONG: "choose an --out with a shorter path",
        errno.ENOLCK: "its file system does not support locks: choose an --out on a local disk",
    }
)
#: Seconds between two touches of a held lock, and until one that is not touched counts as left behind.
_BEAT, _STALE = 10.0, 60.0
_TEMPORARY = re.compile(r"^\..+\.(\d+)\.tmp$")


@contextmanager
def task_lock(out: Place, task: str) -> Iterator[Path]:
    """The task's work folder on this machine, for one process at a time; in a store, of all machines.

    Raises:
        MachineError: another process holds it.
    """
    work = work_folder(out) / task
    work.mkdir(parents=True, exist_ok=True)
    with locked(work / "lock", wait=False):
        if isinstance(out, Path):
            yield work
        else:
            with held(lock_of(out, task)):
                yield work


def work_folder(out: Place) -> Path:
    """The folder of this machine for what is unfinished, and for what is read again."""
    return out / WORK_FOLDER if isinstance(out, Path) else out.work


def records_folder(out: P, task: str) -> P:
    """Where it is kept from what a compiled config was made. It lies with the config, so that it is known on
    any machine."""
    return out / WORK_FOLDER / task


def lock_of(out: RemotePath, task: str) -> RemotePath:
    """The object that names who is compiling a task in a store."""
    return records_folder(out, task) / "lock"


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file, which names its holder.

    The kernel's lock ends with the process, but on a network file system it may hold on one machine only. So
    the holder touches the file while it works, and empties it at the end; a file that names another host and
    was touched a moment ago is held.

    Raises:
        MachineError: another process holds it, and `wait` is False.
    """
    with path.open("a+") as file:
        file.seek(0)
        holder = file.read(200).strip()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise is_held(path.parent, holder, "wait for it") from error
        if not wait and _is_held_elsewhere(path, holder):
            raise is_held(path.parent, holder, f"wait for it; if it was killed, for {_STALE:.0f} seconds")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        done = threading.Event()
        beat = threading.Thread(target=_keep_fresh, args=(file.fileno(), done), daemon=True, name="lock")
        beat.start()
        try:
            yield
        finally:
            done.set()
            beat.join()
            file.truncate(0)


def _is_held_elsewhere(path: Path, holder: str) -> bool:
    """Whether a process of another host touched the lock a moment ago, by the clock of the file's disk."""
    host = holder.partition(" on ")[2]
    if not host or host == socket.gethostname():
        return False
    probe = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        probe.touch()
        return abs(probe.stat().st_mtime - path.stat().st_mtime) < _STALE
    finally:
        probe.unlink(missing_ok=True)


def _keep_fresh(descriptor: int, done: threading.Event) -> None:
    while not done.wait(_BEAT):
        with suppress(OSError):  # what is wrong with the disk, the build will say
            os.utime(descriptor)


@contextmanager
def machine_errors(out: Place) -> Iterator[None]:
    """Turn errors of the operating system and of DuckDB into a `MachineError` that says what to do."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output is gone: not a fault of the disk
    except OSError as error:
        what = system_words(error)
        hint = _HINTS.get(error.errno or 0, f"check the disk, {_AGAIN}")
        disk = str(out if isinstance(out, Path) else out.work)  # a store is never full
        where = disk if error.errno in _FULL else error.filename or disk
        refused = MachineError(f"cannot write: {what}", where=Location(where), hint=hint)
        refused.errno = error.errno
        raise refused from error
    except Exception as error:
        if not _is_of_duckdb(error):
            raise
        raise MachineError(
            f"DuckDB: {str(error).splitlines()[0]}",
            where=Location(str(out if isinstance(out, Path) else out.work)),
            hint="check that there is space for the work folder",
        ) from error


def _is_of_duckdb(error: Exception) -> bool:
    """Whether DuckDB raised it; a worker that makes blocks has none."""
    duckdb = sys.modules.get("duckdb")
    return duckdb is not None and isinstance(error, duckdb.Error)


def remove_litter(folder: Place, name: str) -> None:
    """Remove temporary files of `name` that a killed process left in a folder; a store has none."""
    if isinstance(folder, RemotePath):
        return
    for path in folder.glob(f".{name}.*.tmp"):
        match = _TEMPORARY.match(path.name)
        if match and not _alive(int(match.group(1))):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # left by an earlier process with our id: we hold the lock and have no such file
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
