"""The client of the Hub as the commands use it."""

from __future__ import annotations

import logging

from huggingface_hub import HfApi
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]


def client() -> HfApi:
    """The client without its own progress bars; ours takes one line."""
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return HfApi(library_name="vision-flan")
