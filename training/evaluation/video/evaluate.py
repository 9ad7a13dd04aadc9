"""Measure video localization on the rendered clips.

    python -m training.evaluation.video.evaluate --clips runs/video_suite --out out/video_suite

Two ways of reading the same frames: *streaming*, as a robot sees them (causal smoothing), and
*offline*, smoothed both ways as for files. Baseline: the raw frames cut at the threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from find_core.drawing import contact_sheet, draw_localization, write_image
from find_core.support.command_line import Parser, run_command, whole
from find_core.support.files import write_text
from find_core.support.json_text import figures_text
from find_core.video.stream import StreamConfig, StreamLocalizer, VideoFrame
from find_core.video.timeline import (
    Interval,
    TimelineConfig,
    best_moments,
    segment_intervals,
    smooth_both_ways,
    top_intervals,
)
from training.evaluation.video import metrics
from training.evaluation.video.clip import Clip, read_clips
from training.evaluation.video.oracle import OracleFind

if TYPE_CHECKING:
    from find_core.predictor import Find

STRIP_FRAMES = 10


def score_clip(
    find: Find, clip: Clip, strip: Path | None = None, config: StreamConfig | None = None
) -> dict[str, Any]:
    """All measures of one clip, as plain numbers; draws its strip."""
    stream = StreamLocalizer(find, clip.prompt(), config=config)
    ids, ious, raw, streamed = metrics.TrackingMeter(), [], [], []
    present, tiles = [], []
    closed: list[Interval] = []
    fps, count = clip.description["fps"], clip.count
    shown = set(np.linspace(0, count - 1, STRIP_FRAMES).round().astype(int))
    for n in range(count):
        image, truth = clip.frame(n), clip.truth(n)
        answer = stream.update(image, round(n / fps * 1e9))
        entity = answer.localization.entities[0]
        ids.add(truth, metrics.tracked_masks(entity))
        if truth:
            ious.append(metrics.entity_mask_iou(entity, truth))
        present.append(bool(truth))
        raw.append(answer.relevance_raw)
        streamed.append(answer.relevance)
        closed += [answer.prompts[0].closed] if answer.prompts[0].closed else []
        if n in shown and strip is not None:
            tiles.append(_tile(image, answer, bool(truth)))
    times, end_s = np.arange(count) / fps, count / fps
    tracking = ids.metrics()
    streaming = closed + ([answer.interval] if answer.interval else [])
    if strip is not None:
        captions = [f"{n / fps:.1f} s" for n in sorted(shown)]
        write_image(strip, contact_sheet(tiles, captions, columns=STRIP_FRAMES))
    truth_intervals = metrics.intervals_of_presence(times, present, end_s)
    when = _when(times, raw, end_s, stream.timeline, streaming, truth_intervals)
    return _description(clip) | when | {
        "mask_iou": float(np.mean(ious)) if ious else float("nan"),
        "idf1": tracking["idf1"] if any(present) else float("nan"),
        "id_switches": tracking["id_switches"],
        "minutes": end_s / 60,
        "raw": [round(v, 4) for v in raw],
        "present": present,
    }  # fmt: skip


def _description(clip: Clip) -> dict[str, Any]:
    keys = ("scenario", "held_out", "noise", "phrase", "prompt", "target_kind")
    return {"clip": clip.folder.name} | {key: clip.description[key] for key in keys}


def _when(
    times: np.ndarray,
    raw: list[float],
    end_s: float,
    timeline: TimelineConfig,
    streaming: list[Interval],
    truth: list[Interval],
) -> dict[str, Any]:
    """Temporal IoU, R@1 and the count of intervals, three ways of making them.

    The best moment of a whole clip is known afterwards only (`best_moments`); the others rank the
    intervals that they claimed.
    """
    smooth = smooth_both_ways(times, raw, timeline.smooth_s)
    offline = segment_intervals(times, smooth, timeline, end_s)
    plain = metrics.intervals_of_presence(times, np.array(raw) >= timeline.enter, end_s)
    out: dict[str, Any] = {}
    moments = best_moments(times, smooth, timeline, 1, end_s)
    for way, found, best in (
        ("offline", offline, moments),
        ("streaming", streaming, top_intervals(streaming, 1)),
        ("raw", plain, top_intervals(plain, 1)),
    ):
        out[f"tiou_{way}"] = metrics.temporal_iou(found, truth) if truth else float("nan")
        out[f"r1_{way}"] = float(metrics.recall_at_1(best, truth)) if truth else float("nan")
        out[f"alarms_{way}"] = len(found) if not truth else 0
    return out


def _tile(image: np.ndarray, answer: VideoFrame, here: bool) -> np.ndarray:
    state = "in view" if here else "not in view"
    header = f"{answer.relevance:.2f}  {state}"
    return draw_localization(image, answer.localization, header=header)


def summarize(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Group -> measure -> mean with its 95 % interval over clips."""
    groups = {
        "known kinds": [r for r in rows if not r["held_out"] and not r["noise"]],
        "known kinds, noisy sensor": [r for r in rows if not r["held_out"] and r["noise"]],
        "held-out kinds": [r for r in rows if r["held_out"]],
    }
    return {name: _summary(group) for name, group in groups.items() if group}


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    means = ("r1", "tiou")
    keys = [f"{m}_{way}" for m in means for way in ("offline", "streaming", "raw")]
    out: dict[str, Any] = {k: metrics.mean_interval([r[k] for r in rows]) for k in keys}
    out |= {k: metrics.mean_interval([r[k] for r in rows]) for k in ("mask_iou", "idf1")}
    absent = [r for r in rows if not any(r["present"])]
    minutes = sum(r["minutes"] for r in absent)
    for way in ("offline", "streaming", "raw"):
        alarms = sum(r[f"alarms_{way}"] for r in absent)
        out[f"false_alarms_per_minute_{way}"] = round(alarms / minutes, 3) if minutes else None
    shown = [r for r in rows if any(r["present"])]
    out["id_switches"] = sum(r["id_switches"] for r in shown)
    out["clips"], out["clips_without_target"] = len(shown), len(absent)
    return out


