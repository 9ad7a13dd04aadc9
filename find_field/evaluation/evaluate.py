"""How well a field answers, on sequences whose truth is known.

    python -m find_field.evaluation.evaluate SEQUENCE... [--model find-tabletop | oracle] [--field F] [--json]
    python -m find_field.evaluation.evaluate --exact 3 --model oracle      # exact worlds, no data needed

Per query kind (text, reference, interleaved, two entities in text): top-1 object accuracy, error of
the centroid and of the box's centre, 3D IoU of the boxes. References come from views that were not
lifted. With --model oracle the embeddings are ground truth, so that what is lost, the field lost.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import find_core
from find_core.errors import FindError
from find_core.prompts.prompt import Prompt, Reference
from find_core.protocols import EmbeddedImage, FindLike
from find_core.support.command_line import number, whole
from find_core.support.json_text import figures_text
from find_field.evaluation.ground_truth import GroundTruth, SceneObject, open_truth, truth_of_world
from find_field.evaluation.toy_world import sample_world
from find_field.field.feature_field import FeatureField, load
from find_field.field.hits import FieldEntity
from find_field.geometry.boxes import box_iou
from find_field.lift import lift

KINDS = ("text", "reference", "two entities", "interleaved")
_REFERENCE_PX = 60  # smaller masks show too little to be a reference


@dataclass(frozen=True)
class Outcome:
    """One entity of one query.

    Attributes:
        centroid_cm: from the mean of the object's true visible surface voxels.
        center_cm: of the hit's box from the true box's centre. iou: of the boxes.
    """

    kind: str
    name: str
    found: bool
    right: bool
    score: float
    centroid_cm: float | None = None
    center_cm: float | None = None
    iou: float | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt and the objects its entities mean."""

    kind: str
    prompt: Prompt
    targets: tuple[SceneObject, ...]


def cases(truth: GroundTruth, reference_frames: Sequence[int]) -> Iterable[Case]:
    """Every kind of query about every object that has a name of its own."""
    named = [(thing, name) for thing in truth.objects if (name := _own_name(truth, thing))]
    shown = {t.id: r for t in truth.objects if (r := _reference(truth, t, reference_frames))}
    twins = {t.id for t in truth.objects for o in truth.objects if o is not t and o.name == t.name}
    for thing, name in named:
        yield Case("text", Prompt.parse(f"the <{name}>"), (thing,))
    for thing in truth.objects:
        if thing.id in shown and thing.id not in twins:
            yield Case("reference", Prompt.parse("<this>", this=shown[thing.id]), (thing,))
    for (a, a_name), (b, b_name) in zip(named, named[1:] + named[:1], strict=True):
        if a is b:
            continue
        text = f"the <{a_name}> and the <{b_name}>"
        yield Case("two entities", Prompt.parse(text), (a, b))
        if b.id in shown and b.id not in twins:
            prompt = Prompt.parse(f"the <{a_name}> and <this>", this=shown[b.id])
            yield Case("interleaved", prompt, (a, b))


def _own_name(truth: GroundTruth, thing: SceneObject) -> str | None:
    """The plainest name that no other object of the scene bears."""
    others = {n for o in truth.objects if o is not thing for n in o.names}
    return next((name for name in thing.names if name not in others), None)


def _reference(truth: GroundTruth, thing: SceneObject, frames: Sequence[int]) -> Reference | None:
    """The object as the view that shows most of it shows it."""
    best = max(frames, key=lambda i: truth.visible_pixels(i, thing), default=None)
    if best is None or truth.visible_pixels(best, thing) < _REFERENCE_PX:
        return None
    return Reference(truth.frames[best].rgb, mask=truth.labels[best] == thing.id)


def evaluate(field: FeatureField, find: FindLike, truth: GroundTruth, reference_frames: Sequence[int],
             **query: Any) -> list[Outcome]:  # fmt: skip
    """Ask `field` about everything in `truth`."""
    centroids = truth.visible_centroids(field.voxel_size_m)
    out = []
    for case in cases(truth, reference_frames):
        hits = field.query(case.prompt, find, **query)
        for entity, target in zip(hits.entities, case.targets, strict=True):
            if target.id in centroids:
                out.append(_outcome(case.kind, entity, target, truth, centroids[target.id]))
    return out


