"""What teaching twenty pictures of new things gains, and what the model forgets for it.

    python benchmarks/teaching.py --tabletop DATA/tabletop --json out/teaching.json --check
    python benchmarks/teaching.py --tabletop DATA/tabletop --steps 20 --limit 5    # a dry run

Things that no training scene holds (ROOT/held) are labelled in twenty scenes and taught through
`python -m training.teach`, as a user would; they are then asked for in the other scenes of
ROOT/held, and everything that was known before in ROOT/val.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import find_core as fc
from benchmarks.report import publish
from find_core.images import read_image
from find_core.masks import mask_iou
from find_core.predictor import Find
from find_core.support.json_text import json_text
from training.data.formats.tabletop import read_split
from training.evaluation.metrics import DetectionAuc, ScoreSeries
from training.evaluation.tabletop_suite import (
    MIN_TARGET_PX,
    EvaluationReport,
    LabelledScene,
    measure_absent,
    measure_phrases,
    upsampled_objects,
)
from training.teach import TeachConfig

KINDS = ("moka pot", "frying pan", "wine bottle")
PICTURES = 20
TARGETS = {"gain": 0.10, "forgotten": 0.03}
"""mIoU by name that taught things must win, and that known things may lose."""


def write_lesson(scenes: list[dict[str, Any]], folder: Path) -> None:
    """IMAGES/, MASKS/ and names.json as a user would make them: only the new things labelled."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    names = {str(k + 1): kind for k, kind in enumerate(KINDS)}
    (folder / "names.json").write_text(json_text(names))
    for data in scenes:
        labelled, name = LabelledScene.read(data), f"{data['index']:06d}"
        labels = np.zeros(labelled.ids.shape, np.uint8)
        for instance in data["instances"]:
            if instance["kind"] in KINDS:
                labels[labelled.ids == instance["id"]] = KINDS.index(instance["kind"]) + 1
        # The masks are of the scene's full size; so is the picture then.
        image = read_image(Path(data["folder"]) / f"{name}.jpg")
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), labels)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image[..., ::-1])


def ask_taught(find: Find, scenes: list[dict[str, Any]]) -> dict[str, Any]:
    """mIoU of each taught name where one such thing is, and AUC against scenes without."""
    ious, detection = ScoreSeries(), DetectionAuc()
    for data in scenes:
        labelled = LabelledScene.read(data)
        scene = find.encode(labelled.image)
        answers = scene.localize_many([f"the <{kind}>" for kind in KINDS])
        for kind, answer in zip(KINDS, answers, strict=True):
            there = [i for i in data["instances"] if i["kind"] == kind]
            entity, group = answer.entities[0], str(data["index"])
            if not there:
                detection.absent.add(entity.score, group)
            elif len(there) == 1 and there[0]["visible_px"] >= MIN_TARGET_PX:
                ious.add(mask_iou(entity.mask, labelled.mask([there[0]["id"]])), group)
                detection.present.add(entity.score, group)
    return {"miou": ious.summary(), "presence": detection.metrics()}


def ask_known(find: Find, scenes: list[dict[str, Any]]) -> dict[str, Any]:
    """Names, attributes and absence of what the model knew before."""
    report = EvaluationReport()
    for n, data in enumerate(scenes):
        labelled = LabelledScene.read(data)
        scene = find.encode(labelled.image)
        measure_phrases(report, "val", labelled, scene, upsampled_objects(scene))
        measure_absent(report, "val", labelled, scene, scenes, np.random.default_rng(n))
    names = report.ious["text_name", "known"].chosen
    return {"miou": names.summary(), "presence": report.presence["known", "things"].metrics()}


def teach(lesson: Path, out: Path, steps: int, keep: float) -> float:
    """Seconds it took."""
    start = time.monotonic()
    command = [sys.executable, "-m", "training.teach", "--images", str(lesson / "images"),
               "--masks", str(lesson / "masks"), "--names", str(lesson / "names.json"),
               "--out", str(out), "--steps", str(steps), "--keep", str(keep)]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def measure(root: Path, steps: int, keep: float, limit: int | None) -> dict[str, Any]:
    held, known = read_split(root, "held"), read_split(root, "val", limit)
    holders = [s for s in held if any(i["kind"] in KINDS for i in s["instances"])][:PICTURES]
    taken = {s["index"] for s in holders}
    others = [s for s in held if s["index"] not in taken]
    if limit is not None:  # a dry run still needs something to find
        others = sorted(others, key=lambda s: not any(i["kind"] in KINDS for i in s["instances"]))
        others = others[:limit]
    before, figures = fc.load("find-tabletop"), {}
    with tempfile.TemporaryDirectory() as folder:
        write_lesson(holders, Path(folder) / "lesson")
        seconds = teach(Path(folder) / "lesson", Path(folder) / "taught", steps, keep)
        for name, find in (("before", before), ("after", fc.load(Path(folder) / "taught"))):
            figures[name] = {"taught": ask_taught(find, others), "known": ask_known(find, known)}

    def change(what: str) -> float:
        return figures["after"][what]["miou"]["value"] - figures["before"][what]["miou"]["value"]

    return {
        "model": before.fingerprint, "kinds": KINDS, "pictures": len(holders), "steps": steps, "keep": keep,
        "seconds": round(seconds), "tested_on": {"held": len(others), "val": len(known)},
        "gain": round(change("taught"), 4), "forgotten": round(-change("known"), 4), **figures,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tabletop", required=True, type=Path, help="folder with held/ and val/")
    parser.add_argument("--steps", type=int, default=TeachConfig.steps)
    parser.add_argument("--keep", type=float, default=TeachConfig.keep, help="share of old weights")
    parser.add_argument("--limit", type=int, help="test on the first scenes of each split only")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = measure(args.tabletop, args.steps, args.keep, args.limit)
    publish(result, args.json)
    if args.check and result["gain"] < TARGETS["gain"]:
        sys.exit(f"Teaching won {result['gain']:.3f} mIoU, aimed at {TARGETS['gain']}.")
    if args.check and result["forgotten"] > TARGETS["forgotten"]:
        sys.exit(f"Teaching cost {result['forgotten']:.3f} mIoU, at most {TARGETS['forgotten']}.")


if __name__ == "__main__":
    main()
