"""How exact a field of a capture without depth is: `find-field lift --nerf` beside true depth.

    python benchmarks/field_captures.py SCENE [--iterations 600] [--render-px 120] [--json OUT]

SCENE is a folder of benchmarks/field_scenes.py. Its pictures and poses alone train nerfstudio's nerfacto (small,
as find-field-lite is), whose renderings at the training cameras are lifted; the same cameras' true depth is
lifted beside it, at the same size. Both answer the same prompts. Needs nerfstudio (pip install "find_ros[field]").
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import find_core
from benchmarks.field_training import Run, with_head, without_head
from benchmarks.report import publish
from find_core.images import write_image
from find_core.support.json_text import json_text
from find_field.evaluation.evaluate import evaluate, summarise
from find_field.evaluation.ground_truth import GroundTruth, open_truth
from find_field.frames import PosedFrame
from find_field.geometry.pinhole import OPENCV_FROM_OPENGL
from find_field.lift import lift

REFERENCE_EVERY = 6
_OPTIONS = argparse.Namespace(
    method="find-field-lite", model="find-tabletop", feature_cache=None, rays=None, set=()
)


def write_capture(truth: GroundTruth, folder: Path) -> Path:
    """The pictures and poses as transforms.json, without depth."""
    frames = []
    for i, frame in enumerate(truth.frames):
        write_image(folder / f"{i:04d}.png", frame.rgb)
        frames.append({"file_path": f"{i:04d}.png",
                       "transform_matrix": (frame.T_world_camera @ OPENCV_FROM_OPENGL).tolist()})  # fmt: skip
    K, (height, width) = truth.frames[0].K, truth.frames[0].rgb.shape[:2]
    camera = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5,
              "w": width, "h": height, "camera_model": "OPENCV"}  # fmt: skip
    (folder / "transforms.json").write_text(json_text({**camera, "frames": frames}))
    return folder


def train(capture: Path, iterations: int, folder: Path) -> tuple[Path, float]:
    """A run of nerfacto as ns-train leaves it: its config.yml, and the CPU seconds it took."""
    from nerfstudio.models.nerfacto import NerfactoModel

    _OPTIONS.capture, _OPTIONS.iterations = capture, iterations
    config = without_head(with_head(_OPTIONS, folder))
    config.method_name = "nerfacto"
    run = Run(config, seed=0)
    run.advance(iterations)
    config.pipeline.model._target = NerfactoModel
    checkpoint = config.get_checkpoint_dir() / f"step-{iterations:09d}.ckpt"
    checkpoint.parent.mkdir(parents=True)
    torch.save({"step": iterations, "pipeline": run.pipeline.state_dict()}, checkpoint)
    path = config.get_base_dir() / "config.yml"
    path.write_text(yaml.dump(config))
    return path, sum(run.cpu_s)


def smaller(frame: PosedFrame, height: int) -> PosedFrame:
    """The frame with its depth at a view's size."""
    scale = height / frame.rgb.shape[0]
    size = round(frame.rgb.shape[1] * scale), height
    K = frame.K.copy()
    K[:2, 2] += 0.5
    K[:2] *= scale
    K[:2, 2] -= 0.5
    assert frame.depth_m is not None
    depth = cv2.resize(frame.depth_m, size, interpolation=cv2.INTER_NEAREST)
    rgb = cv2.resize(frame.rgb, size, interpolation=cv2.INTER_AREA)
    return PosedFrame(rgb, depth, K, frame.T_world_camera, frame.name)


def depth_errors(views: list[PosedFrame], true: list[PosedFrame]) -> dict[str, float]:
    """Of the rendered depth, centimetres, and the share of pixels that have one."""
    errors, known = [], []
    for view, want in zip(views, true, strict=True):
        assert view.depth_m is not None and want.depth_m is not None
        both = np.isfinite(view.depth_m) & (want.depth_m > 0)
        errors.append(np.abs(view.depth_m - want.depth_m)[both])
        known.append(np.isfinite(view.depth_m).mean())
    all_cm = 100 * np.concatenate(errors)
    return {"median_cm": round(float(np.median(all_cm)), 2), "p90_cm": round(float(np.percentile(all_cm, 90)), 2),
            "share_known": round(float(np.mean(known)), 3)}  # fmt: skip


def main() -> int:
    options = _parse()
    truth = open_truth(options.scene)
    find = find_core.load(options.model)
    references = range(0, len(truth.frames), REFERENCE_EVERY)
    from find_field.nerf.views import open_run

    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "capture"
        capture.mkdir()
        write_capture(truth, capture)
        path, seconds = train(capture, options.iterations, Path(folder) / "outputs")
        start = time.process_time()
        opened = open_run(path, options.render_px)
        views = [view.read() for view in opened.files]
        rendering = time.process_time() - start
        true = [smaller(truth.frames[int(Path(v.name).stem)], options.render_px) for v in opened.files]  # fmt: skip
    rows = {}
    for name, frames in (("rendered", views), ("true_depth", true)):
        # Views of a radiance field stand still: what one sees through is noise, as `lift --nerf` has it.
        field = lift(frames, find, voxel_size_m=options.voxel, forget=False)
        rows[name] = summarise(evaluate(field, find, truth, references)) | {"voxels": len(field)}
    report: dict[str, Any] = {
        "scene": options.scene.name, "fingerprint": find.fingerprint, "iterations": options.iterations,
        "render_px": options.render_px, "views": len(views), "voxel_size_m": options.voxel,
        "training_cpu_s": round(seconds), "rendering_cpu_s": round(rendering),
        "depth": depth_errors(views, true), **rows,
    }  # fmt: skip
    publish(report, options.json, indent=1)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("scene", type=Path)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--render-px", type=int, default=120)
    parser.add_argument("--voxel", type=float, default=0.01)
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--json", type=Path, help="write the report here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
