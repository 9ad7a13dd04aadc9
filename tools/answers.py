"""Answers of the shipped samples in one file, to show that a refactoring changed nothing.

    python tools/answers.py before.npz                 # on the tree before
    python tools/answers.py after.npz                  # on the tree after
    python tools/answers.py --compare before.npz after.npz

Everything is asked through the public names: localize, a stream with tracks, segmentation, a click,
embeddings, and a lifted field with queries. Equal means equal in every byte.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import find_core as fc
import find_field as ff

PROMPTS = (
    "the <white mug> beside the <plate>",
    "the <red bowl>",
    "the <apple>",
    "the <milk carton> left of the <ketchup bottle>",
    "the <teddy bear>",
)
CLASSES = ["mug", "bowl", "plate", "bottle", "carton", "table"]
SAMPLES = Path(fc.__file__).parent / "share" / "samples" / "tabletop"


def instance_arrays(name: str, instance: Any) -> dict[str, np.ndarray]:
    return {
        f"{name}/score": np.float64(instance.score),
        f"{name}/box": np.asarray(instance.box_xyxy),
        f"{name}/mask": np.packbits(instance.mask),
        f"{name}/track": np.int64(-1 if instance.track_id is None else instance.track_id),
    }


def localization_arrays(name: str, localization: Any) -> dict[str, np.ndarray]:
    arrays = {f"{name}/relevance": np.float64(localization.relevance)}
    for k, entity in enumerate(localization.entities):
        arrays[f"{name}/{k}/found"] = np.bool_(entity.found)
        arrays |= instance_arrays(f"{name}/{k}", entity)
        for n, instance in enumerate(entity.instances):
            arrays |= instance_arrays(f"{name}/{k}/{n}", instance)
    return arrays


def picture_answers(find: Any, frames: list[Any]) -> dict[str, np.ndarray]:
    first = frames[0].rgb
    shown = fc.Prompt.parse(
        "<this> and the <plate>", this=fc.Reference(first, box=(60, 60, 220, 240))
    )
    arrays: dict[str, np.ndarray] = {}
    for f, frame in enumerate(frames):
        scene = find.encode(frame.rgb)
        arrays[f"frame{f}/embedding"] = scene.embedding
        for p, prompt in enumerate([*PROMPTS, shown]):
            arrays |= localization_arrays(f"frame{f}/prompt{p}", scene.localize(prompt))
        if f % 6:
            continue
        arrays |= localization_arrays(f"frame{f}/fast", scene.localize(PROMPTS[0], fast=True))
        arrays |= localization_arrays(f"frame{f}/low", scene.localize(PROMPTS[0], threshold=0.2))
        panoptic = scene.segment(CLASSES)
        arrays[f"frame{f}/panoptic"] = panoptic.id_map
        click = scene.interact(fc.Region.point(320, 240))
        arrays[f"frame{f}/click"] = np.packbits(click.masks)
        arrays[f"frame{f}/click_scores"] = click.scores
    return arrays


def stream_answers(find: Any, frames: list[Any]) -> dict[str, np.ndarray]:
    from find_core.video import StreamLocalizer

    stream = StreamLocalizer(find, list(PROMPTS[:2]))
    arrays: dict[str, np.ndarray] = {}
    for f, frame in enumerate(frames):
        answer = stream.update(frame.rgb, f * 100_000_000)
        for p, prompt in enumerate(answer.prompts):
            arrays |= localization_arrays(f"stream{f}/{p}", prompt.localization)
    return arrays


def field_answers(find: Any, frames: list[Any]) -> dict[str, np.ndarray]:
    field = ff.lift(frames, find, ff.LiftConfig(voxel_size_m=0.02, pixel=True))
    arrays = {"field/points": field.points_world_m, "field/colors": field.colors}
    for kind in ("semantic", "pixel"):
        arrays[f"field/{kind}"] = field.channel(kind).coefficients
    for p, prompt in enumerate(PROMPTS):
        hits = field.query(prompt, find)
        arrays[f"field/{p}/best"] = np.float64(hits.best_score)
        for n, hit in enumerate(hits):
            arrays[f"field/{p}/{n}/score"] = np.float64(hit.score)
            arrays[f"field/{p}/{n}/T"] = hit.T_world_object
            arrays[f"field/{p}/{n}/extent"] = hit.extent_m
            arrays[f"field/{p}/{n}/points"] = hit.points_world_m
    return arrays


def compare(before: Path, after: Path) -> int:
    """Print what differs; the exit status is 1 where anything does."""
    with np.load(before) as a, np.load(after) as b:
        differing = sorted(set(a.files) ^ set(b.files))
        lines = [f"only in one: {name}" for name in differing]
        for name in sorted(set(a.files) & set(b.files)):
            if a[name].shape != b[name].shape:
                lines.append(f"{name}: shape {a[name].shape} != {b[name].shape}")
            elif a[name].tobytes() != b[name].tobytes():
                gap = np.abs(a[name].astype(float) - b[name].astype(float)).max()
                lines.append(f"{name}: differs by up to {gap:g}")
        print("\n".join(lines[:60]))
        print(f"{len(a.files)} and {len(b.files)} arrays, {len(lines)} differences")
    return 1 if lines else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", help=".npz file to write")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--frames", type=int, default=24, help="of the 48 (default: %(default)s)")
    parser.add_argument("--runtime", help="of the image path, e.g. torch (default: the model's)")
    options = parser.parse_args()
    if options.compare:
        return compare(*options.compare)
    if options.out is None:
        parser.error("say which file to write, or --compare two of them")
    import torch

    torch.set_num_threads(1)  # sums are added in one order
    given = {"runtime": options.runtime} if options.runtime else {}
    find = fc.load("find-tabletop", device="cpu", **given)
    frames = list(sample_frames(options.frames))
    arrays = picture_answers(find, frames) | stream_answers(find, frames)
    arrays |= field_answers(find, frames)
    np.savez_compressed(options.out, **arrays)
    print(f"{len(arrays)} arrays in {options.out}")
    return 0


def sample_frames(count: int) -> list[Any]:
    """The first `count` posed frames of the shipped table top."""
    import json

    from find_core.images import read_image

    meta = json.loads((SAMPLES / "meta.json").read_text())
    K, unit_m = np.array(meta["K"]), meta.get("depth_unit_m", 0.001)
    return [_posed(read_image, entry, K, unit_m) for entry in meta["frames"][:count]]


def _posed(read_image: Any, entry: dict[str, Any], K: np.ndarray, unit_m: float) -> ff.PosedFrame:
    import cv2

    rgb = read_image(SAMPLES / "rgb" / f"{entry['file']}.jpg")
    depth = cv2.imread(str(SAMPLES / "depth" / f"{entry['file']}.png"), cv2.IMREAD_UNCHANGED)
    depth_m = depth.astype(np.float32) * unit_m
    return ff.PosedFrame(rgb, depth_m, K, np.array(entry["T_world_camera"]))


if __name__ == "__main__":
    sys.exit(main())
