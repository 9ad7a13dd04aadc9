"""Which of two look-alikes, and does the relation hold: scores alone against places.

    python benchmarks/places.py --scenes DATA/tabletop --out benchmarks/results/places.json

Each rendered scene of DATA/val is asked "the <mug> left of the <plate>" as a picture, and as a
field lifted from its one view with depth, as its camera sees it; by scores alone, with the judge of
places, and in words that the judge was never trained on. `python -m training.tabletop.elsewhere`
renders scenes of another kind than training's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import find_core as fc
import find_field as ff
from find_core.predictor import Find
from find_core.support.json_text import figures_text
from find_field.field.feature_field import FeatureField
from find_field.field.hits import FieldHits
from training.data.formats.tabletop import read_split
from training.evaluation.labelled import (
    MIN_TARGET_PX,
    LabelledScene,
    bootstrap_unit,
    has_lookalike,
)
from training.evaluation.places import (
    PlaceReport,
    measure_places,
    questions_that_do_not,
    questions_that_hold,
)


def frame_of(labelled: LabelledScene) -> ff.PosedFrame:
    """The scene's view with its depth, metres."""
    data = labelled.data
    path = Path(data["folder"]) / f"{data['index']:06d}_depth.png"
    depth_mm = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if depth_mm is None:
        raise SystemExit(f"{path} is missing: render the split with depth.")
    return ff.PosedFrame(
        labelled.image, depth_mm.astype(np.float32) / 1000, np.array(data["K"]),
        np.array(data["T_world_camera"]),
    )  # fmt: skip


def owner(points_world_m: np.ndarray, labelled: LabelledScene) -> int:
    """The instance that most of the points fall on in the scene's view."""
    data = labelled.data
    T = np.linalg.inv(np.array(data["T_world_camera"]))
    camera = points_world_m @ T[:3, :3].T + T[:3, 3]
    pixels = (camera @ np.array(data["K"]).T)[:, :2] / camera[:, 2:]
    x, y = np.round(pixels).astype(int).T
    height, width = labelled.ids.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not inside.any():
        return 0
    return int(np.bincount(labelled.ids[y[inside], x[inside]]).argmax())


def ask_scene(
    report: PlaceReport,
    labelled: LabelledScene,
    field: FeatureField,
    find: Find,
    seed: int,
    whose: Callable[[np.ndarray], int | None] | None = None,
    group: str | None = None,
) -> None:
    """All questions about places that the scene has, as its camera sees it.

    Args:
        whose: the instance that points (N, 3) belong to; None: by the scene's own view.
        group: what is resampled for intervals; None: the view, or a held-out kind.
    """
    whose = whose or (lambda points_world_m: owner(points_world_m, labelled))
    rng = np.random.default_rng(seed)
    viewer = np.array(labelled.data["T_world_camera"])
    view = group or f"{labelled.data['folder']}/{labelled.data['index']}"

    def asked(text: str, places: bool) -> FieldHits:
        return field.query(text, find, viewer=viewer, places=places)

    for question in questions_that_hold(labelled.data):
        instance = labelled.instance(question.targets[0])
        if instance["stuff"] or instance["held_out"] or instance["visible_px"] < MIN_TARGET_PX:
            continue
        alone, judged = asked(question.text, False), asked(question.text, True)
        add_holds(report, alone, judged, True, view)
        if not has_lookalike(labelled, instance):
            continue
        ways = {"scores": alone, "places": judged,
                "paraphrased": asked(question.paraphrase(rng), True)}  # fmt: skip
        for way, hits in ways.items():
            first = hits.entities[0].hits[:1]
            hit = bool(first) and whose(first[0].points_world_m) == instance["id"]
            report.add_right(
                way, question.relation, hit, group or bootstrap_unit(instance, labelled)
            )
            if way == "places" and judged.place_score is not None:
                both = {whose(h.points_world_m) for h in hits.entities[0].hits}
                if instance["id"] in both:
                    report.add_right(
                        "places, right one among the hits", question.relation, hit, view
                    )
    for question in questions_that_do_not(labelled.data):
        add_holds(report, asked(question.text, False), asked(question.text, True), False, view)


def add_holds(
    report: PlaceReport, alone: FieldHits, judged: FieldHits, holds: bool, group: str
) -> None:
    scores = {"scores": alone.entities[0].best_score}
    if judged.place_score is not None:
        scores["places"] = judged.place_score
    for way, score in scores.items():
        series = report.holds[way]
        (series.present if holds else series.absent).add(score, group)


def measure(find: Find, root: Path, limit: int | None, out: Path | None = None) -> dict[str, Any]:
    """The figures of all scenes of ROOT/val; written after every tenth."""
    picture, field = PlaceReport(), PlaceReport()
    scenes, figures = read_split(root, "val", limit), dict[str, Any]()
    for n, data in enumerate(scenes):
        labelled = LabelledScene.read(data)
        scene = find.encode(labelled.image)
        measure_places(picture, find, labelled, scene, np.random.default_rng(n))
        lifter = ff.Lifter(find)
        lifter.add(frame_of(labelled), scene)
        ask_scene(field, labelled, lifter.field(), find, n)
        print(f"\rplaces {n + 1}/{len(scenes)}", end="", file=sys.stderr, flush=True)
        if n % 10 == 9 or n == len(scenes) - 1:
            figures = {"model": find.name, "fingerprint": find.fingerprint, "scenes": n + 1,
                       "picture": picture.metrics(), "field": field.metrics()}  # fmt: skip
            if out is not None:
                out.write_text(figures_text(figures, indent=1) + "\n")
    print(file=sys.stderr)
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True, help="folder with the split val")
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--limit", type=int, help="only the first scenes")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    find = fc.load(args.model)
    print(figures_text(measure(find, args.scenes, args.limit, args.out), indent=1))


if __name__ == "__main__":
    main()
