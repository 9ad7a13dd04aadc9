"""Does a field follow its world: what is taken or moved goes, and what stands still stays.

    python -m find_field.evaluation.moves --json OUT [--room FOLDER] [--rendered SCENES... --model find-tabletop]

Exact worlds with perfect embeddings tell how many views it takes until a taken object is no hit, until a
moved one is found at its new place and no longer at the old, and how many voxels of what stands still
are lost. A real room in which nothing moves tells what noise and tracking cost. Rendered scenes and
what became of them (`benchmarks/field_scenes.py --changed`) tell the same of a model.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import find_core
from find_core.errors import FieldError
from find_core.protocols import EmbeddedImage, FindLike
from find_core.support.command_line import whole
from find_core.support.files import replace_file
from find_core.support.json_text import figures_text
from find_field.evaluation import evaluate
from find_field.evaluation.ground_truth import GroundTruth, open_truth
from find_field.evaluation.oracle import OracleFind
from find_field.evaluation.toy_world import ToyObject, World, sample_world
from find_field.field.feature_field import FeatureField
from find_field.field.hits import FieldHits
from find_field.field.voxels import pack
from find_field.frames import PosedFrame
from find_field.io.datasets import open_folder
from find_field.io.render import draw_hits, top_view
from find_field.lift import Lifter, lift

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


def rendered(folders: Sequence[Path], model: str) -> dict[str, Any]:
    """The figures of rendered scenes, each with FOLDER-after beside it; `model` may be "oracle"."""
    find = None if model == "oracle" else find_core.load(model)
    rows = [rendered_scene(folder, find) for folder in folders]
    keys = ("taken_gone_after", "moved_found_after", "moved_gone_after")
    return {
        "model": model, "fingerprint": None if find is None else find.fingerprint,
        "scenes": [folder.name for folder in folders],
        "views_before": VIEWS_BEFORE, "views_after": VIEWS_AFTER,
        **{key: [row[key] for row in rows if key in row] for key in keys},
        "static_voxels": sum(row["static_voxels"] for row in rows),
        "static_voxels_lost": sum(row["static_voxels_lost"] for row in rows),
    }  # fmt: skip


def rendered_scene(folder: Path, find: FindLike[EmbeddedImage] | None) -> dict[str, Any]:
    """One scene; an object without a name of its own, or that was not found before, is left out."""
    later = folder.with_name(f"{folder.name}-after")
    before, after = open_truth(folder), open_truth(later)
    changed = json.loads((later / "changed.json").read_text("utf-8"))
    find = find or merged_oracle(before, after)
    cases = {c.targets[0].id: c.prompt for c in evaluate.cases(before, range(0)) if c.kind == "text"}  # fmt: skip
    first = [before.frames[2 * i % len(before.frames)] for i in range(VIEWS_BEFORE)]
    then = _shuffled([after.frames[i] for i in range(min(VIEWS_AFTER, len(after.frames)))])
    lifter = Lifter(find, voxel_size_m=0.01)
    for n, frame in enumerate(first):
        lifter.add(replace(frame, stamp_ns=n))
    asked = {what: cases[changed[what]] for what in ("taken", "moved") if changed[what] in cases}
    asked = {what: prompt for what, prompt in asked.items()
             if _owned(lifter.query(prompt), before, changed[what])}  # fmt: skip
    out: dict[str, Any] = {f"{what}_gone_after": None for what in asked}
    out |= {"moved_found_after": None} if "moved" in asked else {}
    for n, frame in enumerate(then, 1):
        lifter.add(replace(frame, stamp_ns=len(first) + n))
        for what, prompt in asked.items():
            hits, number = lifter.query(prompt), changed[what]
            here = _owned(hits, before, number)
            out[f"{what}_gone_after"] = None if here else out[f"{what}_gone_after"] or n
            if what == "moved" and _owned(hits, after, number):
                out["moved_found_after"] = out["moved_found_after"] or n
    still = lift(then, find, voxel_size_m=0.01, forget=False)
    lost = np.setdiff1d(pack(still.ijk), pack(lifter.field().ijk))
    return out | {"static_voxels": len(still), "static_voxels_lost": len(lost)}


def picture(folder: Path, find: FindLike[EmbeddedImage]) -> np.ndarray:
    """(H, W, 3) uint8: the moved thing's hits before, after one view of the changed scene, and at the end; in a
    camera's image, and the field from above.

    Raises:
        FieldError: it has no name of its own.
    """
    later = folder.with_name(f"{folder.name}-after")
    before, after = open_truth(folder), open_truth(later)
    number = json.loads((later / "changed.json").read_text("utf-8"))["moved"]
    case = next((c for c in evaluate.cases(before, range(0)) if c.targets[0].id == number), None)
    if case is None:
        raise FieldError(f"What was moved in {folder} has no name of its own: move another thing.")
    lifter, panels = Lifter(find, voxel_size_m=0.01), []
    first = [before.frames[2 * i % len(before.frames)] for i in range(VIEWS_BEFORE)]
    then = _shuffled([after.frames[i] for i in range(min(VIEWS_AFTER, len(after.frames)))])
    shown = {len(first): before.frames[0], len(first) + 1: after.frames[0],
             len(first) + len(then): after.frames[0]}  # fmt: skip
    for n, frame in enumerate([*first, *then], 1):
        lifter.add(replace(frame, stamp_ns=n))
        if (view := shown.get(n)) is not None:
            hits = lifter.query(case.prompt)
            image = draw_hits(view.rgb, hits, view.K, view.T_world_camera)
            above = top_view(lifter.field(), hits=hits, width_px=view.width, margin_m=0.35)
            panels.append(np.vstack([image, _of_height(above, view.height)]))
    return np.hstack(panels)


def _of_height(image: np.ndarray, height: int) -> np.ndarray:
    """Its middle rows, or dark ones added."""
    spare = height - len(image)
    if spare < 0:
        return image[-spare // 2 :][:height]
    return np.pad(image, ((0, spare), (0, 0), (0, 0)), constant_values=24)


def merged_oracle(before: GroundTruth, after: GroundTruth) -> OracleFind:
    """A model that knows the images of both."""
    find = OracleFind([*before.names.values(), *after.names.values()])
    for truth in (before, after):
        for frame, labels in zip(truth.frames, truth.labels, strict=True):
            find.register(frame.rgb, labels, truth.names)
    return find


def _owned(hits: FieldHits, truth: GroundTruth, number: int) -> bool:
    return any(truth.owner(hit.points_world_m) == number for hit in hits)


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
    parser.add_argument("--rendered", nargs="+", type=Path, default=[], metavar="SCENE",
                        help="of benchmarks/field_scenes.py --changed")  # fmt: skip
    parser.add_argument("--picture", type=Path, metavar="OUT.jpg", help="of the first of them, before and after")  # fmt: skip
    parser.add_argument(
        "--model", default="find-tabletop", help="that is asked of them (default: %(default)s)"
    )
    options = parser.parse_args(args)
    if options.picture and not options.rendered:
        parser.error("--picture is of a scene: give --rendered SCENE")
    figures: dict[str, Any] = {"toy": toy(range(options.worlds))}
    if options.room is not None:
        figures["room"] = room(options.room)
    if options.picture:
        image = picture(options.rendered[0], find_core.load(options.model))
        replace_file(options.picture, lambda file: cv2.imwrite(str(file), image[..., ::-1]))
    if options.rendered:
        figures["rendered"] = [rendered(options.rendered, model) for model in ("oracle", options.model)]  # fmt: skip
    text = figures_text(figures, indent=1) + "\n"
    replace_file(options.json, lambda file: file.write_text(text, "utf-8"))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
