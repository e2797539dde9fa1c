"""An interpreter that has loaded the package, and forks a process for each command: half a second saved each.

It reads one JSON request a line, `{"root": ..., "arguments": [...], "limits": {...}}`, and answers with one
line when the command has ended. The command gets nothing but what a shell would give it, and less memory.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

#: Bytes of address space, and seconds after which it is too late.
ADDRESS_SPACE = 6 * 2**30
SECONDS = 90


def run_command(root: Path, arguments: list[str], limits: dict[str, str]) -> None:
    """In the child: be `vflan` on the specs below a folder, with its output in files there. Never returns."""
    from vision_flan.cli.main import main
    from vision_flan.spec.catalog import Catalog

    os.setsid()
    os.chdir(root / "here")
    for stream, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(root / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, stream)
        os.close(target)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    os.environ.update(limits)
    hurry()
    catalog = Catalog(root / "task_specs", root / "instructions")
    Catalog.default = classmethod(lambda cls: catalog)  # type: ignore[method-assign, assignment]
    sys.argv = ["vflan", *arguments]
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(99)


def hurry() -> None:
    """Let a slow server be slow within a second, and one server of this machine be `public.test`."""
    from vision_flan.raw import transfer, web

    transfer.PAUSE, transfer.ATTEMPTS, web.WINDOW = 0.0, 2, 0.3
    connect = web._connect

    def connected(host: str, port: int, timeout: float | None) -> socket.socket:
        public = host == "public.test"
        return socket.create_connection(("127.0.0.1", port)) if public else connect(host, port, timeout)

    web._connect = connected


def serve() -> None:
    """Answer requests until standard input ends."""
    import datasets  # noqa: F401
    import duckdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import vision_flan.build.many
    import vision_flan.review.preview
    import vision_flan.review.validate  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run_command(Path(request["root"]), request["arguments"], request["limits"])
        print(json.dumps({"code": _ended(child)}), flush=True)


def _ended(child: int) -> int:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -int(signal.SIGALRM)


if __name__ == "__main__":
    serve()
