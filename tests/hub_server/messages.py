"""Requests and answers of the test Hub's routes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .store import User


class HubError(Exception):
    """An error answer: status, the Hub's error code, its message."""

    def __init__(self, status: int, code: str = "", message: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body


@dataclass
class Answer:
    """What a route returns; `body` is JSON-serializable, or bytes."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """One request, as routes see it and as `HubServer.requests` records it (without its body)."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    user: User | None
    body: bytes = b""
    received: int = 0
    status: int = 0
    seconds: float = 0.0

    def json(self) -> Any:
        return json.loads(self.body)
