"""A server that does what it likes, byte by byte: an answer is a function that writes to the connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[socket.socket, str], object]


def _serve(connection: socket.socket, answer: Answer) -> None:
    with connection, suppress(OSError):
        connection.settimeout(30)
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(65536)
            if not piece:
                return
            request += piece
        answer(connection, request.split(b" ", 2)[1].decode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """Serve until the block ends; gives the address, and a list of the paths that are asked for."""
    asked: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def noted(connection: socket.socket, path: str) -> None:
        asked.append(path)
        answer(connection, path)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=_serve, args=(connection, noted), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
