"""What a store of objects says when it refuses, in words that a user can act on, and without credentials."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from vision_flan.errors import Location, StoreError, VflanError, install_command

_AGAIN = "then run the same command: finished tasks are kept"
_CHECK_KEYS = (
    "check the credentials and what they may do there: list, read, write and delete objects (docs/scale.md)"
)
_OF_THIS_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE)
#: Variables whose values are never shown.
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSW|CREDENTIAL", re.IGNORECASE)
_IN_URL = re.compile(
    r"(?<=//)[^/@\s]+@|(?<=[?&])[^=&\s]*(?:signature|credential|token|key)[^=&\s]*=[^&\s\"']+", re.I
)


@contextmanager
def said(place: object) -> Iterator[None]:
    """Turn what libraries of stores raise into a `StoreError`.

    `FileNotFoundError` and `FileExistsError` pass: these are answers, not faults; but a bucket that does not
    exist is a fault.
    """
    try:
        yield
    except VflanError:
        raise
    except Exception as error:
        code = _code(error)
        if isinstance(error, OSError) and error.errno in _OF_THIS_DISK:
            raise
        if isinstance(error, FileExistsError) or code in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise FileExistsError(errno.EEXIST, "there is such an object", str(place)) from error
        if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(place)) from error
        raise store_error(place, error) from error


def store_error(place: object, error: Exception) -> StoreError:
    """An error that says what is wrong and what to do."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = without_secrets(str(error).partition("\n")[0]) or type(error).__name__
    if isinstance(error, ImportError):
        what, hint = _not_installed(place)
    elif _code(error) == "NoSuchBucket":
        what, hint = "there is no such bucket", "create it, or give the URL of another"
    elif kinds & {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
    }:
        what = f"there are no credentials for this store: {text}"
        hint = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (docs/scale.md)"
    elif isinstance(error, PermissionError) or "ProfileNotFound" in kinds:
        what, hint = f"the store refuses: {text}", _CHECK_KEYS
    elif isinstance(error, NotImplementedError):
        what, hint = f"this kind of store cannot do what is needed: {text}", "give an s3:// URL or a folder"
    elif isinstance(error, ValueError) and "rotocol" in text:
        what, hint = f"there is no such kind of store: {text}", "give an s3:// URL or a folder"
    else:
        what = f"the store cannot be reached, or refuses: {text}"
        hint = f"check the network, and the endpoint if AWS_ENDPOINT_URL sets one; {_AGAIN}"
    return StoreError(what, where=Location(str(place)), hint=hint)


def without_secrets(text: str) -> str:
    """A message without the values of the environment's secrets, and without credentials in URLs."""
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    return _IN_URL.sub("***", text)[:400]


def _not_installed(place: object) -> tuple[str, str]:
    scheme = str(place).partition("://")[0]
    if scheme in ("s3", "s3a"):
        return f"{scheme}:// needs the package s3fs, which is not installed", install_command("s3")
    from fsspec.registry import known_implementations

    needs = known_implementations.get(scheme, {}).get("err", "")
    return f"{scheme}:// needs a package that is not installed", needs or "see the list of fsspec's stores"


def _code(error: BaseException) -> str:
    """The code in a response of S3; s3fs raises errors of Python from these."""
    at: BaseException | None = error
    while at is not None:
        response = getattr(at, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        at = at.__cause__
    return ""
