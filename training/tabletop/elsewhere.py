"""Scenes whose light, cameras and layout no training scene has: for evaluation alone.

    python -m training.tabletop.elsewhere --out DIR --scenes 80

Writes DIR/val in the format of `training.tabletop.render`, with known kinds. Things stand in rows
and rings instead of a heap, pairs of look-alikes among them; cameras look from the sides that
training never looks from, lower or steeper, with wider lenses; lamps are single, coloured and dim.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from find_core.support.command_line import Parser, run_command, whole
from find_core.support.json_text import json_text
from training.tabletop import format as fmt
from training.tabletop.assets.palette import Camera, Light
from training.tabletop.scene.cameras import look_at
from training.tabletop.scene.layout import Layout
from training.tabletop.scene.placement import footprint, gap_m, resting_transform, yaw_matrix

if TYPE_CHECKING:
    from training.tabletop.scene.layout import Composer
    from training.tabletop.scene.world import World

SPLIT = "val"
LARGEST_M = 0.3
"""Of the things that stand in rows."""


def rows_and_rings(
    composer: Composer, ids: Sequence[str], half_m: Sequence[float], rng: np.random.Generator
) -> Layout:
    """Things in one or two rows, or in a ring, one in four of them resting on or in another."""
    layout = Layout()
    places = _places(len(ids), half_m, rng)
    for asset_id, xy in zip(ids, places, strict=True):
        asset = composer.gallery.assets[asset_id]
        if composer.gallery.geometries[asset.geometry].extent_m().max() > LARGEST_M:
            continue
        if layout.placed and rng.random() < 0.25 and composer.stack(layout, asset, rng):
            continue
        info = composer.info(asset.geometry)
        yaw = float(rng.uniform(-np.pi, np.pi))
        outline = footprint(info, resting_transform(info, yaw_matrix(yaw), xy, 0.0))
        standing = [p for p in layout.placed if p.parent is None]
        if all(gap_m(outline, p.outline_N2) > 0.01 for p in standing):
            composer.put(layout, asset_id, xy, yaw)
    return layout


def _places(
    count: int, half_m: Sequence[float], rng: np.random.Generator
) -> list[tuple[float, float]]:
    turn = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        angle = turn + 2 * np.pi * np.arange(count) / count
        reach = rng.uniform(0.16, 0.3)
        xy = reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        rows = int(rng.integers(1, 3))
        column, row = np.arange(count) // rows, np.arange(count) % rows
        xy = np.stack([column - column.mean(), row - row.mean()], axis=1) * rng.uniform(0.13, 0.2)
        c, s = np.cos(turn), np.sin(turn)
        xy = xy @ np.array([[c, s], [-s, c]])
    xy = xy + rng.normal(0, 0.012, xy.shape)
    limit = np.asarray(half_m[:2]) - 0.05
    return [(float(x), float(y)) for x, y in np.clip(xy, -limit, limit)]


def other_camera(rng: np.random.Generator, points_N3: np.ndarray) -> Camera:
    """Low or steep, from the left, the right or the far side, with a wide lens."""
    fovy = float(rng.uniform(64, 80))
    low = rng.random() < 0.6
    elevation = np.radians(rng.uniform(11, 18) if low else rng.uniform(68, 80))
    azimuth = np.radians(-90 + rng.choice([-1, 1]) * rng.uniform(75, 180))
    target = (points_N3.min(0) + points_N3.max(0)) / 2
    radius = float(np.linalg.norm(np.ptp(points_N3, axis=0))) / 2
    distance = float(np.clip(radius / np.sin(np.radians(fovy) / 2) * rng.uniform(0.8, 1.1), 0.35, 1.4))  # fmt: skip
    flat = np.cos(elevation) * np.array([np.cos(azimuth), np.sin(azimuth)])
    eye = target + distance * np.append(flat, np.sin(elevation))
    eye[2] = max(eye[2], 0.12)
    return Camera(look_at(eye, target, np.radians(rng.normal(0, 2))), fovy)


def other_lights(rng: np.random.Generator) -> tuple[list[Light], np.ndarray]:
    """One near lamp of a strong colour, and hardly any ambient light."""
    tint = np.array([[1.2, 0.8, 0.5], [0.6, 0.85, 1.25], [0.8, 1.15, 0.8]][int(rng.integers(3))])
    angle = rng.uniform(0, 2 * np.pi)
    pos = np.array([0.5 * np.cos(angle), 0.5 * np.sin(angle), rng.uniform(0.5, 0.9)])
    power = rng.uniform(0.55, 0.8)
    lamp = Light(pos, -pos / np.linalg.norm(pos), power * tint, np.full(3, power * 0.3),
                 directional=False, castshadow=True)  # fmt: skip
    return [lamp], rng.uniform(0.14, 0.24) * tint


def another_world(width: int | None = None, height: int | None = None) -> World:
    """A `World` that arranges, looks and lights as this page says; images of `World`'s size, or so large."""
    from training.tabletop.scene.surroundings import sample_surroundings
    from training.tabletop.scene.world import (
        HEIGHT,
        STUFF_SLOTS,
        WIDTH,
        Setting,
        World,
        _corners,
    )

    class Elsewhere(World):
        def arrange(self, split: str, rng: np.random.Generator) -> Setting:
            stuff, *half = sample_surroundings(rng, split, self.stuff)
            ids = self.composer.choose(rng, split, self._twins(rng))
            layout = rows_and_rings(self.composer, [*rng.permutation(ids)], half, rng)
            points = np.concatenate([_corners(p) for p in layout.placed])
            return Setting(layout, stuff[:STUFF_SLOTS], other_camera(rng, points),
                           *other_lights(rng), backdrop=rng.uniform(20, 235, (2, 3)))  # fmt: skip

        def _twins(self, rng: np.random.Generator) -> list[str]:
            """Two of one kind, so that places must tell them apart."""
            return self.composer.lookalikes(SPLIT, rng)[:2]

    return Elsewhere(width=width or WIDTH, height=height or HEIGHT)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = Parser(
        prog="python -m training.tabletop.elsewhere",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--scenes", type=whole(1), required=True, help="scenes 0 … N-1 will exist")
    parser.add_argument("--seed", type=whole(), default=77, help="of all scenes")
    return run_command("training.tabletop.elsewhere", parser, argv, _run)


def _run(args: argparse.Namespace) -> int:
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    from training.tabletop.render import write_scene

    folder = args.out / SPLIT
    (folder / ".scenes").mkdir(parents=True, exist_ok=True)
    todo = sorted(set(range(args.scenes)) - fmt.finished(folder))
    world = another_world() if todo else None
    if world is not None:
        gallery = json_text(world.gallery_json(), indent=0, sort_keys=True)
        fmt.write_bytes(args.out / "gallery.json", gallery.encode())
        for index in todo:
            write_scene(folder, world.scene(SPLIT, args.seed, index), SPLIT, depth=True)
        world.close()
    print(f"{fmt.merge(folder)} scenes in {folder} ({len(todo)} new)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
