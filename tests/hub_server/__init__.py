"""A Hub on 127.0.0.1 for tests: what huggingface_hub 2.4, hf_xet 1.8 and datasets 5.2 need of huggingface.co.

`HubServer` answers over real HTTP and stores what it receives, so that a test publishes with the released
client and compares every byte that comes back. `Fault` makes it misbehave. Of the packages beyond the
standard library only pyarrow is used, for the LZ4 frames inside xorbs.
"""

from . import reading, writing  # noqa: F401  (they register routes)
from .messages import Request
from .server import Fault, HubServer
from .store import Entry, Repo, User

__all__ = ["Entry", "Fault", "HubServer", "Repo", "Request", "User"]
