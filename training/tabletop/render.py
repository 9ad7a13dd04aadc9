"""Render a split of the tabletop world.

    python -m training.tabletop.render --out DIR --split train --scenes 2500 --seed 1 --workers 2

Scenes that are already there are kept: run it again after an interruption, or with a larger
--scenes, and it goes on where it stopped. README.md beside this file names the packages; on a
machine without a display it needs MUJOCO_GL=osmesa and Debian's libosmesa6.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from find_core.support.command_line import Parser, run_command, whole
from find_core.support.json_text import json_text
from training.tabletop import format as fmt
from training.tabletop.assets.packages import missing_packages

if TYPE_CHECKING:
    from training.tabletop.scene.world import Rendered

_MERGE_EVERY_S = 20.0


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    return run_command("training.tabletop.render", _parser(), argv, _run_command)


def _run_command(args: argparse.Namespace) -> int:
    if missing := missing_packages():
        print("These packages hold the assets and are not installed: " + ", ".join(missing))
        print("Install them with: pip install -r training/tabletop/requirements.txt")
        return 2
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = args.out / args.split
    (folder / ".scenes").mkdir(parents=True, exist_ok=True)
    todo = sorted(set(range(args.start, args.scenes)) - fmt.finished(folder))
    depth = args.split != "train" or args.depth
    started = time.monotonic()
    _run(args, folder, todo, depth)
    total = fmt.merge(folder)
    summary = {
        "split": args.split,
        "scenes": total,
        "rendered_now": len(todo),
        "seconds": round(time.monotonic() - started, 1),
        "folder": str(folder),
    }
    print(
        json_text(summary)
        if args.json
        else f"{total} scenes in {folder} ({len(todo)} new, {summary['seconds']} s)"
    )
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m training.tabletop.render",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="root folder of the data set")
    parser.add_argument(
        "--split",
        choices=("train", "val", "held"),
        required=True,
        help="train and val show known kinds, held also the held-out ones; "
        "val and held use textures that train never sees",
    )
    parser.add_argument("--scenes", type=whole(1), required=True, help="scenes 0 … N-1 will exist")
    parser.add_argument("--start", type=whole(), default=0, help="first index to render")
    parser.add_argument("--seed", type=whole(), default=1, help="of the whole split")
    parser.add_argument("--workers", type=whole(1), default=2, help="processes, about 3 GB each")
    parser.add_argument(
        "--wide", action="store_true", help="cameras and lamps of a wider range, for training"
    )
    parser.add_argument("--depth", action="store_true", help="write depth for train as well")
    parser.add_argument("--json", action="store_true", help="print a machine-readable summary")
    return parser


def _run(args: argparse.Namespace, folder: Path, todo: list[int], depth: bool) -> None:
    """Spread the indices over worker processes and show progress."""
    from rich.progress import Progress, TimeRemainingColumn

    context = mp.get_context("spawn")
    # Short runs of neighbours: all workers finish together, and the file fills from the front.
    chunks = [todo[i : i + 25] for i in range(0, len(todo), 25)]
    jobs = [(args.out, folder, args.split, args.seed, chunk, depth, args.wide) for chunk in chunks]
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with (
        Progress(*columns, disable=not sys.stdout.isatty()) as progress,
        context.Pool(max(1, min(args.workers, len(chunks) or 1))) as pool,
    ):
        task = progress.add_task(f"rendering {args.split}", total=len(todo))
        merged_at = time.monotonic()
        for done in pool.imap_unordered(_render_chunk, jobs):
            progress.advance(task, done)
            if time.monotonic() - merged_at > _MERGE_EVERY_S:
                fmt.merge(folder)
                merged_at = time.monotonic()


_WORLD: list = []  # one world per worker process: it takes half a minute to compile


def _render_chunk(job: tuple[Path, Path, str, int, list[int], bool, bool]) -> int:
    root, folder, split, seed, indices, depth, wide = job
    from training.tabletop.scene.world import World

    if not _WORLD:
        _WORLD.append(World(wide=wide))
        gallery = json_text(_WORLD[0].gallery_json(), indent=0, sort_keys=True)
        fmt.write_bytes(root / "gallery.json", gallery.encode())
    for index in indices:
        write_scene(folder, _WORLD[0].scene(split, seed, index), split, depth)
    return len(indices)


def write_scene(folder: Path, rendered: Rendered, split: str, depth: bool) -> None:
    """Images first, the JSON last: a scene counts once its JSON is there."""
    index = rendered.scene["index"]
    line = fmt.scene_line(rendered.scene)
    if wrong := fmt.check_scene(rendered.scene):
        raise ValueError(f"scene {index} breaks the format: {wrong[:3]}")
    if split != "held" and (leaks := fmt.held_out_leaks(line)):
        raise ValueError(f"scene {index} of a known split names held-out kinds: {leaks}")
    fmt.write_image(folder / f"{index:06d}.jpg", rendered.rgb)
    fmt.write_image(folder / f"{index:06d}.png", rendered.ids)
    if depth:
        fmt.write_image(folder / f"{index:06d}_depth.png", fmt.depth_to_mm(rendered.depth_m))
    fmt.write_bytes(fmt.part_path(folder, index), line.encode())


if __name__ == "__main__":
    raise SystemExit(main())
