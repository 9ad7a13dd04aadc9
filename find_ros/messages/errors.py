"""Why a message cannot be used. Each error carries the cause under which the frame is counted."""

from __future__ import annotations

from find_core.errors import FindError
from find_core.video.sources.image_encodings import ImageMessageError


class MessageError(FindError):
    """A message, or what must come with it, is missing or says nothing usable.

    Attributes:
        cause: the name under which it is counted.
    """

    def __init__(self, cause: str, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


class PoseError(MessageError):
    """No transform between two frames."""


# What reading messages raises; all have `cause`.
UNUSABLE = (MessageError, ImageMessageError)
