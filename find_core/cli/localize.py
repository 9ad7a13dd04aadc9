"""find-core localize: images, videos, cameras and bags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.cli.common import (
    Formatter,
    add_model_arguments,
    add_prompt_arguments,
    add_rerun_argument,
    load_model,
    progress_bars,
    read_prompts,
    write_json,
)
from find_core.support.command_line import number, seconds, whole
from find_core.support.json_text import json_text

if TYPE_CHECKING:
    from find_core.drawing.rerun_file import RerunFile
    from find_core.predictor import Find
    from find_core.prompts.prompt import Prompt
    from find_core.video.offline import Progress, VideoReport
    from find_core.video.search import SearchReport
    from find_core.video.sources import SourceFrame
    from find_core.video.stream import VideoFrame
    from find_core.video.timeline import Interval

EPILOG = """\
Examples:
  find-core localize kitchen.mp4 --prompt "the <red cup>" --out out/
  find-core localize kitchen.mp4 --prompt "the <mug> next to <thing>" \\
      --reference thing=photo.jpg:box=40,30,180,170 --out out/
  find-core localize hours.mp4 --prompt "a <cat>" --search --top 5 --out out/
  find-core localize bag/ --topic /camera/image_raw --prompt "the <drill>" --out out/
  find-core localize 0 --seconds 30 --prompt "the <mug>" --out out/
  find-core localize photo.jpg --prompt "the <mug>" --json
  find-core localize kitchen.mp4 --prompt "the <red cup>" --out out/ --rerun cup.rrd

Writes into --out: localizations.jsonl (one line a frame), timeline.json, timeline.png, moments.png
and annotated.mp4; for one picture localization.json and annotated.png. An interrupted run goes on
where it stopped when started again.
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "localize",
        help="when and where does an image, video, camera or bag show it?",
        description="When and where does it show what the prompts speak of?",
        epilog=EPILOG,
        formatter_class=Formatter,
    )
    parser.add_argument(
        "source", help="picture, video file or URL, folder of pictures, rosbag2, camera number"
    )
    add_prompt_arguments(parser)
    add_model_arguments(parser)
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.add_argument(
        "--fps", type=number(1e-3, 1000), help="look at no more than so many frames a second"
    )
    parser.add_argument(
        "--top",
        type=whole(1, 1000),
        default=5,
        metavar="K",
        help="best moments to show (default: 5)",
    )
    parser.add_argument(
        "--search", action="store_true", help="only the best moments, without reading every frame"
    )
    parser.add_argument("--fast", action="store_true", help="object-level matching only")
    parser.add_argument("--no-video", action="store_true", help="write no annotated.mp4")
    parser.add_argument("--topic", help="image topic of a bag; default: its first")
    parser.add_argument("--seconds", type=seconds, default=float("inf"), help="stop after so long")
    add_rerun_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from find_core.drawing.rerun_file import rerun_file

    with rerun_file(args.rerun) as rerun:
        return _run(args, rerun)


def _run(args: argparse.Namespace, rerun: RerunFile | None) -> int:
    from find_core.errors import FindError
    from find_core.video.sources import PICTURES, open_source

    if args.out is None and not args.json:
        raise FindError("Say where the results go: --out DIR, or --json for stdout.")
    prompts = read_prompts(args)
    if Path(args.source).suffix.lower() in PICTURES:
        return _localize_picture(args, load_model(args), prompts, rerun)
    source = open_source(args.source, fps=args.fps, topic=args.topic)
    if args.out is None:
        raise FindError("A video's results need a folder: give --out DIR.")
    if args.search and source.is_live:
        raise FindError("--search needs a recording; a live source is read once, frame by frame.")
    find = load_model(args)
    args.out.mkdir(parents=True, exist_ok=True)
    with progress_bars(quiet=args.json) as progress:
        if args.search:
            return _search(args, source, find, prompts, progress, rerun)
        return _localize_video(args, source, find, prompts, progress, rerun)


def _localize_picture(
    args: argparse.Namespace, find: Find, prompts: list[Prompt], rerun: RerunFile | None
) -> int:
    from find_core.drawing import draw_localization, write_image
    from find_core.images import read_image

    image = read_image(args.source)
    answers = find.encode(image).localize_many(prompts, threshold=args.threshold, fast=args.fast)
    if rerun:
        rerun.frame(image, 0, answers)
    lines = [a.to_json() | {"prompt_index": n} for n, a in enumerate(answers)]
    if args.json:
        print(json_text(lines[0] if len(lines) == 1 else lines, ensure_ascii=False))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        write_json(args.out / "localization.json", lines[0] if len(lines) == 1 else lines)
        for answer in answers:
            image = draw_localization(image, answer)
        write_image(args.out / "annotated.png", image)
        print(f"Wrote {args.out}/localization.json and annotated.png.", file=sys.stderr)
    return 0


