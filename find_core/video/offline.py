"""Whole recordings: the same `StreamLocalizer`, smoothed both ways, resumable, memory flat.

    report = localize_video(open_source("kitchen.mp4"), find, ["the <red cup>"], "out/")

Writes into the folder: `localizations.jsonl` (one line a frame and prompt), `timeline.json`
(intervals, events, best moments), `timeline.png`, `moments.png` and `annotated.mp4`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from find_core.drawing import (
    TimelineCurve,
    contact_sheet,
    draw_localization,
    timeline_png,
    write_image,
)
from find_core.errors import FindError
from find_core.protocols import FindLike, LocalizedImage
from find_core.support.files import locked, open_own, write_text
from find_core.support.json_text import json_text
from find_core.video.records import by_frame, merged, read_records
from find_core.video.replay import replay
from find_core.video.resume import read_resume
from find_core.video.sources import Source, SourceFrame, next_due_s, open_source, thin
from find_core.video.sources.base import log
from find_core.video.stream import AnyPrompt, StreamConfig, StreamLocalizer, VideoFrame
from find_core.video.timeline import (
    Interval,
    TimelineConfig,
    best_moments,
    segment_intervals,
    smooth_both_ways,
)
from find_core.video.writer import VideoWriter

JSON_VERSION = 1
CHECKPOINT_FRAMES = 100
Progress = Callable[[str, int, "int | None"], None]  # stage, done, total if known
Watch = Callable[[SourceFrame, VideoFrame], None]


@dataclass(frozen=True, eq=False)
class VideoReport:
    """Attributes:
    out_dir: where the files are. frame_count: frames localized.
    times_s: (N,). raw, smoothed: (P, N) relevance of each prompt.
    intervals: per prompt, in time order. moments: per prompt, best first, claimed or not.
    events: as in JSON. timeline: how the curves were cut, and which moments are claims.
    """

    out_dir: Path
    frame_count: int
    times_s: np.ndarray
    raw: np.ndarray
    smoothed: np.ndarray
    intervals: tuple[tuple[Interval, ...], ...]
    moments: tuple[tuple[Interval, ...], ...]
    events: tuple[dict[str, Any], ...]
    timeline: TimelineConfig


def localize_video(
    source: Source,
    find: FindLike[LocalizedImage],
    prompts: Sequence[AnyPrompt],
    out_dir: str | Path,
    *,
    threshold: float | None = None,
    fps: float | None = None,
    top: int = 5,
    annotate: bool = True,
    seconds: float = float("inf"),
    config: StreamConfig | None = None,
    fast: bool = False,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> VideoReport:
    """Localize `prompts` in every frame of `source` and write what was found into `out_dir`.

    An interrupted run goes on where it stopped when called again with the same arguments. A live
    source runs until it ends, `seconds` have passed or Ctrl-C.

    Args:
        prompts: str, `Prompt` or `CompiledPrompt`, each answered on its own.
        threshold: score at which an object is found; None: the model's own.
        fps: at most so many frames a second are looked at; None: all.
        top: how many best moments a prompt stand in `moments.png`; 0: none.
        annotate: write `annotated.mp4`.
        fast: object-level matching only.
        progress: called with (stage, frames done, frames in all or None).
        watch: gets each frame and its answer as they come, those of a run before excepted.

    Raises:
        FindError: the folder holds an unfinished run of something else, or another process writes
            into it.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / "localizations.jsonl"):
        stream = StreamLocalizer(find, list(prompts), threshold=threshold, config=config, fast=fast)
        run = _Run(source, stream, out, fps, seconds, progress or (lambda *_: None))
        run.stream_pass(annotate, watch)
        report = _summarize(run, top)
        if annotate and not source.is_live:
            run.annotate_pass(report)
        _write_images(run, report)
        return report


