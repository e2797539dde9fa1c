"""A judge behind an OpenAI-compatible server: OpenAI, vLLM, llama.cpp, Ollama and others."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from vision_flan.errors import VflanError
from vision_flan.evaluate.judge import JudgeError, Prompt, RecordedJudge, Reply
from vision_flan.evaluate.values import whole_characters
from vision_flan.report import human_bytes

#: Attempts at one prompt; with doubling pauses from 1 s to 60 s that is some five minutes.
ATTEMPTS = 9
MAX_PAUSE = 60.0
#: Seconds a reply may take until it begins, and again until it ends; a local model on a busy machine is slow.
TIMEOUT = 300.0
#: Bytes of a reply; of one that is asked for at most 1,024 tokens, thousands are the rule.
MOST_REPLY = 4 * 2**20
KEY_VARIABLE = "VFLAN_JUDGE_KEY"
_MOST_VERSION = 200


@dataclass
class ChatServer:
    """Sends prompts to `<url>/chat/completions`.

    Attributes:
        url: base URL, as in https://api.openai.com/v1.
        key: bearer token, "" for none; never shown or written.
        sleep: waits so many seconds; None waits until `stop` is called.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    sleep: Callable[[float], object] | None = None
    attempts: int = ATTEMPTS
    _client: httpx2.Client = field(init=False, repr=False)
    _stopped: threading.Event = field(init=False, repr=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT)

    def send(self, prompt: Prompt) -> Reply:
        """The reply to a prompt; waits and asks again after 429, 5xx and lost connections.

        Raises:
            JudgeError: the server refuses, or does not answer in `attempts`.
        """
        said = ""
        for attempt in range(self.attempts):
            pause = min(MAX_PAUSE, 2.0**attempt)
            try:
                response = self._post(self._body(prompt))
            except httpx2.RequestError as error:  # lost, too slow, or not HTTP
                said = f"lost connection ({type(error).__name__})"
            else:
                if response.status_code == 200:
                    return self._reply(response)
                said = f"HTTP {response.status_code}: {_message(response)}"
                if response.status_code not in (408, 429) and response.status_code < 500:
                    raise self._refused(response.status_code, said)
                pause = _retry_after(response, pause)
            if attempt + 1 < self.attempts:
                (self.sleep or self._stopped.wait)(pause)
                if self._stopped.is_set():
                    raise JudgeError(f"stopped while the judge at {self.url} was busy: {said}")
        raise JudgeError(
            f"the judge at {self.url} did not answer {self.attempts} times: {said}",
            hint="run the same command again later; replies so far are kept",
        )

    def _post(self, body: dict[str, Any]) -> httpx2.Response:
        """The whole answer, as far as it is of a size and in a time that a reply may have."""
        with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
            content, until = bytearray(), time.monotonic() + TIMEOUT
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MOST_REPLY:
                    raise JudgeError(
                        f"the judge at {self.url} sends more than {human_bytes(MOST_REPLY)} as a reply",
                        hint="is this the URL of an OpenAI-compatible server?",
                    )
                if time.monotonic() > until:
                    raise httpx2.ReadTimeout(f"the reply did not end in {TIMEOUT:.0f} s")
        headers = [(n, v) for n, v in response.headers.multi_items() if n.lower() != "content-encoding"]
        return httpx2.Response(
            response.status_code, headers=headers, content=bytes(content), request=response.request
        )

    def stop(self) -> None:
        """End all pauses; the prompts that wait in them fail."""
        self._stopped.set()

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        return {
            "model": self.model,
            "messages": [*system, {"role": "user", "content": prompt.user}],
            "temperature": prompt.temperature,
            "max_tokens": prompt.max_tokens,
        }

    def _reply(self, response: httpx2.Response) -> Reply:
        try:
            data = response.json()
            text = data["choices"][0]["message"]["content"]
            named = (str(data[name]) for name in ("model", "system_fingerprint") if data.get(name))
            version = whole_characters(" ".join(named))[:_MOST_VERSION]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise JudgeError(
                f"{self.url} does not reply as an OpenAI-compatible server: {response.text[:80]!r}",
                hint="give the base URL, as in http://localhost:8000/v1",
            ) from error
        return Reply(whole_characters(text) if isinstance(text, str) else "", version)

    def _refused(self, status: int, said: str) -> JudgeError:
        hints = {
            401: f"set {KEY_VARIABLE}, or name its variable with --judge-key",
            403: f"set {KEY_VARIABLE}, or name its variable with --judge-key",
            404: "check --judge and --judge-model; the URL ends in /v1 for most servers",
        }
        return JudgeError(
            f"the judge at {self.url} refuses: {said}", hint=hints.get(status, "see the server's message")
        )


def _message(response: httpx2.Response) -> str:
    """The server's message in one line; a key that it repeats is shortened by most servers, and cut here."""
    try:
        error = response.json()["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError, RecursionError):
        text = response.text
    key = response.request.headers.get("Authorization", "").removeprefix("Bearer ")
    return " ".join((text.replace(key, "***") if key else text).split())[:200]


def _retry_after(response: httpx2.Response, pause: float) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(3600.0, max(pause, float(asked))) if re.fullmatch(r"[0-9]{1,300}", asked) else pause


def open_judge(url: str, model: str, cache: Path | None, key_variable: str = KEY_VARIABLE) -> RecordedJudge:
    """The judge at a URL, with its recorded replies.

    Raises:
        VflanError: the URL is none, or holds a password; the key's variable is none, or is not set.
        JudgeError: the file of replies is damaged.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise VflanError(f"{url!r} is no URL of a judge", hint="as in http://localhost:8000/v1")
    if parts.username or parts.password:
        raise VflanError("the judge's URL holds a user or password", hint=f"put the key into {KEY_VARIABLE}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key_variable):
        raise VflanError("--judge-key takes the name of an environment variable, not the key itself")
    if key_variable != KEY_VARIABLE and key_variable not in os.environ:
        raise VflanError(f"the environment variable {key_variable} is not set", hint="export it first")
    base = url.rstrip("/").removesuffix("/chat/completions")
    server = ChatServer(base, model, os.environ.get(key_variable, ""))
    return RecordedJudge(model, base, server.send, cache, server.stop)