def _localize_video(
    args: argparse.Namespace, source: Any, find: Find, prompts: list[Prompt], progress: Progress,
    rerun: RerunFile | None,
) -> int:  # fmt: skip
    from find_core.video.offline import localize_video

    def watch(frame: SourceFrame, video: VideoFrame) -> None:
        if rerun:
            answers = [p.localization for p in video.prompts]
            rerun.frame(frame.image, frame.stamp_ns, answers, [p.relevance for p in video.prompts])

    report = localize_video(
        source,
        find,
        prompts,
        args.out,
        threshold=args.threshold,
        fps=args.fps,
        top=args.top,
        annotate=not args.no_video,
        seconds=args.seconds,
        fast=args.fast,
        progress=progress,
        watch=watch if source.is_live else None,
    )
    if rerun and not source.is_live:  # from the lines: an earlier, interrupted run is in them too
        _record(args, source, report, rerun, progress)
    if args.json:
        print((args.out / "timeline.json").read_text(encoding="utf-8"))
    else:
        _print_report(prompts, report)
    return 0


def _record(
    args: argparse.Namespace, source: Any, report: VideoReport, rerun: RerunFile, progress: Progress
) -> None:
    from find_core.video.records import localization_from_json
    from find_core.video.replay import replay

    period_s = 1 / args.fps if args.fps else 0.0
    shown = replay(source, args.out / "localizations.jsonl", period_s, args.seconds)
    for n, (frame, group) in enumerate(shown):
        answers = [localization_from_json(record) for record in group]
        rerun.frame(frame.image, frame.stamp_ns, answers, report.smoothed[:, n].tolist())
        progress("rerun", n + 1, report.frame_count)


def _print_report(prompts: list[Prompt], report: VideoReport) -> None:
    for prompt, intervals, moments in zip(prompts, report.intervals, report.moments, strict=True):
        print(f"{prompt.markup}: {len(intervals)} interval(s) in {report.frame_count} frames")
        for moment in moments:
            _print_moment(moment, report.timeline.claims(moment))
    print(f"Wrote {report.out_dir}/")


def _print_moment(moment: Interval, found: bool) -> None:
    from find_core.video.offline import clock

    times = f"{clock(moment.start_s)} - {clock(moment.end_s)}"
    print(f"  {times}  {moment.score:.2f}{'' if found else '  (below the threshold)'}")


def _search(
    args: argparse.Namespace, source: Any, find: Find, prompts: list[Prompt], progress: Progress,
    rerun: RerunFile | None,
) -> int:  # fmt: skip
    from find_core.video.search import find_moments

    report = find_moments(
        source, find, prompts, count=args.top, threshold=args.threshold, progress=progress
    )
    shown = [m for moments in report.moments for m in moments]
    for m in sorted(shown, key=lambda m: m.frame.stamp_ns):
        if rerun:
            rerun.frame(m.frame.image, m.frame.stamp_ns, [m.localization], [m.interval.score])
    summary = {
        "version": 1,
        "source": source.name,
        "frames": report.encoded,
        "prompts": [
            {
                "prompt": prompt.markup,
                "moments": [m.interval.to_json() | {"found": m.found} for m in moments],
            }
            for prompt, moments in zip(prompts, report.moments, strict=True)
        ],
    }
    write_json(args.out / "moments.json", summary)
    _search_pictures(args.out, source.name, prompts, report)
    if args.json:
        print(json_text(summary, ensure_ascii=False))
        return 0
    for prompt, moments in zip(prompts, report.moments, strict=True):
        print(f"{prompt.markup}:")
        for m in moments:
            _print_moment(m.interval, m.found)
    print(f"Looked at {report.encoded} frames; wrote {args.out}/")
    return 0


def _search_pictures(out: Path, name: str, prompts: list[Prompt], report: SearchReport) -> None:
    from find_core.drawing import (
        TimelineCurve,
        contact_sheet,
        draw_localization,
        timeline_png,
        write_image,
    )
    from find_core.video.offline import clock

    images, captions, thumbnails, curves = [], [], [], []
    for prompt, moments, row in zip(prompts, report.moments, report.coarse, strict=True):
        found = [m.interval for m in moments if m.found]
        curves.append(TimelineCurve(prompt.markup, row, row, found))
        for m in moments:
            images.append(draw_localization(m.frame.image, m.localization))
            captions.append(f"{prompt.markup}  {clock(m.frame.time_s)}  {m.interval.score:.2f}")
            thumbnails.append((m.frame.time_s, images[-1]))
    if images:
        write_image(out / "moments.png", contact_sheet(images, captions))
        timeline_png(
            out / "timeline.png", report.times_s, curves, thumbnails=thumbnails[:10], title=name
        )
