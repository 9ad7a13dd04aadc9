"""Interactive segmentation (paper table 2, "VOC"): IoU after one stroke, and clicks to an IoU (NoC).

The first stroke is a point (3x3 dot where the object is deepest), circle, scribble, polygon or box,
as docs/spec.md 3.5. The published "box" is a dot at the centre of the box: it is here as
`box_center`, and `box` is a real box. NoC: after the first point, each click is the deepest point of
the larger error, objects that were missed or too much, positive or negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from find_core.masks import box_of_mask, mask_iou
from find_core.prompts.region import Region
from training.data.queries.strokes import click, draw_stroke
from training.evaluation.bench import sources
from training.evaluation.bench.cases import truth_and_answer
from training.evaluation.bench.figures import MaskSums, Sums
from training.evaluation.bench.model import Hint, require, tell
from training.evaluation.bench.options import Options, Outcome

KINDS = ("point", "circle", "scribble", "polygon", "box", "box_center")
NOC_IOUS = (0.5, 0.8, 0.85, 0.9)
TOGETHER = 5
"""Objects of one call, as published."""


def run_interactive(model: Any, options: Options) -> Outcome:
    """IoU after one stroke of each kind and NoC at four IoUs."""
    require(model, "bench-interactive", ["interact"])
    sums = {kind: MaskSums() for kind in KINDS}
    clicks = Sums(("objects", *(str(t) for t in NOC_IOUS)))
    objects = 0
    images = list(sources.object_images(options.root, options.split))[: options.limit]
    for n, item in enumerate(images):
        image, masks, void = item.read()
        rng = np.random.default_rng((options.seed, n))
        for first in range(0, len(masks), TOGETHER):
            group = masks[first : first + TOGETHER]
            objects += len(group)
            tell(model, Hint(tuple(group)))
            for kind in KINDS:
                strokes = [first_stroke(mask, kind, rng) for mask in group]
                regions = [[region_of(stroke, kind)] for stroke in strokes]
                found, state = model.interact(image, regions)
                ious = [
                    sums[kind].add(item.key, f, t, void) for f, t in zip(found, group, strict=True)
                ]
                if kind == "point":
                    _keep_case(options, item.key, image, group, found, strokes, ious)
                    needed = number_of_clicks(
                        model, image, group, void, strokes, found, state, options.most_clicks)  # fmt: skip
            for row in needed:
                clicks.add(item.key, objects=1, **{str(t): k for t, k in zip(NOC_IOUS, row, strict=True)})  # fmt: skip
        options.progress(n + 1, len(images))
    figures: dict[str, Any] = {
        kind: {name: figure for name, figure in sums[kind].metrics().items() if name in ("miou", "ciou", "p50")}
        for kind in KINDS if objects
    }  # fmt: skip
    figures["noc"] = {f"noc{round(100 * t)}": clicks.ratio(str(t), "objects", n=objects) for t in NOC_IOUS}  # fmt: skip
    return Outcome(figures, (
        f"At most {options.most_clicks} clicks; what is not reached counts as that many.",
        f"Objects of an image are asked together, at most {TOGETHER} in a call.",
        f"Strokes are drawn with seed {options.seed}.",
    ))  # fmt: skip


def first_stroke(mask: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool: the first stroke on an object, see the module."""
    if kind == "point":
        return click(mask)
    if kind == "box_center":
        x1, y1, x2, y2 = box_of_mask(mask)
        return Region.point(int((x1 + x2 - 1) // 2), int((y1 + y2 - 1) // 2)).to_mask(*mask.shape)
    return draw_stroke(mask, rng, kind)


def region_of(stroke: np.ndarray, kind: str) -> Region:
    """The stroke as a region: a box stays a box, which some models take as such."""
    return Region.box(*box_of_mask(stroke)) if kind == "box" else Region.mask(stroke)


def number_of_clicks(
    model: Any, image: np.ndarray, truth: Sequence[np.ndarray], void: np.ndarray,
    strokes: Sequence[np.ndarray], found: np.ndarray, state: Any, most: int,
) -> np.ndarray:  # fmt: skip
    """(N, 4) clicks until each IoU is reached; `most` where it is not.

    Args:
        strokes, found, state: of the first click and its answer.
    """
    regions = [[Region.mask(stroke)] for stroke in strokes]
    needed = np.full((len(truth), len(NOC_IOUS)), most)
    for used in range(1, most + 1):
        for k, mask in enumerate(truth):
            iou = mask_iou(found[k] & ~void, mask & ~void)
            reached = (iou >= np.array(NOC_IOUS)) & (needed[k] == most)
            needed[k][reached] = min(used, most)
        if used == most or (needed < most).all():
            break
        for k, mask in enumerate(truth):
            correction = next_click(found[k], mask, void)
            if correction is not None:
                regions[k].append(correction)
        found, state = model.interact(image, regions, state)
    return needed


def next_click(found: np.ndarray, truth: np.ndarray, void: np.ndarray) -> Region | None:
    """The deepest point of the larger error; None where nothing is wrong."""
    missed, extra = truth & ~found & ~void, found & ~truth & ~void
    if not missed.any() and not extra.any():
        return None
    positive = np.count_nonzero(missed) >= np.count_nonzero(extra)
    error = missed if positive else extra
    return Region.mask(click(error) & error, positive=bool(positive))


def _keep_case(
    options: Options, key: str, image: np.ndarray, truth: Sequence[np.ndarray], found: np.ndarray,
    strokes: Sequence[np.ndarray], ious: Sequence[float],
) -> None:  # fmt: skip
    mean = float(np.mean(ious))
    labels = [f"object {k + 1}" for k in range(len(truth))]
    options.cases.add(
        mean, f"{key}: one point, mIoU {mean:.2f}",
        lambda: truth_and_answer(image, labels, truth, list(found), strokes),
    )  # fmt: skip
