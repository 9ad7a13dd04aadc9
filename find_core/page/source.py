"""What the page needs of whatever gives frames: one small protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt
from find_core.results import Localization

CELL_PX = 32
"""Input sizes are offered in steps of the coarsest feature map's cells."""


class PageError(FindError, RuntimeError):
    """The page cannot be served, or cannot do what it was asked for."""


@dataclass(frozen=True)
class Finding:
    """One row of the table of found things.

    Attributes:
        label: the entity's text. score: in [0, 1]. found: it passes the threshold.
        track_id: the same from frame to frame.
        position_m: (x, y, z) of the middle of its seen surface in `frame_id`; None without depth.
    """

    label: str
    score: float
    found: bool
    track_id: int | None = None
    position_m: tuple[float, float, float] | None = None
    frame_id: str = ""


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame with what was found in it.

    Attributes:
        image_rgb: (H, W, 3) uint8, without drawings.
        stamp_ns: its time on the source's clock. taken_s: the same, in seconds of
            `time.monotonic`, as far as it is known.
        prompt: markup of what was looked for; "" nothing.
        localization: None when nothing was looked for.
        relevance: smoothed over time, in [0, 1]. findings: one row an instance.
    """

    image_rgb: np.ndarray
    stamp_ns: int
    taken_s: float
    prompt: str = ""
    localization: Localization | None = None
    relevance: float = 0.0
    findings: tuple[Finding, ...] = ()


TakeMoment = Callable[[Moment], None]


class PageSource(Protocol):
    """Frames, findings and controls. Methods are called from several threads.

    Attributes:
        name: what is watched, for the title.
        prompt: markup of what is looked for now; "" nothing.
        threshold: score from which a thing counts as found; None: not known yet.
        cameras: names to choose from; fewer than two: there is no choice.
        camera: the one that is shown.
        input_sizes: shorter sides in pixels to which images can be scaled before the network sees
            them; empty: that is not chosen here, or not known yet.
        input_px: the one in use; 0: not known.
    """

    @property
    def name(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def cameras(self) -> tuple[str, ...]: ...
    @property
    def camera(self) -> str: ...
    @property
    def input_sizes(self) -> tuple[int, ...]: ...
    @property
    def input_px(self) -> int: ...

    def open(self, take: TakeMoment) -> None:
        """Begin: somebody looks. `take` gets each moment, from any thread."""

    def close(self) -> None:
        """Stop: nobody looks any more. It may be opened again."""

    def set_prompt(self, prompt: Prompt) -> None:
        """Look for this from now on; blocks until that is so.

        Raises:
            FindError: it is refused, with the reason.
        """

    def set_threshold(self, threshold: float) -> None:
        """From the next frame on.

        Raises:
            FindError: it cannot be set.
        """

    def set_input_px(self, input_px: int) -> None:
        """Scale images to another of `input_sizes`; blocks until that is so.

        Raises:
            FindError: it cannot be set.
        """

    def show_camera(self, name: str) -> None:
        """Show another of `cameras`."""

    def waits_for(self) -> list[str]:
        """What is missing, as sentences; empty when frames are being answered."""


def sizes_around(input_px: int) -> tuple[int, ...]:
    """Input sizes from half to one and a half times as large, in pixels, the given one among them."""
    others = (CELL_PX * round(input_px * share / CELL_PX) for share in (0.5, 0.75, 1.25, 1.5))
    return tuple(sorted({input_px, *(px for px in others if px > 0)}))
