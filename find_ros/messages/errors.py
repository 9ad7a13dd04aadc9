"""Why a message cannot be used. Each error carries the cause under which the frame is counted."""

from __future__ import annotations

from find_core.errors import FindError
from find_core.support.printable import shown
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


def check_same_frame(depth_frame: str, image_frame: str) -> None:
    """Depth that lies in another frame is of another view, however well the sizes fit.

    Raises:
        MessageError: "other_frame": both name a frame, and the names differ.
    """
    if depth_frame and image_frame and depth_frame != image_frame:
        raise MessageError(
            "other_frame",
            f"depth is in {shown(depth_frame)}, the image in {shown(image_frame)}: give depth that "
            "is aligned to the colour image.",
        )


# What reading messages raises; all have `cause`.
UNUSABLE = (MessageError, ImageMessageError)
