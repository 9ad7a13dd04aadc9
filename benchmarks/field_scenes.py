"""Render tabletops from all around, for `benchmarks/field_accuracy.py` and what it calls.

    python benchmarks/field_scenes.py --out DIR --seeds 301 302 --views 30 --changed
    python benchmarks/field_scenes.py --out DIR/elsewhere --seeds 401 402 --views 12 --elsewhere

`training.tabletop.sequence` moves its camera as a person would, on one side of the table; a robot
that wants a field walks (or turns) around it. Same rooms, objects and file layout, other path.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from find_core.support.files import write_text
from find_core.support.json_text import json_text

if TYPE_CHECKING:
    from training.tabletop.assets.palette import Camera
    from training.tabletop.scene.world import Setting, World

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def circle(points_N3: np.ndarray, views: int) -> list[Camera]:
    """Cameras all around the points, at heights of 25 to 55 degrees in turn."""
    from training.tabletop.assets.palette import Camera
    from training.tabletop.scene.cameras import look_at

    middle = (points_N3.min(0) + points_N3.max(0)) / 2
    reach = max(np.linalg.norm(np.ptp(points_N3, axis=0)) / 2 / np.sin(np.radians(22.5)), 0.5)
    cameras = []
    for i in range(views):
        azimuth, elevation = 2 * np.pi * i / views, np.radians((25, 40, 55)[i % 3])
        direction = np.array([np.cos(elevation) * np.cos(azimuth),
                              np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])  # fmt: skip
        cameras.append(Camera(look_at(middle + reach * direction, middle), 45.0))
    return cameras


def render(world: World, setting: Setting, seed: int, cameras: list[Camera], out: Path,
           hidden: Sequence[int] = ()) -> None:  # fmt: skip
    """Write one sequence: images, ids, depth and what is true, said as each camera sees it.

    Args:
        hidden: places in the layout of what is not there.
    """
    from training.tabletop import format as fmt
    from training.tabletop.scene.world import with_backdrop

    world.show(setting)
    for slot in hidden:
        world.palette.set_slot(slot, None)
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for i, camera in enumerate(cameras):
        frame = world.palette.render(camera)
        fmt.write_image(out / f"{i:06d}.jpg", with_backdrop(frame, setting.backdrop))
        fmt.write_image(out / f"{i:06d}.png", world.instance_ids(setting, frame))
        fmt.write_image(out / f"{i:06d}_depth.png", fmt.depth_to_mm(frame.depth_m))
        instances = world.instances(setting, frame)
        for instance in instances:
            if not instance["stuff"]:
                placed = setting.layout.placed[instance["id"] - 1]
                instance["floor_world_m"] = fmt.rounded(placed.floor_m)
        text = world.text_writer.language(
            setting.layout, camera.T_world_camera, instances, "sequence",
            np.random.default_rng([seed, 9, i]),
        )  # fmt: skip
        lines.append({
            "index": i, "seed": seed, "K": fmt.rounded(camera.K(world.palette.width, world.palette.height), 3),
            "T_world_camera": fmt.rounded(camera.T_world_camera, 6), "instances": instances, **text,
        })  # fmt: skip
    write_text(out / "scenes.jsonl", "".join(json_text(line) + "\n" for line in lines))


def outlines(setting: Setting) -> np.ndarray:
    """(N, 3) where the things' outlines are at their lowest and highest, world metres."""
    return np.concatenate([np.column_stack([p.outline_N2, np.full(len(p.outline_N2), z)])
                           for p in setting.layout.placed for z in (p.floor_m, p.top_m)])  # fmt: skip


def change(setting: Setting, rng: np.random.Generator, what: str = "") -> dict[str, int] | None:
    """Take one thing of those that stand alone on the table, and move another to where it is free.

    Args:
        what: a word of the name of what is moved, if there is such a one.

    Returns:
        {"taken": its id, "moved": its id}; None where there are no two such things, or no room.
    """
    from training.tabletop.scene.placement import gap_m

    placed = setting.layout.placed
    alone = [i for i, p in enumerate(placed)
             if p.parent is None and not any(q.parent == i for q in placed)]  # fmt: skip
    small = [i for i in alone if np.ptp(placed[i].outline_N2, axis=0).max() < 0.2]
    if len(small) < 2:
        return None
    order = [int(i) for i in rng.permutation(small)]
    moved = next((i for i in order if what in placed[i].asset.name.split()), order[1])
    taken = next(i for i in order if i != moved)
    thing = placed[moved]
    others = [p.outline_N2 for i, p in enumerate(placed) if i not in (taken, moved)]
    low, high = (outlines(setting)[:, :2].min(axis=0), outlines(setting)[:, :2].max(axis=0))
    for step in rng.uniform(low, high, (200, 2)) - thing.outline_N2.mean(axis=0):
        outline = thing.outline_N2 + step
        clear = all(gap_m(outline, other) > 0.03 for other in others)
        if clear and np.linalg.norm(step) > 0.15:
            thing.outline_N2, thing.T_world_object = outline, thing.T_world_object.copy()
            thing.T_world_object[:2, 3] += step
            return {"taken": taken + 1, "moved": moved + 1}
    return None


def render_seed(world: World, seed: int, options: argparse.Namespace) -> None:
    from training.tabletop.sequence import Script, stage

    rng = np.random.default_rng([seed, 4])
    # Another world's light is a part of it; `stage` would replace it.
    setting = world.arrange("sequence", rng) if options.elsewhere else stage(world, Script(seed=seed))  # fmt: skip
    cameras = circle(outlines(setting), options.views)
    out = options.out / f"{seed}"
    render(world, setting, seed, cameras, out)
    if options.changed:
        done = change(setting, np.random.default_rng([seed, 10]), options.move)
        if done is not None:
            after = options.out / f"{seed}-after"
            render(world, setting, seed, cameras, after, [done["taken"] - 1])
            write_text(after / "changed.json", json_text(done) + "\n")
    print(f"seed {seed}: {len(setting.layout.placed)} objects, {options.views} views in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303, 304, 305])
    parser.add_argument("--views", type=int, default=30)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--elsewhere", action="store_true",
                        help="rows and rings with look-alikes, light that training never drew")  # fmt: skip
    parser.add_argument("--changed", action="store_true",
                        help="also DIR/<seed>-after: one thing taken, one moved")  # fmt: skip
    parser.add_argument("--move", default="", metavar="WORD", help="what is moved, rather than anything")  # fmt: skip
    options = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from training.tabletop.elsewhere import another_world
    from training.tabletop.scene.world import World

    size = options.width, options.width * 3 // 4
    world = another_world(*size) if options.elsewhere else World(None, *size)
    for seed in options.seeds:
        render_seed(world, seed, options)


if __name__ == "__main__":
    main()
