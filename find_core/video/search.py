"""The best moments of a long recording without looking at every frame: coarse to fine.

Coarse: one frame every `period_s` is encoded and matched at object level (a small matrix product a
prompt). Fine: around the best stretches, full localization at `fine_fps`, smoothed both ways and
divided into intervals. An hour at 30 frames a second costs about 3600 + 30 a candidate encodings
instead of 108,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from find_core.protocols import FindLike, LocalizedImage
from find_core.results import Localization
from find_core.video.sources.base import Source, SourceFrame, thin
from find_core.video.stream import AnyPrompt, StreamLocalizer
from find_core.video.timeline import Interval, TimelineConfig, best_moments, smooth_both_ways

MAX_INSIDE = 8  # frames looked at inside a long stretch, between its two edges


@dataclass(frozen=True, eq=False)
class Moment:
    """Attributes:
    interval: when. frame: its best frame. localization: what is seen there.
    found: False where even the best candidate stays below the threshold.
    """

    interval: Interval
    frame: SourceFrame
    localization: Localization
    found: bool


@dataclass(frozen=True, eq=False)
class SearchReport:
    """Attributes:
    moments: per prompt, best first. times_s (N,) and coarse (P, N): the coarse curves.
    encoded: how many frames went through the model.
    """

    moments: tuple[tuple[Moment, ...], ...]
    times_s: np.ndarray
    coarse: np.ndarray
    encoded: int


def find_moments(
    source: Source,
    find: FindLike[LocalizedImage],
    prompts: Sequence[AnyPrompt],
    *,
    count: int = 5,
    period_s: float = 1.0,
    fine_fps: float = 5.0,
    threshold: float | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> SearchReport:
    """The `count` best moments of each prompt.

    Args:
        source: a recording, not a live one. prompts: as for `StreamLocalizer`.
        period_s: objects that show for less than this may be missed.
        fine_fps: frames a second looked at where a moment begins and ends.
        threshold: score at which an object is found; None: the model's own.
    """
    report = progress or (lambda *_: None)
    stream = StreamLocalizer(find, list(prompts), threshold=threshold)
    times_s, coarse = _coarse(source, stream, period_s, report)
    moments, encoded = [], len(times_s)
    for n, row in enumerate(coarse):
        found: list[Moment] = []
        runs = candidate_runs(times_s, row, 2 * count)
        for done, (start_s, stop_s) in enumerate(runs, 1):
            looked = _look(source, stream, start_s, stop_s, period_s, fine_fps)
            encoded += len(looked)
            found += _moments_in(looked, n, stream.timeline, period_s, 1 / fine_fps)
            report(f"fine, prompt {n + 1}", done, len(runs))
        moments.append(_best(found, count))
    return SearchReport(tuple(moments), times_s, coarse, encoded)


def _coarse(
    source: Source,
    stream: StreamLocalizer,
    period_s: float,
    report: Callable[[str, int, int | None], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Times (N,) and object-level relevance (P, N)."""
    expected = round(source.duration_s / period_s) if source.duration_s else None
    times, rows = [], []
    for done, frame in enumerate(source.sample(period_s), 1):
        scene = stream.find.encode(frame.image)
        times.append(frame.time_s)
        rows.append([scene.relevance(prompt) for prompt in stream.prompts])
        report("coarse", done, expected)
    return np.array(times), np.array(rows, np.float64).reshape(-1, len(stream.prompts)).T


def candidate_runs(
    times_s: np.ndarray, values: np.ndarray, count: int
) -> list[tuple[float, float]]:
    """Stretches around the highest values, (start_s, stop_s), best first, none inside another.

    A stretch goes as far as the values stay above half of its peak (over the curve's median). What
    stands out less than a quarter as much as the best is not worth a look.
    """
    base, taken = float(np.median(values)) if len(values) else 0.0, np.zeros(len(values), bool)
    least = base + 0.25 * (float(np.max(values, initial=base)) - base)
    runs: list[tuple[float, float]] = []
    for peak in np.argsort(-values, kind="stable"):
        if len(runs) == count or (runs and values[peak] <= least):
            break
        if taken[peak]:
            continue
        level = base + 0.5 * (values[peak] - base) if values[peak] > base else values[peak]
        low = high = int(peak)
        while low > 0 and values[low - 1] >= level and not taken[low - 1]:
            low -= 1
        while high < len(values) - 1 and values[high + 1] >= level and not taken[high + 1]:
            high += 1
        taken[max(low - 1, 0) : high + 2] = True
        runs.append((float(times_s[low]), float(times_s[high])))
    return runs


_Looked = list[tuple[SourceFrame, list[Localization]]]


def _look(
    source: Source,
    stream: StreamLocalizer,
    start_s: float,
    stop_s: float,
    period_s: float,
    fine_fps: float,
) -> _Looked:
    """Full localization where the stretch begins, where it ends, and here and there inside."""
    frames = _edges_and_inside(source, start_s, stop_s, period_s, fine_fps)
    return [
        (
            frame,
            stream.find.encode(frame.image).localize_many(
                stream.prompts, threshold=stream.threshold
            ),
        )
        for frame in frames
    ]


def _edges_and_inside(
    source: Source, start_s: float, stop_s: float, period_s: float, fine_fps: float
) -> Iterator[SourceFrame]:
    low, high = max(start_s - 2 * period_s, 0.0), stop_s + 2 * period_s
    if stop_s - start_s <= 4 * period_s:
        yield from thin(source.frames(low, high), 1 / fine_fps)
        return
    first, last = start_s + period_s, stop_s - period_s
    yield from thin(source.frames(low, first), 1 / fine_fps)
    for time_s in np.linspace(first, last, MAX_INSIDE, endpoint=False):
        frame = next(source.frames(float(time_s), last), None)
        if frame is not None:
            yield frame
    yield from thin(source.frames(last, high), 1 / fine_fps)


def _moments_in(
    looked: _Looked, n: int, timeline: TimelineConfig, period_s: float, step_s: float
) -> list[Moment]:
    """The moments of one looked-at stretch, claimed or not."""
    if not looked:
        return []
    times = np.array([frame.time_s for frame, _ in looked])
    keep = np.concatenate([[True], np.diff(times) > 0])  # an inside frame may repeat an edge
    looked = [item for item, kept in zip(looked, keep, strict=True) if kept]
    times = times[keep]
    raw = np.array([found[n].relevance for _, found in looked])
    smooth = smooth_both_ways(times, raw, timeline.smooth_s)
    # Inside a long stretch frames lie far apart; that is no hole in the recording.
    widest = float(np.diff(times).max(initial=0.0))
    patient = replace(timeline, break_s=2 * widest + period_s, min_s=min(timeline.min_s, step_s))
    moments = []
    for interval in best_moments(times, smooth, patient, len(times), float(times[-1]) + step_s):
        frame, answers = looked[int(np.abs(times - interval.peak_s).argmin())]
        moments.append(Moment(interval, frame, answers[n], timeline.claims(interval)))
    return moments


def _best(moments: list[Moment], count: int) -> tuple[Moment, ...]:
    """Found ones first, by score; a stretch that two candidates reached stands once."""
    ranked = sorted(moments, key=lambda m: (not m.found, -m.interval.score, m.interval.start_s))
    kept: list[Moment] = []
    for moment in ranked:
        if all(moment.interval.overlap(k.interval) == 0 for k in kept):
            kept.append(moment)
    if any(m.found for m in kept):
        kept = [m for m in kept if m.found]
    return tuple(kept[:count])