def _outcome(kind: str, entity: FieldEntity, target: SceneObject, truth: GroundTruth,
             centroid: np.ndarray) -> Outcome:  # fmt: skip
    if not entity.hits:
        return Outcome(kind, target.name, False, False, entity.best_score)
    hit = entity.hits[0]
    right = truth.owner(hit.points_world_m) == target.id
    boxes = (hit.T_world_object, hit.extent_m), (target.T_world_object, target.extent_m)
    center = hit.T_world_object[:3, 3] - target.center_world_m
    return Outcome(
        kind, target.name, True, right, float(hit.score),
        centroid_cm=100 * float(np.linalg.norm(hit.centroid_world_m - centroid)),
        center_cm=100 * float(np.linalg.norm(center)),
        iou=box_iou(*boxes),
    )  # fmt: skip


def summarise(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """By kind and over all: n, top1, medians and 90th percentiles over the right answers."""
    out = {}
    for kind in (*KINDS, "all"):
        rows = [o for o in outcomes if kind in (o.kind, "all")]
        right = [o for o in rows if o.right]
        if not rows:
            continue
        out[kind] = {"n": len(rows), "top1": len(right) / len(rows)}
        for name in ("centroid_cm", "center_cm", "iou"):
            values = [getattr(o, name) for o in right]
            if values:
                tail = 10 if name == "iou" else 90
                out[kind][f"{name}_median"] = float(np.median(values))
                out[kind][f"{name}_p{tail}"] = float(np.percentile(values, tail))
    return {kind: {k: round(v, 3) for k, v in row.items()} for kind, row in out.items()}


def evaluate_sequence(truth: GroundTruth, find: FindLike[EmbeddedImage], field: FeatureField | None = None,
                      reference_every: int = 6, **options: Any) -> list[Outcome]:  # fmt: skip
    """Lift the views of `truth` except every n-th, which gives references; or take `field`."""
    references = range(0, len(truth.frames), reference_every)
    if field is None:
        kept = (truth.frames[i] for i in range(len(truth.frames)) if i not in set(references))
        field = lift(kept, find, **options)
    return evaluate(field, find, truth, references)


def main(args: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(args)
    try:
        outcomes = _run(options)
    except FindError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    summary = summarise(outcomes)
    if options.json:
        print(
            figures_text({"summary": summary, "outcomes": [asdict(o) for o in outcomes]}, indent=2)
        )
    else:
        for kind, row in summary.items():
            print(f"{kind:<14}" + "  ".join(f"{k} {v:g}" for k, v in row.items()))
        for o in outcomes:
            if not o.right:
                print(f"wrong: {o.kind} {o.name!r} found={o.found} score={o.score:.2f}")
    return 0


def _run(options: argparse.Namespace) -> list[Outcome]:
    outcomes = []
    for source in _truths(options):
        truth, folder = source
        find = truth.oracle() if options.model == "oracle" else find_core.load(options.model)
        field = None if options.field is None else load(options.field)
        found = evaluate_sequence(truth, find, field, voxel_size_m=options.voxel)
        print(f"{folder}: {summarise(found).get('all')}", file=sys.stderr)
        outcomes += found
    return outcomes


def _truths(options: argparse.Namespace) -> Iterable[tuple[GroundTruth, str]]:
    for folder in options.sequences:
        yield open_truth(folder), str(folder)
    for seed in range(options.exact):
        yield truth_of_world(sample_world(seed, 5 + seed % 4)), f"exact world {seed}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m find_field.evaluation.evaluate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("sequences", nargs="*", type=Path, help="rendered sequences with truth")
    parser.add_argument("--exact", type=whole(), default=0, metavar="N", help="also N exact worlds")
    parser.add_argument(
        "--model", default="find-tabletop", help="or 'oracle' (default: %(default)s)"
    )
    parser.add_argument("--field", type=Path, help="a field made elsewhere (e.g. by ns-train)")
    parser.add_argument(
        "--voxel", type=number(above=0), default=0.01, help="metres (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON with every outcome")
    return parser


if __name__ == "__main__":
    sys.exit(main())
