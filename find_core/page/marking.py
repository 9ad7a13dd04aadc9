"""Pointing into a still: a drag becomes a box or a scribble, a tap a point or the thing under it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from find_core.errors import PromptError
from find_core.page.stills import Still
from find_core.prompts.prompt import Prompt
from find_core.prompts.reference import Reference
from find_core.prompts.region import Region
from find_core.support.printable import quoted

Tool = Literal["box", "scribble"]
TAP_PX = 5.0
"""A drag that stays within so many pixels of the picture is a tap."""
MAX_NAME_CHARS = 40
MAX_STROKE_POINTS = 500
Edges = tuple[float, float, float, float]


class Marking:
    """What has been drawn into one still.

    Attributes:
        still: that it is drawn into. tool: what a drag draws.
        edges: (x1, y1, x2, y2) of the box in pixels of the still; None without one.
        region: what is marked; None so far.
    """

    def __init__(self, still: Still, tool: Tool = "box") -> None:
        self.still, self.tool = still, tool
        self.region: Region | None = None
        self._path: list[tuple[float, float]] = []
        self._drawing = False

    @property
    def edges(self) -> Edges | None:
        if self._drawing and self.tool == "box":
            return self._dragged()
        if self.region is None or self.region.kind != "box":
            return None
        x1, y1, x2, y2 = self.region.data.tolist()
        return x1, y1, x2, y2

    def press(self, x: float, y: float) -> None:
        """The pointer goes down at (x, y), pixels from the picture's upper left edge."""
        self._drawing, self.region, self._path = True, None, [self._inside(x, y)]

    def move(self, x: float, y: float) -> bool:
        """False when nothing is being drawn."""
        if self._drawing and (self.tool == "box" or len(self._path) < MAX_STROKE_POINTS):
            self._path.append(self._inside(x, y))
        return self._drawing

    def release(self) -> bool:
        """The pointer goes up; False when nothing was being drawn."""
        drawing, self._drawing = self._drawing, False
        if not drawing:
            return False
        path = np.array(self._path)
        if np.ptp(path, axis=0).max() < TAP_PX:
            self.region = self._tapped(*self._path[0])
        elif self.tool == "box":
            self.set_box(self._dragged())
        else:
            self.region = Region.scribble(path - 0.5)
        return True

    def set_box(self, edges: Edges) -> None:
        """A box by its edges, in any order; a sliver gets one pixel."""
        (x1, y1), (x2, y2) = self._inside(*edges[:2]), self._inside(*edges[2:])
        (x1, x2), (y1, y2) = sorted((x1, x2)), sorted((y1, y2))
        height, width = self.still.image_rgb.shape[:2]
        x1, y1 = min(x1, width - 1.0), min(y1, height - 1.0)
        self.region = Region.box(x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))

    def whole(self) -> None:
        """The whole picture."""
        height, width = self.still.image_rgb.shape[:2]
        self.region = Region.box(0, 0, width, height)

    def reference(self) -> Reference:
        """What is marked, as a prompt takes it.

        Raises:
            PromptError: nothing is.
        """
        if self.region is None:
            raise PromptError("Nothing is marked: drag a box around the thing, or tap it.")
        return Reference(self.still.image_rgb, self.region)

    def svg(self) -> str:
        """The mark, drawn in pixels of the still."""
        line = 'fill="none" stroke-width="{}" vector-effect="non-scaling-stroke" stroke="{}"'
        dark, light = line.format(5, "#141414"), line.format(2.5, "#f0e442")
        if (edges := self.edges) is not None:
            x1, y1, x2, y2 = edges
            shape = f'rect x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}"'
        elif self._drawing or (self.region is not None and self.region.kind == "scribble"):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in self._path)
            shape = f'polyline points="{points}"'
        elif self.region is not None:
            ys, xs = np.nonzero(self.region.to_mask(*self.still.image_rgb.shape[:2]))
            x, y = (xs.min() + xs.max()) / 2 + 0.5, (ys.min() + ys.max()) / 2 + 0.5
            radius = max(8.0, np.ptp(xs) / 2, np.ptp(ys) / 2)
            shape = f'circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
        else:
            return ""
        return f"<{shape} {dark}/><{shape} {light}/>"

    def _dragged(self) -> Edges:
        (x1, y1), (x2, y2) = self._path[0], self._path[-1]
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def _tapped(self, x: float, y: float) -> Region:
        """The found thing under the pointer, else the point."""
        localization = self.still.localization
        row, column = int(y), int(x)
        for entity in localization.entities if localization is not None else ():
            for instance in entity.instances:
                if instance.mask[row, column]:
                    return Region.mask(instance.mask)
        return Region.point(x - 0.5, y - 0.5)

    def _inside(self, x: float, y: float) -> tuple[float, float]:
        height, width = self.still.image_rgb.shape[:2]
        return min(max(x, 0.0), width - 1e-3), min(max(y, 0.0), height - 1e-3)


def check_name(name: str) -> str:
    """A reference's name as it will stand in prompts.

    Raises:
        PromptError: it cannot stand there.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable() or set(name) & set("<>\\"):
        raise PromptError(
            f"{quoted(name)} is no name for a reference: give 1 to {MAX_NAME_CHARS} letters "
            "without < and >, such as this."
        )
    return name


def prompt_with(text: str, name: str) -> str:
    """`text` if it names the reference already, else a prompt that asks for it alone."""
    try:
        labels = {entity.label for entity in Prompt.bind_known(text, {}).entities}
    except PromptError:
        labels = set()
    return text if name in labels and f"<{name}>" in text else f"<{name}>"
