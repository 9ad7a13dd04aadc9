"""Relevance over time as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from find_core.drawing.contact_sheet import resize_to_width
from find_core.drawing.palette import entity_color
from find_core.errors import ImageError
from find_core.support.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from find_core.video.timeline import Interval


@dataclass(frozen=True, eq=False)
class TimelineCurve:
    """One row of a timeline: a prompt's relevance, raw and smoothed (N,), and its intervals."""

    label: str
    raw: np.ndarray
    smoothed: np.ndarray
    intervals: Sequence[Interval]
    threshold: float = 0.5


def timeline_png(
    path: str | Path,
    times_s: Sequence[float] | np.ndarray,
    curves: Sequence[TimelineCurve],
    *,
    thumbnails: Sequence[tuple[float, np.ndarray]] = (),
    title: str = "",
) -> Path:
    """Write the relevance curves with their intervals, one row a prompt, thumbnails above.

    Args:
        times_s: (N,) seconds.
        curves: one per prompt.
        thumbnails: (time_s, (h, w, 3) uint8 RGB), shown above the time they belong to.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(curves) + bool(thumbnails)
    figure = Figure(figsize=(12, 1.5 + 1.9 * rows), layout="constrained")
    axes = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    if thumbnails:
        _thumbnail_row(axes.pop(0), thumbnails, times_s)
    for k, (ax, curve) in enumerate(zip(axes, curves, strict=True)):
        _curve_row(ax, np.asarray(times_s, np.float64), curve, entity_color(k))
    axes[-1].set_xlabel("time, seconds")
    figure.suptitle(title)
    path = Path(path)
    FigureCanvasAgg(figure)
    replace_file(path, lambda file: figure.savefig(file, format="png", dpi=100), ImageError)
    return path


def _curve_row(ax: Axes, times_s: np.ndarray, curve: TimelineCurve, rgb: Sequence[int]) -> None:
    color = [c / 255 for c in rgb]
    ax.plot(times_s, curve.raw, color="0.6", lw=0.7, label="each frame")
    ax.plot(times_s, curve.smoothed, color="black", lw=1.4, label="smoothed")
    ax.axhline(curve.threshold, color="0.3", lw=0.8, ls=":", label="threshold")
    for n, interval in enumerate(curve.intervals):
        ax.axvspan(interval.start_s, interval.end_s, color=color, alpha=0.35, lw=0)
        if n < 12:  # more labels than this cover each other
            ax.text(interval.peak_s, 1.01, f"{interval.peak_s:.1f} s", fontsize=8, ha="center")
    ax.set_ylim(0, 1.12)
    ax.set_ylabel("relevance")
    ax.set_title(curve.label, loc="left", fontsize=10)
    ax.legend(loc="center right", fontsize=7, framealpha=0.7)


def _thumbnail_row(
    ax: Axes, thumbnails: Sequence[tuple[float, np.ndarray]], times_s: Sequence[float] | np.ndarray
) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    ax.set_axis_off()
    span = max(float(times_s[-1] - times_s[0]), 1e-6) if len(times_s) else 1.0
    width_px = min(110, int(690 / max(len(thumbnails), 1)))  # units of 1/72 inch
    for n, (time_s, image) in enumerate(sorted(thumbnails, key=lambda item: item[0])):
        # Evenly spread, each joined to its own time: crowded moments stay apart.
        x = times_s[0] + span * (n + 0.5) / len(thumbnails)
        box = AnnotationBbox(
            OffsetImage(resize_to_width(image, 2 * width_px), zoom=0.5),
            (time_s, 0),
            xybox=(x, 0.55),
            frameon=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.7, "color": "0.4"},
        )
        ax.add_artist(box)
    ax.set_ylim(0, 1)
