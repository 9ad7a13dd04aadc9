"""Generic segmentation (paper table 2): PQ, SQ, RQ, mask AP and mIoU, classes asked in three ways.

By name, by description (a sentence that does not name the class), by visual context (a mask in an
image of another split). Figures that a model does not give itself are derived: a class map from its
panoptic answer, objects from the panoptic things.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import FindError, ImageError
from find_core.prompts.prompt import Prompt, PromptEntity, Reference
from find_core.results import InstanceSegmentation, PanopticSegmentation
from training.evaluation.bench import sources
from training.evaluation.bench.cases import panoptic_picture
from training.evaluation.bench.model import (
    NO_ANSWER,
    ClassQuery,
    Hint,
    SegmentAnswer,
    require,
    require_class_prompts,
    tell,
)
from training.evaluation.bench.options import Options, Outcome
from training.evaluation.bench.quality import (
    PanopticTable,
    PanopticTruth,
    PrecisionTable,
    SemanticTable,
)

DESCRIPTIONS = Path(__file__).with_name("coco_descriptions.json")


def run_segmentation(model: Any, options: Options, by: str = "name") -> Outcome:
    """All figures of generic segmentation that the model's answers allow.

    Args:
        by: "name", "description" or "visual".

    Raises:
        FindError: the model cannot segment, or not when asked in this way.
    """
    suite = f"bench-segmentation by {by}"
    require(model, suite, ["segment"])
    require_class_prompts(model, suite, by)
    labelled = sources.panoptic_set(options.root, options.split or "val2017")
    classes, place = class_queries(labelled, options, by)
    stuff = [c.stuff for c in classes]
    panoptic, semantic = PanopticTable(stuff), SemanticTable(len(classes))
    precision = PrecisionTable()
    given: set[str] = set()
    images = labelled.images[: options.limit]
    for n, item in enumerate(images):
        image, truth = item.read()
        truth = asked_of(truth, place)
        tell(model, Hint(tuple(truth.id_map == i for i in truth.ids), truth.classes))
        answer = complete(model.segment(image, classes), given)
        if answer.panoptic is not None:
            score = panoptic.add(answer.panoptic, truth)
            found = answer.panoptic
            options.cases.add(
                score, f"{item.key}: PQ {score:.2f}",
                functools.partial(
                    panoptic_picture, image, [c.name for c in classes], truth, found),
            )  # fmt: skip
        if answer.class_map is not None:
            semantic.add(answer.class_map, truth)
        if answer.instances is not None:
            precision.add(answer.instances, truth, stuff)
        options.progress(n + 1, len(images))
    figures: dict[str, Any] = {}
    figures |= panoptic.metrics() if "panoptic" in given else {}
    figures |= precision.metrics() if given & {"instances", "panoptic"} else {}
    figures |= semantic.metrics() if given & {"class_map", "panoptic"} else {}
    return Outcome(figures, notes_of(by, classes, labelled, given))


def class_queries(
    labelled: sources.PanopticSet, options: Options, by: str
) -> tuple[list[ClassQuery], dict[int, int]]:
    """The classes as they are asked for, and the place of each of the data set's classes in them.

    A class without description or example is not asked for.
    """
    prompts: dict[str, str | Prompt] = {}
    if by == "description":
        table = read_descriptions(options.descriptions or DESCRIPTIONS)
        prompts = {name: Prompt((PromptEntity(text),)) for name, text in table.items()}
    elif by == "visual":
        prompts = dict(visual_examples(options.root, options.examples))
    else:
        prompts = {name: name for name in labelled.names}
    asked = [k for k, name in enumerate(labelled.names) if name in prompts]
    if not asked:
        raise FindError(f"No class of {options.root} can be asked for by {by}: check the examples.")
    classes = [
        ClassQuery(labelled.names[k], labelled.stuff[k], prompts[labelled.names[k]]) for k in asked
    ]
    return classes, {k: n for n, k in enumerate(asked)}


def read_descriptions(path: Path) -> dict[str, str]:
    """{class name: sentence}.

    Raises:
        FindError: not of that form.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(k, str) and isinstance(v, str) for k, v in table.items()):
            return table
    except (OSError, ValueError, AttributeError):
        pass
    raise FindError(f"{path} is no JSON of class descriptions: write {{'cup': 'a vessel ...'}}.")


def visual_examples(root: Path, split: str) -> dict[str, Prompt]:
    """Class -> its largest segment in a split, as a reference; ties go to the smaller id.

    Raises:
        ImageError: the split is not there.
    """
    labelled = sources.panoptic_set(root, split)
    best: dict[int, tuple[float, int, sources.PanopticImage]] = {}
    for image in labelled.images:
        for segment, kind in zip(image.segments, image.classes, strict=True):
            rank = (float(segment.get("area", 0)), -int(segment["id"]))
            if not segment.get("iscrowd", 0) and (kind not in best or rank > best[kind][:2]):
                best[kind] = (*rank, image)
    out = {}
    for kind, (_, number, image) in sorted(best.items()):
        pixels, truth = image.read()
        mask = truth.id_map == -number
        if not mask.any():
            raise ImageError(f"{image.png} has no segment {-number}: its JSON is of other images.")
        name = labelled.names[kind]
        out[name] = Prompt((PromptEntity(name, Reference(pixels, mask=mask)),))
    return out


def asked_of(truth: PanopticTruth, place: dict[int, int]) -> PanopticTruth:
    """Labels with classes numbered as asked; segments of other classes become void."""
    kept = [n for n, kind in enumerate(truth.classes) if kind in place]
    if len(kept) == len(truth.classes) and all(place[k] == k for k in truth.classes):
        return truth
    ids = tuple(truth.ids[n] for n in kept)
    id_map = np.where(np.isin(truth.id_map, ids), truth.id_map, 0)
    return PanopticTruth(
        id_map, ids, tuple(place[truth.classes[n]] for n in kept),
        tuple(truth.crowd[n] for n in kept),
    )  # fmt: skip


def complete(answer: SegmentAnswer, given: set[str]) -> SegmentAnswer:
    """The answer with what follows from its panoptic part; `given` collects what the model gave."""
    for name in ("panoptic", "instances", "class_map"):
        if getattr(answer, name) is not None:
            given.add(name)
    panoptic = answer.panoptic
    if panoptic is None:
        return answer
    if answer.instances is None:
        things = tuple(s for s in panoptic.segments if s.is_thing)
        answer = replace(answer, instances=InstanceSegmentation(things))
    if answer.class_map is None:
        answer = replace(answer, class_map=class_map_of(panoptic))
    return answer


def class_map_of(found: PanopticSegmentation) -> np.ndarray:
    """(H, W) int32 class indices of a panoptic answer, `NO_ANSWER` on void."""
    out = np.full(found.id_map.shape, NO_ANSWER, np.int32)
    for segment in found.segments:
        out[found.id_map == segment.id] = segment.class_index
    return out


def notes_of(
    by: str, classes: Sequence[ClassQuery], labelled: sources.PanopticSet, given: set[str]
) -> tuple[str, ...]:
    notes = [f"{len(classes)} of {len(labelled.names)} classes were asked for by {by}."]
    if len(classes) < len(labelled.names):
        notes.append("Segments of the other classes count as void.")
    if "panoptic" in given and "instances" not in given:
        notes.append("Mask AP is that of the panoptic things: the model gives no scored objects.")
    if "panoptic" in given and "class_map" not in given:
        notes.append("mIoU is that of the panoptic answer; its void is wrong wherever labelled.")
    return tuple(notes)
