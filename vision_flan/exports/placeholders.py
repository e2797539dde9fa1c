"""Marks of images, videos and audio that upstream's text may hold, made harmless for other trainers."""

from __future__ import annotations

import re

#: The mark that exports write where an image belongs.
IMAGE_MARK = "<image>"
#: `<image>`, `<|video|>`, `<|image_pad|>`, `<image_soft_token>`: what the trainers' processors count.
_MARK = re.compile(r"<(?=\|?(?:image|video|audio)(?:_\w+)?\|?>)", re.IGNORECASE)


def harmless(text: str) -> str:
    """The text with a space inside every mark, so that no trainer takes it for an image, a video or a sound.

    Nothing is removed: removing `<image>` from `<ima<image>ge>` would make one. A mark holds no space, so the
    result has only marks that the text had, and those are broken.
    """
    return _MARK.sub("< ", text)
