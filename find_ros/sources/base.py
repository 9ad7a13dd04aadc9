"""What a recording gives the player: frames, and what is known of them before it plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Of a folder of images that does not say its own rate.
DEFAULT_FPS = 10.0


@dataclass(frozen=True, eq=False)
class PlayedFrame:
    """Attributes: image_rgb: (H, W, 3) uint8. time_s: since the recording's begin. depth_m: (H, W)
    float32, 0 invalid, or None. K: (3, 3) pixels or None. T_world_camera: (4, 4) or None."""

    image_rgb: np.ndarray
    time_s: float
    depth_m: np.ndarray | None = None
    K: np.ndarray | None = None
    T_world_camera: np.ndarray | None = None


# Takes (kind, sentence) of what was left out of a recording; see `ThrottledLogger.warn`.
Warn = Callable[[str, str], object]


def say_nothing(kind: str, sentence: str) -> None:
    """For who does not want to know what was left out."""


class PlayerSource(Protocol):
    """What the player needs to know before it plays."""

    @property
    def has_depth(self) -> bool: ...

    @property
    def has_pose(self) -> bool: ...

    @property
    def is_live(self) -> bool:
        """A camera rather than a recording."""
        ...

    @property
    def frame_count(self) -> int | None: ...

    @property
    def duration_s(self) -> float | None: ...

    def frames(self) -> Iterator[PlayedFrame]: ...