class _Run:
    """One recording on its way through the model: the pass itself and its bookkeeping."""

    def __init__(
        self,
        source: Source,
        stream: StreamLocalizer,
        out: Path,
        fps: float | None,
        seconds: float,
        progress: Progress,
    ) -> None:
        self.source, self.stream, self.out, self.progress = source, stream, out, progress
        self.period_s, self.seconds = (1 / fps if fps else 0.0), seconds
        self.part, self.saved = out / "localizations.part.jsonl", out / "resume.json"
        self.records, self.video = out / "localizations.jsonl", out / "annotated.mp4"
        self.stills: dict[float, np.ndarray] = {}  # annotated images by the second they show
        self.key = self._key()

    def _key(self) -> str:
        """Identifies the run: source, prompts, model and settings."""
        stream = self.stream
        asked = [p.prompt.to_json() for p in stream.prompts]
        model = [stream.find.fingerprint, stream.fast, stream.threshold]
        settings = [asdict(stream.config), self.period_s]
        text = json_text([self.source.identity, asked, model, settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def stream_pass(self, annotate: bool, watch: Watch | None) -> None:
        """Every frame through the model, one line each, then the finished name."""
        index, start_s, due_s, written = self._resume()
        writer = VideoWriter(self.video) if annotate and self.source.is_live else None
        frames = thin(self.source.frames(start_s, self.seconds, index), self.period_s, due_s)
        try:
            with open_own(self.part, "a") as lines:
                for done, frame in enumerate(frames, 1):
                    answer = self.stream.update(frame.image, frame.stamp_ns)
                    lines.writelines(record_lines(answer, frame, len(self.stream.prompts)))
                    if writer:
                        writer.write(_live_image(frame, answer), frame.time_s)
                    if watch:
                        watch(frame, answer)
                    if done % CHECKPOINT_FRAMES == 0:
                        lines.flush()
                        os.fsync(lines.fileno())  # before the state that counts on them
                        self._save(frame)
                    self.progress("localize", written + done, self._expected())
        except KeyboardInterrupt:
            if not self.source.is_live:
                raise
        finally:
            if writer:
                writer.close()
        self.part.replace(self.records)
        self.saved.unlink(missing_ok=True)

    def _expected(self) -> int | None:
        count, duration_s = self.source.frame_count, self.source.duration_s
        if count and self.period_s and duration_s:
            return min(count, round(duration_s / self.period_s))
        return count

    def _save(self, frame: SourceFrame) -> None:
        state = {"key": self.key, "bytes": self.part.stat().st_size, "stream": self.stream.state()}
        state |= {"index": frame.index, "time_s": frame.time_s}
        write_text(self.saved, json_text(state))

    def _resume(self) -> tuple[int, float, float, int]:
        """Next frame's index and time, when one is wanted, frames done; the stream is put back."""
        whole = self.saved.is_file() and self.part.is_file() and not self.part.is_symlink()
        if self.source.is_live or not whole:
            self.part.unlink(missing_ok=True)
            return 0, 0.0, 0.0, 0
        state = read_resume(self.saved, self.part, self.key)
        if state is None or not self._restored(state):
            log.warning("%s is damaged: beginning anew.", self.saved)
            self.saved.unlink(missing_ok=True)
            self.part.unlink(missing_ok=True)
            return 0, 0.0, 0.0, 0
        with open_own(self.part, "r+b") as lines:
            lines.truncate(state["bytes"])  # lines after the saved state are done again
        done_s = state["time_s"]
        due_s = next_due_s(done_s, self.period_s)
        # Two microseconds: more than sources round times by, less than any frame lasts.
        return state["index"] + 1, done_s + 2e-6, due_s, state["stream"]["index"]

    def _restored(self, state: dict[str, Any]) -> bool:
        """Put the stream back; False, and the stream as new, where the state is not one of its own."""
        try:
            self.stream.restore(state["stream"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, FindError):
            self.stream.reset()
            return False
        return True

    def annotate_pass(self, report: VideoReport) -> None:
        """Read the recording and the lines side by side, draw, encode; keeps the best moments."""
        best_s = {round(m.peak_s, 6) for found in report.moments for m in found}
        shown = replay(self.source, self.records, self.period_s, self.seconds)
        with VideoWriter(self.video) as writer:
            for n, (frame, group) in enumerate(shown):
                found, header = merged(group), _header(frame.time_s, report, n)
                if group[0]["time_s"] in best_s:
                    self.stills[group[0]["time_s"]] = draw_localization(frame.image, found)
                writer.write(draw_localization(frame.image, found, header=header), frame.time_s)
                self.progress("annotate", n + 1, report.frame_count)

    def read_stills(self, times_s: Sequence[float]) -> None:
        """Fill `stills`, where the annotated video was not made or came from a live source."""
        if self.source.is_live:
            if self.video.is_file():
                replay = open_source(self.video)
                shown = ((t, next(replay.frames(t), None)) for t in times_s)
                self.stills |= {round(t, 6): frame.image for t, frame in shown if frame}
            return
        wanted = {round(t, 6) for t in times_s} - self.stills.keys()
        for group in by_frame(read_records(self.records)) if wanted else ():
            if (time_s := group[0]["time_s"]) in wanted:
                frame = next(self.source.frames(max(time_s - 1e-3, 0.0)), None)
                if frame is not None:
                    self.stills[time_s] = draw_localization(frame.image, merged(group))


def record_lines(answer: VideoFrame, frame: SourceFrame, prompts: int) -> Iterator[str]:
    """The JSONL lines of one frame, one a prompt; events stand with their prompt."""
    for n in range(prompts):
        line = answer.to_json(n)
        line |= {"frame_index": frame.index, "time_s": round(frame.time_s, 6)}
        events = [e.to_json() for e in answer.events if e.prompt_index == n]
        yield json_text(line | ({"events": events} if events else {}), ensure_ascii=False) + "\n"


def _summarize(run: _Run, top: int) -> VideoReport:
    """Curves, intervals and events from the lines; writes timeline.json."""
    prompts = len(run.stream.prompts)
    times: list[float] = []
    events: list[dict[str, Any]] = []
    scene_changes: list[int] = []
    curves: list[list[float]] = [[] for _ in range(prompts)]
    for group in by_frame(read_records(run.records)):
        if group[0]["cut"]:
            scene_changes.append(len(times))
        times.append(group[0]["time_s"])
        events += list(chain.from_iterable(r.get("events", []) for r in group))
        for curve, record in zip(curves, group, strict=True):
            curve.append(record["relevance"])
    timeline = run.stream.timeline
    raw = np.array(curves, np.float64).reshape(prompts, len(times))
    rows = [smooth_both_ways(times, row, timeline.smooth_s, scene_changes) for row in raw]
    smoothed = np.stack(rows)
    intervals = tuple(tuple(segment_intervals(times, row, timeline)) for row in smoothed)
    moments = tuple(tuple(best_moments(times, row, timeline, top)) for row in smoothed)
    times_s = np.array(times)
    report = VideoReport(
        run.out, len(times), times_s, raw, smoothed, intervals, moments, tuple(events),
        timeline,
    )  # fmt: skip
    _write_summary(run, report)
    return report


def _write_summary(run: _Run, report: VideoReport) -> None:
    prompts = [
        {
            "prompt": compiled.prompt.markup,
            "intervals": [i.to_json() for i in intervals],
            "moments": [m.to_json() | {"found": report.timeline.claims(m)} for m in moments],
        }
        for compiled, intervals, moments in zip(
            run.stream.prompts, report.intervals, report.moments, strict=True
        )
    ]
    summary = {"version": JSON_VERSION, "source": run.source.name, "frames": report.frame_count}
    summary |= {"prompts": prompts, "events": list(report.events)}
    write_text(run.out / "timeline.json", json_text(summary, ensure_ascii=False, indent=1))


def _write_images(run: _Run, report: VideoReport) -> None:
    """timeline.png and moments.png; a live source's images come from its annotated video."""
    if not report.frame_count:
        return
    labels = [compiled.prompt.markup for compiled in run.stream.prompts]
    wanted = [(m.peak_s, p, m) for p, found in enumerate(report.moments) for m in found]
    run.read_stills([w[0] for w in wanted])
    images = [run.stills.get(round(w[0], 6)) for w in wanted]
    curves = [
        TimelineCurve(label, raw, smooth, found, run.stream.timeline.enter)
        for label, raw, smooth, found in zip(
            labels, report.raw, report.smoothed, report.intervals, strict=True
        )
    ]
    thumbnails = [(w[0], im) for w, im in zip(wanted, images, strict=True) if im is not None][:10]
    timeline_png(
        run.out / "timeline.png",
        report.times_s,
        curves,
        thumbnails=thumbnails,
        title=run.source.name,
    )
    shown = [(w, im) for w, im in zip(wanted, images, strict=True) if im is not None]
    if shown:
        captions = [
            f"{labels[p]}  {clock(t)}  {m.score:.2f}{'' if report.timeline.claims(m) else '?'}"
            for (t, p, m), _ in shown
        ]
        write_image(run.out / "moments.png", contact_sheet([im for _, im in shown], captions))


def _header(time_s: float, report: VideoReport, n: int) -> str:
    marks = []
    for smooth, intervals in zip(report.smoothed[:, n], report.intervals, strict=True):
        inside = any(i.start_s <= time_s < i.end_s for i in intervals)
        marks.append(f"{'●' if inside else '○'} {smooth:.2f}")
    return f"{clock(time_s)}   " + "   ".join(marks)


def _live_image(frame: SourceFrame, answer: VideoFrame) -> np.ndarray:
    marks = [f"{'●' if p.interval else '○'} {p.relevance:.2f}" for p in answer.prompts]
    image = frame.image
    for prompt in answer.prompts:
        image = draw_localization(image, prompt.localization)
    header = f"{clock(frame.time_s)}   " + "   ".join(marks)
    return draw_localization(image, answer.localization, header=header, alpha=0.0)


def clock(time_s: float) -> str:
    """'1:02:03.4' or '02:03.4'."""
    minutes, seconds = divmod(time_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes:02d}:{seconds:04.1f}"
