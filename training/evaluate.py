"""Evaluate a model through the public API.

    python -m training.evaluate --suite tabletop --tabletop DATA/tabletop --json --out results.json
    python -m training.evaluate --suite real --data shared/data --model runs/tabletop/export
    python -m training.evaluate --suite photos --photos DATA/photos --limit 20 --out photos.json
    python -m training.evaluate --suite video --clips runs/video_suite --out video.json
    python -m training.evaluate --suite bench-entity --model oracle --data COCO --json OUT --report DIR

`tabletop`: rendered scenes, known and held-out kinds apart, the oracle beside the selection.
`real`: COCO val pictures and retrieval beside their floors; nothing is tuned on them.
`photos`: held-out photographs by name, reference and click, and what is not there; by set.
`bench-...`: the paper's tables for find_core or any other model (training/README.md, "FIND-Bench").
Figures carry 95 % bootstrap intervals (scenes resampled; kinds for held-out kinds).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import find_core as fc
from find_core.support.command_line import whole
from find_core.support.files import write_text
from find_core.support.json_text import figures_text
from training.engine.command import ends_in_a_sentence
from training.evaluation.bench.models.open import model_names, open_model
from training.evaluation.bench.options import Options
from training.evaluation.bench.run import SUITES, run_bench

OWN_SUITES = ("tabletop", "real", "photos", "video")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", required=True, choices=(*OWN_SUITES, *SUITES))
    parser.add_argument(
        "--model", default="find-tabletop",
        help="what find_core.load takes; bench: also " + ", ".join(model_names()),
    )  # fmt: skip
    parser.add_argument(
        "--input-px", type=whole(1, 16384), help="short side of the model's input, pixels"
    )
    parser.add_argument("--tabletop", default="data/tabletop", help="folder of rendered scenes")
    parser.add_argument("--data", default="shared/data", help="folder of the real miniature sets")
    parser.add_argument("--photos", default="data/photos", help="photos: folder of photograph sets")
    parser.add_argument("--clips", default="runs/video_suite", help="video: folder of clips")
    parser.add_argument("--strips", default="out/video_suite", help="video: folder for strips")
    parser.add_argument(
        "--pictures",
        type=Path,
        help="tabletop: folder for sheets of the first scenes' answers and precision-recall curves",
    )
    parser.add_argument("--limit", type=whole(1), help="only the first images of each split or set")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    parser.add_argument(
        "--json", nargs="?", const=True, metavar="OUT",
        help="print JSON instead of a table; with a path, write it there as --out does",
    )  # fmt: skip
    parser.add_argument("--threads", type=whole(1, 1024), default=1)
    _bench_arguments(parser.add_argument_group("bench suites"))
    args = parser.parse_args()
    if isinstance(args.json, str):
        args.out, args.json = Path(args.json), False
    torch.set_num_threads(args.threads)
    with ends_in_a_sentence("training.evaluate"):
        result = bench(args) if args.suite in SUITES else evaluate(args)
        if args.out:
            write_text(args.out, figures_text(result, indent=1) + "\n")
        print(figures_text(result, indent=1) if args.json else table(result))


def _bench_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--report", type=Path, help="folder for report.md, .html and .json")
    group.add_argument("--split", help="instead of the data set's usual one")
    group.add_argument(
        "--file", type=Path, help="entity or interleave JSON, instead of the usual one"
    )
    group.add_argument("--seed", type=whole(), default=0, help="of strokes and of visual phrases")
    group.add_argument("--descriptions", type=Path, help="JSON of {class: sentence}")
    group.add_argument("--examples", default="train2017", help="split of the visual examples")
    group.add_argument("--clicks", type=whole(1), default=20, help="most clicks of NoC")
    group.add_argument("--fit-limit", type=whole(1), help="images that ridge or probe is fitted on")


def bench(args: argparse.Namespace) -> dict[str, Any]:
    """A run of a bench suite (`training.evaluation.bench.run`)."""
    model = open_model(args.model, args.input_px, args.fit_limit)
    options = Options(
        Path(args.data), args.split, args.limit, args.seed, args.file, args.descriptions,
        args.examples, args.clicks, _progress(args.suite),
    )  # fmt: skip
    return run_bench(args.suite, model, options, args.report)


def _progress(suite: str) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            end = "\n" if done == total else ""
            print(f"\r{suite} {done}/{total}", end=end, file=sys.stderr, flush=True)

    return progress


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """The suite's figures, and what they were measured on."""
    find = fc.load(args.model, input_px=args.input_px)
    started = time.monotonic()
    progress = _progress(args.suite)
    if args.suite == "tabletop":
        from training.evaluation.sheets import draw_thresholds, write_sheets
        from training.evaluation.tabletop_suite import run_suite

        if args.pictures:
            write_sheets(find, args.tabletop, args.pictures)
        metrics = run_suite(find, args.tabletop, args.limit, progress)
        if args.pictures:
            draw_thresholds(metrics, args.pictures / "thresholds.png", find.config.threshold)
    elif args.suite == "video":
        from training.evaluation.video.evaluate import run_suite as run_video

        metrics = run_video(find, args.clips, args.strips, limit=args.limit, progress=progress)
    elif args.suite == "photos":
        from training.evaluation.photos_suite import run_photos

        metrics = run_photos(find, args.photos, args.limit, progress)
    else:
        from training.evaluation.real_suite import run_real

        metrics = run_real(find, args.data, args.limit, progress)
    vision = find.config.vision
    return {
        "suite": args.suite, "model": find.name, "fingerprint": find.fingerprint,
        "input_px": [vision.short_side_px, vision.max_side_px], "limit": args.limit,
        "seconds": round(time.monotonic() - started, 1), "figures": metrics,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """One line a figure: value [95 % interval] (n)."""
    lines = [f"{result['suite']} of {result['model']} ({result['fingerprint']})"]

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict) and "value" in node:
            interval = f"[{node['low']}, {node['high']}]" if "low" in node else ""
            lines.append(
                f"{path:55s} {node['value']} {interval} n={node.get('n', node.get('images', ''))}"
            )
        elif isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}" if path else key)
        else:
            lines.append(f"{path:55s} {node}")

    walk(result["figures"], "")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
