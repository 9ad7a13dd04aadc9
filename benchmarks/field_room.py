"""A real room: lifted from most of its frames, asked, and compared with the 2D model on the others.

    python benchmarks/field_room.py ROOM --out DIR [--json OUT] [--model find-tabletop] [--prompts "the <mug>" ...]

ROOM is any folder that find-field lift reads. Every fifth frame is held out. For each prompt the
field's relevancy, seen through each held-out camera, is compared with the relevancy that the model
itself gives to the pixels of that frame: mean IoU at one half, and the area under the ROC curve.
Agreement says that the field keeps what the model sees; whether the model sees rightly is another
question, which the pictures in DIR answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import find_core
import find_field as ff
from benchmarks.report import publish
from find_core.support.files import write_text
from find_core.support.json_text import figures_text
from find_field.io.datasets import open_folder
from find_field.io.export import heat_colors
from find_field.io.render import draw_hits, overlay, reproject, top_view
from training.evaluation.metrics import auc

PROMPTS = ("the <mug>", "the <book>", "the <chair>", "the <keyboard>")


def pixel_relevancy(scene: Any, find: Any, prompt: str, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) in [0, 1]: the model's own relevancy of each pixel for the prompt's first entity."""
    maps, vectors = scene.semantic_map()
    embedding = np.einsum("qhw,qd->hwd", maps, vectors)
    embedding /= np.maximum(np.linalg.norm(embedding, axis=-1, keepdims=True), 1e-9)
    cosine = embedding @ find.compile(prompt).entity_embeddings[0]
    config = find.config
    score = 1 / (1 + np.exp(-config.relevance_scale * (cosine - config.relevance_bias)))
    return cv2.resize(score.astype(np.float32), size_hw[::-1])


def compare(field: ff.FeatureField, find: Any, held: list, prompts: list[str], out: Path) -> dict:
    """Agreement by prompt over the held-out frames; pictures of the first four into `out`."""
    values = {prompt: field.relevancy(prompt, find)[0] for prompt in prompts}
    rows: dict[str, list[tuple[float, float]]] = {prompt: [] for prompt in prompts}
    for i, frame in enumerate(held):
        scene, size = find.encode(frame.rgb), frame.rgb.shape[:2]
        panels = []
        for prompt in prompts:
            seen = reproject(field, values[prompt], frame.K, frame.T_world_camera, size)[..., 0]
            own = pixel_relevancy(scene, find, prompt, size)
            known = np.isfinite(seen)
            a, b = own[known] >= 0.5, seen[known] >= 0.5
            iou = (a & b).sum() / (a | b).sum() if (a | b).any() else float("nan")
            rows[prompt].append((float(iou), auc(seen[known][a], seen[known][~a])))
            panels.append(np.hstack([overlay(frame.rgb, own), overlay(frame.rgb, seen)]))
        if i < 4:
            cv2.imwrite(str(out / f"held_{i}.jpg"), np.vstack(panels)[..., ::-1])
    return {p: {"mean_iou": _mean([r[0] for r in v]), "mean_auc": _mean([r[1] for r in v]),
                "frames_with_it": int(np.isfinite([r[0] for r in v]).sum())}
            for p, v in rows.items()}  # fmt: skip


def _mean(values: list[float]) -> float | None:
    known = [v for v in values if np.isfinite(v)]
    return round(float(np.mean(known)), 3) if known else None


def main() -> None:
    options = _parse()
    options.out.mkdir(parents=True, exist_ok=True)
    files = open_folder(options.room).files
    find = find_core.load(options.model)
    lifter = ff.Lifter(find, voxel_size_m=options.voxel, max_depth_m=options.max_depth,
                       up_world=tuple(options.up))  # fmt: skip
    for i, entry in enumerate(files):
        if i % 5 != 4:
            lifter.add(entry.read())
    field = lifter.field()
    field.save(options.out / "room.field")
    held = [entry.read() for entry in files[4::5]]
    report = {"room": options.room.name, "fingerprint": find.fingerprint, "voxels": len(field), "frames": lifter.frames_fused, "held_out": len(held),
              "agreement": compare(field, find, held, options.prompts, options.out), "hits": {}}  # fmt: skip
    cv2.imwrite(str(options.out / "top.jpg"), top_view(field)[..., ::-1])
    for i, prompt in enumerate(options.prompts):
        hits = field.query(prompt, find)
        report["hits"][prompt] = hits.to_json()
        heat = heat_colors(field.relevancy(prompt, find)[0], field.colors)
        cv2.imwrite(str(options.out / f"query_{i}.jpg"), top_view(field, heat, hits)[..., ::-1])
        view = held[len(held) // 2]
        drawn = draw_hits(view.rgb, hits, view.K, view.T_world_camera)
        cv2.imwrite(str(options.out / f"query_{i}_view.jpg"), drawn[..., ::-1])
    write_text(options.out / "report.json", figures_text(report, indent=2) + "\n")
    publish(stored(report), options.json)


def stored(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept in the repository: of each prompt's hits the first three."""
    first = {
        prompt: [{name: hit[name] for name in ("score", "centroid_world_m", "extent_m")}
                 for hit in answer["entities"][0]["hits"][:3]]
        for prompt, answer in report["hits"].items()
    }  # fmt: skip
    return {k: v for k, v in report.items() if k != "hits"} | {"first_hits": first}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("room", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--prompts", nargs="+", default=list(PROMPTS))
    parser.add_argument("--voxel", type=float, default=0.02)
    parser.add_argument("--max-depth", type=float, default=4.0)
    parser.add_argument("--up", type=float, nargs=3, default=(0.06, -0.87, -0.49),
                        help="up in the room's world frame (default: of 7-Scenes' red kitchen as "
                             "given: its first camera looked 30 degrees down)")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
