"""Evaluate a model through the public API.

    python -m training.evaluate --suite tabletop --tabletop DATA/tabletop --json --out results.json
    python -m training.evaluate --suite real --data shared/data --model runs/tabletop/export
    python -m training.evaluate --suite photos --photos DATA/photos --limit 20 --out photos.json
    python -m training.evaluate --suite video --clips runs/video_suite --out video.json

`tabletop`: rendered scenes, known and held-out kinds apart, the oracle beside the selection.
`real`: COCO val pictures and retrieval beside their floors; nothing is tuned on them.
`photos`: held-out photographs by name, reference and click, and what is not there; by set.
Figures carry 95 % bootstrap intervals (scenes resampled; kinds for held-out kinds).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

import find_core as fc
from find_core.support.files import write_text
from training.engine.command import ends_in_a_sentence


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", required=True, choices=("tabletop", "real", "photos", "video"))
    parser.add_argument("--model", default="find-tabletop", help="what find_core.load takes")
    parser.add_argument("--input-px", type=int, help="short side of the model's input, pixels")
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
    parser.add_argument("--limit", type=int, help="only the first images of each split or set")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with ends_in_a_sentence("training.evaluate"):
        result = evaluate(args)
        if args.out:
            write_text(args.out, json.dumps(result, indent=1) + "\n")
        print(json.dumps(result, indent=1) if args.json else table(result))


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """The suite's figures, and what they were measured on."""
    find = fc.load(args.model, input_px=args.input_px)
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"\r{args.suite} {done}/{total}", end="", file=sys.stderr, flush=True)

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
            lines.append(f"{path:55s} {node['value']} {interval} n={node.get('n', '')}")
        elif isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}" if path else key)
        else:
            lines.append(f"{path:55s} {node}")

    walk(result["figures"], "")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
