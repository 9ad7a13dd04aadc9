"""The relevance curve as SVG, and in words for those who do not see it."""

from __future__ import annotations

import numpy as np

from find_core.page.history import SPAN_S, Curve

WIDTH, HEIGHT = 600, 120
BINS = 360
TOP, BOTTOM = 6.0, HEIGHT - 4.0


def svg_of(curve: Curve, threshold: float, marked_s: float | None = None) -> str:
    """Intervals, threshold, curve and the moment that is looked at, in `WIDTH` x `HEIGHT` units.

    Args:
        marked_s: time of the still that is shown; None: the live picture is.
    """
    if not len(curve.times_s):
        return ""
    now_s = float(curve.times_s[-1])
    parts = [
        f'<rect x="{x_of(i.start_s, now_s):.1f}" y="0" height="{HEIGHT}" fill="#56b4e9" '
        f'fill-opacity="0.35" width="{max(x_of(i.end_s, now_s) - x_of(i.start_s, now_s), 1):.1f}"/>'
        for i in curve.intervals
    ]
    y = _y(threshold)
    parts.append(
        f'<line x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#555" '
        'stroke-dasharray="4 4" vector-effect="non-scaling-stroke"/>'
    )
    points = " ".join(f"{x:.1f},{_y(v):.1f}" for x, v in _thinned(curve, now_s))
    parts.append(
        f'<polyline points="{points}" fill="none" stroke="#141414" stroke-width="2" '
        'vector-effect="non-scaling-stroke"/>'
    )
    if marked_s is not None:
        x = x_of(marked_s, now_s)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}" stroke="#d55e00" '
            'stroke-width="3" vector-effect="non-scaling-stroke"/>'
        )
    return "".join(parts)


def words_of(curve: Curve) -> str:
    """One sentence about the same curve."""
    if not len(curve.times_s):
        return "No relevance yet."
    now_s, value = float(curve.times_s[-1]), float(curve.values[-1])
    stretches = [_ago(now_s - i.start_s, now_s - i.end_s) for i in curve.intervals[-3:]]
    seen = f"relevant {', '.join(stretches)}" if stretches else "relevant at no time so far"
    return f"Relevance is {value:.2f} now; {seen}."


def _ago(start_s: float, end_s: float) -> str:
    """A stretch of time, in seconds before now."""
    if round(start_s) <= 0:
        return "now"
    return f"{start_s:.0f} to {max(end_s, 0):.0f} s ago"


def x_of(time_s: float, now_s: float) -> float:
    """Where a time lies on the picture, whose right edge is now."""
    return float(np.clip(WIDTH * (1 - (now_s - time_s) / SPAN_S), 0, WIDTH))


def time_at(x: float, curve: Curve) -> float | None:
    """The time at `x`; None when there is no curve."""
    if not len(curve.times_s):
        return None
    return float(curve.times_s[-1]) - (1 - x / WIDTH) * SPAN_S


def _y(value: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value


def _thinned(curve: Curve, now_s: float) -> list[tuple[float, float]]:
    """The last sample of each bin: what is drawn does not grow with the frame rate."""
    xs = WIDTH * (1 - (now_s - curve.times_s) / SPAN_S)
    bins = np.floor(xs * BINS / WIDTH).astype(int)
    last = np.append(bins[1:] != bins[:-1], True)
    return list(zip(xs[last].tolist(), curve.values[last].tolist(), strict=True))
