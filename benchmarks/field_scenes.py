"""Render tabletops from all around, for `python -m find_field.evaluation.evaluate`.

    python benchmarks/field_scenes.py --out DIR --seeds 301 302 --views 30

`training.tabletop.sequence` moves its camera as a person would, on one side of the table; a robot
that wants a field walks (or turns) around it. Same rooms, objects and file layout, other path.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from find_core.support.json_text import json_text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def circle(points_N3: np.ndarray, views: int) -> list:
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


def render(world, seed: int, views: int, out: Path) -> int:
    """Write one sequence; returns its number of objects."""
    from training.tabletop import format as fmt
    from training.tabletop.scene.world import with_backdrop
    from training.tabletop.sequence import Script, stage

    setting = stage(world, Script(frames=views, seed=seed))
    world.show(setting)
    placed = setting.layout.placed
    points = np.concatenate([np.column_stack([p.outline_N2, np.full(len(p.outline_N2), z)])
                             for p in placed for z in (p.floor_m, p.top_m)])  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for i, camera in enumerate(circle(points, views)):
        setting.camera = camera
        frame = world.palette.render(camera)
        fmt.write_image(out / f"{i:06d}.jpg", with_backdrop(frame, setting.backdrop))
        fmt.write_image(out / f"{i:06d}.png", world.instance_ids(setting, frame))
        fmt.write_image(out / f"{i:06d}_depth.png", fmt.depth_to_mm(frame.depth_m))
        lines.append({
            "index": i, "seed": seed, "K": fmt.rounded(camera.K(world.palette.width, world.palette.height), 3),
            "T_world_camera": fmt.rounded(camera.T_world_camera, 6),
            "instances": world.instances(setting, frame),
        })  # fmt: skip
    (out / "scenes.jsonl").write_text("".join(json_text(line) + "\n" for line in lines))
    return len(placed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303, 304, 305])
    parser.add_argument("--views", type=int, default=30)
    parser.add_argument("--width", type=int, default=640)
    options = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from training.tabletop.scene.world import World

    world = World(width=options.width, height=options.width * 3 // 4)
    for seed in options.seeds:
        count = render(world, seed, options.views, options.out / f"{seed}")
        print(f"seed {seed}: {count} objects, {options.views} views in {options.out / str(seed)}")


if __name__ == "__main__":
    main()