def run_suite(
    find: Find | None,
    clips_dir: str | Path,
    out_dir: str | Path,
    *,
    seed: int = 1,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate `find` on the clips of `clips_dir`, rendering them first where there are none.

    Writes `out_dir`/video.json (every clip and the summary) and strips/*.jpg.

    Args:
        find: a loaded model; None: the labels themselves, dropped and shaken (`OracleFind`).
        seed: of the clips to render. limit: only so many clips (a quick look).

    Returns:
        the summary: group -> measure -> {"value", "low", "high", "n"} or a number.
    """
    clips_dir, out_dir = Path(clips_dir), Path(out_dir)
    if not list(clips_dir.glob("*/clip.json")):
        from training.evaluation.video.render import orders, render_suite

        render_suite(clips_dir, orders(seed))
    clips = read_clips(clips_dir)[:limit]
    (out_dir / "strips").mkdir(parents=True, exist_ok=True)
    rows = []
    for n, clip in enumerate(clips, 1):
        model: Any = OracleFind(clip) if find is None else find
        rows.append(score_clip(model, clip, out_dir / "strips" / f"{clip.folder.name}.jpg"))
        if progress:
            progress(n, len(clips))
    summary = summarize(rows)
    report = {"model": model.name, "fingerprint": model.fingerprint, "summary": summary}
    write_text(out_dir / "video.json", figures_text(report | {"clips": rows}, indent=1) + "\n")
    return summary


def table(summary: dict[str, dict[str, Any]]) -> str:
    """The summary as Markdown."""
    rows = [
        ("R@1 (tIoU 0.5)", "r1_offline"), ("R@1, streaming", "r1_streaming"),
        ("R@1, raw frames", "r1_raw"), ("temporal IoU", "tiou_offline"),
        ("temporal IoU, streaming", "tiou_streaming"), ("temporal IoU, raw frames", "tiou_raw"),
        ("mask IoU while visible", "mask_iou"), ("IDF1", "idf1"), ("ID switches", "id_switches"),
        ("false alarms a minute", "false_alarms_per_minute_offline"),
        ("false alarms a minute, streaming", "false_alarms_per_minute_streaming"),
        ("false alarms a minute, raw frames", "false_alarms_per_minute_raw"),
        ("clips (and without the target)", "clips"),
    ]  # fmt: skip
    lines = ["| | " + " | ".join(summary) + " |", "|---" * (len(summary) + 1) + "|"]
    for title, key in rows:
        cells = [_cell(group, key) for group in summary.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(group: dict[str, Any], key: str) -> str:
    value = group[key]
    if key == "clips":
        return f"{value} ({group['clips_without_target']})"
    if isinstance(value, dict):
        return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    return "-" if value is None else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        description="Measure video localization on rendered, labelled clips.",
        epilog="Example: python -m training.evaluation.video.evaluate --clips runs/video_suite "
        "--out out/video_suite",
    )
    parser.add_argument("--clips", type=Path, default=Path("runs/video_suite"))
    parser.add_argument("--out", type=Path, default=Path("out/video_suite"))
    parser.add_argument(
        "--model", default="find-tabletop", help="or oracle: the labels, dropped and shaken"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=whole(), default=1, help="of the clips to render")
    parser.add_argument("--limit", type=whole(1), help="only so many clips")
    return run_command("training.evaluation.video.evaluate", parser, argv, _run)


def _run(args: argparse.Namespace) -> int:
    import find_core
    from find_core.cli.localize import progress_bars

    find = None if args.model == "oracle" else find_core.load(args.model, device=args.device)
    with progress_bars(quiet=False) as bars:
        summary = run_suite(
            find,
            args.clips,
            args.out,
            seed=args.seed,
            limit=args.limit,
            progress=lambda done, total: bars("clips", done, total),
        )
    print(table(summary))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
