"""Does a field follow its world: what is taken or moved goes, and what stands still stays.

    python -m find_field.evaluation.moves --json OUT [--room FOLDER]

Exact worlds with perfect embeddings tell how many views it takes until a taken object is no hit, until a
moved one is found at its new place and no longer at the old, and how many voxels of what stands still
are lost. A real room in which nothing moves tells what noise and tracking cost.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from find_core.support.command_line import whole
from find_core.support.files import replace_file
from find_core.support.json_text import figures_text
from find_field.evaluation.oracle import OracleFind
from find_field.evaluation.toy_world import ToyObject, World, sample_world
from find_field.field.feature_field import FeatureField
from find_field.field.hits import FieldHits
from find_field.field.voxels import pack
from find_field.frames import PosedFrame
from find_field.io.datasets import open_folder
from find_field.lift import Lifter

# Of a room: a voxel that so many frames saw is surface and no stray.
SURFACE_VIEWS = 3
# A hit whose middle lies this near to a place is there.
NEAR_M = 0.06
VIEWS_BEFORE, VIEWS_AFTER = 14, 16


def toy(seeds: Sequence[int] = range(5), size_hw: tuple[int, int] = (120, 160)) -> dict[str, Any]:
    """The figures of exact worlds: one object taken, and one moved, in each."""
    rows = [toy_world(seed, size_hw) for seed in seeds]
    keys = ("taken_gone_after", "moved_found_after", "moved_gone_after")
    return {
        "worlds": len(rows), "views_before": VIEWS_BEFORE, "views_after": VIEWS_AFTER,
        **{key: [row[key] for row in rows] for key in keys},
        "static_voxels": sum(row["static_voxels"] for row in rows),
        "static_voxels_lost": sum(row["static_voxels_lost"] for row in rows),
        "others_found": all(row["others_found"] for row in rows),
        "static_equal": all(row["static_equal"] for row in rows),
    }  # fmt: skip


def toy_world(seed: int, size_hw: tuple[int, int] = (120, 160)) -> dict[str, Any]:
    """One exact world: its first object is taken, then in another run moved.

    Returns:
        Views until each happened (None: never within `VIEWS_AFTER`), and what else was lost.
    """
    world = sample_world(seed, 6)
    oracle = world.oracle()
    thing, rest = world.things[0], world.things[1:]
    before = world.frames(VIEWS_BEFORE, size_hw, oracle=oracle)
    moved = replace(thing, centre_m=(*free_place(world), thing.centre_m[2]))
    taken, found, left = None, None, None
    world_without = World(rest, world.seed)
    lifter = _lifted(before, oracle)
    same = _equal(lifter.field(), _lifted(before, oracle, forget=False).field())
    after = _shuffled(world_without.frames(VIEWS_AFTER, size_hw, oracle=oracle))
    for n, frame in enumerate(after, 1):
        lifter.add(frame)
        here = bool(lifter.query(thing.name))
        taken = None if here else taken or n
    end = lifter.field()
    still = _lifted(after, oracle, forget=False).field()
    lost = np.setdiff1d(pack(still.ijk), pack(end.ijk))
    others = all(len(_near(end.query(t.name, oracle), t)) == 1 for t in rest)
    lifter = _lifted(before, oracle)
    new_world = World([moved, *rest], world.seed)
    for n, frame in enumerate(_shuffled(new_world.frames(VIEWS_AFTER, size_hw, oracle=oracle)), 1):
        lifter.add(frame)
        hits = lifter.query(thing.name)
        found = found or (n if _near(hits, moved) else None)
        left = None if _near(hits, thing) else left or n
    return {
        "taken_gone_after": taken, "moved_found_after": found, "moved_gone_after": left,
        "static_voxels": len(still), "static_voxels_lost": len(lost), "others_found": others,
        "static_equal": same,
    }  # fmt: skip


def free_place(world: World) -> np.ndarray:
    """(2,) the place of the table's grid that is farthest from all objects."""
    grid = np.array([(x, y) for x in (-0.2, 0, 0.2) for y in (-0.2, 0, 0.2)])
    taken = np.array([thing.centre_m[:2] for thing in world.things])
    return grid[np.linalg.norm(grid[:, None] - taken, axis=-1).min(axis=1).argmax()]


def room(folder: Path, frames: int = 80, voxel_size_m: float = 0.02) -> dict[str, Any]:
    """The figures of a real room in which nothing moves; embeddings play no part."""
    posed = list(open_folder(folder).take(limit=frames))
    find = OracleFind(["room"], 8)
    for frame in posed:
        find.register(frame.rgb, np.ones(frame.rgb.shape[:2], np.int32), {1: "room"})
    times, fields = [], []
    for forget in (False, True):
        lifter = Lifter(find, voxel_size_m=voxel_size_m, rank=2, basis_frames=1, forget=forget)
        times.append([_add(lifter, find, frame) for frame in posed])
        fields.append(lifter.field())
    whole, field = fields
    kept = np.isin(pack(whole.ijk), pack(field.ijk))
    assert whole.times_seen is not None
    surface = whole.times_seen >= SURFACE_VIEWS
    later = slice(len(posed) // 2, None)
    return {
        "folder": folder.name, "frames": len(posed), "voxel_size_m": voxel_size_m,
        "voxels": len(whole), "surface_views": SURFACE_VIEWS, "surface_voxels": int(surface.sum()),
        "surface_kept": round(float(kept[surface].mean()), 4),
        "all_kept": round(float(kept.mean()), 4),
        "forget_ms_per_frame": round(
            1e3 * float(np.median(np.subtract(times[1], times[0])[later])), 1
        ),
    }  # fmt: skip


def _add(lifter: Lifter, find: OracleFind, frame: PosedFrame) -> float:
    scene = find.encode(frame.rgb)
    start = time.process_time()
    lifter.add(frame, scene)
    return time.process_time() - start


def _lifted(frames: list[PosedFrame], find: OracleFind, forget: bool = True) -> Lifter:
    lifter = Lifter(find, voxel_size_m=0.01, basis_frames=1, forget=forget)
    for frame in frames:
        lifter.add(frame)
    return lifter


def _shuffled(frames: list[PosedFrame]) -> list[PosedFrame]:
    """From all sides in turn: as a robot would not, but no view repeats its neighbour."""
    return [frames[5 * i % len(frames)] for i in range(len(frames))]


def _near(hits: FieldHits, thing: ToyObject) -> list[Any]:
    centre = np.asarray(thing.centre_m)
    return [hit for hit in hits if np.linalg.norm(hit.centroid_world_m - centre) < NEAR_M]


def _equal(a: FeatureField, b: FeatureField) -> bool:
    arrays = ("ijk", "points_world_m", "weight", "colors", "times_seen")
    same = [np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays]
    return all(same) and all(
        np.array_equal(a.channels[k].coefficients, b.channels[k].coefficients) for k in a.channels
    )


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("find_field.evaluation.moves", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--json", type=Path, required=True, help="file to write")
    parser.add_argument("--room", type=Path, help="a posed folder in which nothing moves")
    parser.add_argument(
        "--worlds", type=whole(1), default=5, help="exact worlds (default: %(default)s)"
    )
    options = parser.parse_args(args)
    figures: dict[str, Any] = {"toy": toy(range(options.worlds))}
    if options.room is not None:
        figures["room"] = room(options.room)
    text = figures_text(figures, indent=1) + "\n"
    replace_file(options.json, lambda file: file.write_text(text, "utf-8"))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
