"""The rendered world's questions, asked of a `Find` through its public methods.

Known kinds are asked in ROOT/val, held-out kinds in ROOT/held; intervals resample scenes for known
kinds and kinds for held-out ones.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.masks import mask_iou
from find_core.predictor import Find
from find_core.prompts.prompt import Prompt, PromptEntity, Reference
from find_core.prompts.region import Region
from find_core.scene import Scene
from training.data.formats.tabletop import read_split
from training.data.queries.strokes import click
from training.evaluation.labelled import (
    MIN_TARGET_PX,
    LabelledScene,
    bootstrap_unit,
    has_lookalike,
    split_of,
)
from training.evaluation.metrics import DetectionAuc, IoUMeter, ScoreSeries
from training.evaluation.places import PlaceReport, measure_places

MIN_REFERENCE_PX = 400
MAX_ABSENT = 12
ENTITY_WEIGHT = 5.0
"""Weight of the entities beside the whole image's vector, which is the weaker of the two."""
Progress = Callable[[int, int], None]


@dataclass
class EvaluationReport:
    """All questions' answers, known and held-out kinds apart."""

    ious: dict[tuple[str, str], IoUMeter] = field(default_factory=lambda: defaultdict(IoUMeter))
    presence: dict[tuple[str, str], DetectionAuc] = field(
        default_factory=lambda: defaultdict(DetectionAuc)
    )
    right: dict[str, ScoreSeries] = field(default_factory=lambda: defaultdict(ScoreSeries))
    places: PlaceReport = field(default_factory=PlaceReport)
    by_kind: dict[tuple[str, str], ScoreSeries] = field(
        default_factory=lambda: defaultdict(ScoreSeries)
    )

    def add(self, question: str, instance: dict[str, Any], scene: LabelledScene, mask: np.ndarray,
            truth: np.ndarray, oracle: float) -> None:  # fmt: skip
        split_name = split_of(instance)
        self.ious[question, split_name].add(mask, truth, oracle, bootstrap_unit(instance, scene))
        if split_name == "held_out":
            self.by_kind[instance["kind"], question].add(mask_iou(mask, truth), "")

    def metrics(self) -> dict[str, Any]:
        out: dict[str, Any] = {"known": {}, "held_out": {}}
        for (question, split_name), ious in sorted(self.ious.items()):
            out[split_name][question] = ious.metrics()
        for (split_name, claim), detection in self.presence.items():
            shares = {"by_threshold": detection.by_threshold()}
            out[split_name][f"presence_of_{claim}"] = detection.metrics() | shares
        for name, answers in self.right.items():
            out["known"][name] = answers.summary()
        kinds: dict[str, dict[str, float]] = defaultdict(dict)
        for (kind, question), answers in sorted(self.by_kind.items()):
            kinds[kind][question] = round(float(np.mean(answers.values)), 3)
        out["held_out_miou_by_kind"] = kinds
        out["known"]["places"] = self.places.metrics()
        return out


def run_suite(
    find: Find, root: str | Path, limit: int | None, progress: Progress, seed: int = 0
) -> dict:
    """All questions on ROOT/val and ROOT/held."""
    report, retrieval = EvaluationReport(), {}
    for split in ("val", "held"):
        scenes = read_split(root, split, limit)
        holders = asset_index(scenes)
        encoded: list[tuple[LabelledScene, Scene]] = []
        for n, data in enumerate(scenes):
            labelled = LabelledScene.read(data)
            scene = find.encode(labelled.image)
            rng = np.random.default_rng((seed, n))
            oracle = upsampled_objects(scene)
            measure_phrases(report, split, labelled, scene, oracle)
            measure_references(report, split, labelled, scene, oracle, scenes, holders, rng)
            measure_sentences(report, split, labelled, scene, oracle, scenes, holders, rng)
            measure_absent(report, split, labelled, scene, scenes, rng)
            measure_clicks(report, split, labelled, scene, oracle)
            if split == "val" and getattr(find, "places", None) is not None:
                measure_places(report.places, find, labelled, scene, rng)
            encoded.append((labelled, scene))
            progress(n + 1, len(scenes))
        if split == "val":
            retrieval = measure_retrieval(find, encoded)
    metrics = report.metrics()
    metrics["known"]["retrieval"] = retrieval
    return metrics


def upsampled_objects(scene: Scene) -> np.ndarray:
    """(Q, H, W) bool masks of all object proposals at the image's size: the oracle's choice."""
    size = (scene.width, scene.height)
    return np.stack([cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) > 0
                     for m in scene.object_mask_logits])  # fmt: skip


def best_of(masks: np.ndarray, truth: np.ndarray) -> float:
    both = (masks & truth).sum((1, 2))
    return float((both / np.maximum((masks | truth).sum((1, 2)), 1)).max())


def asset_index(scenes: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, int]]]:
    """asset -> (scene number, instance id) where it is large enough to be a reference."""
    table: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for n, scene in enumerate(scenes):
        for i in scene["instances"]:
            if not i["stuff"] and i["visible_px"] >= MIN_REFERENCE_PX:
                table[str(i["asset"])].append((n, i["id"]))
    return table


def counts(split: str, instance: dict[str, Any]) -> bool:
    """val answers for known kinds, held for held-out ones."""
    return bool(instance["held_out"]) == (split == "held") and not instance["stuff"]


def measure_phrases(
    report: EvaluationReport, split: str, labelled: LabelledScene, scene: Scene, oracle: np.ndarray
) -> None:
    """Names, attributes, categories, relations: those that mean exactly one large enough object."""
    queried = []
    for phrase in labelled.data["phrases"]:
        if len(phrase["instance_ids"]) != 1:
            continue
        instance = labelled.instance(phrase["instance_ids"][0])
        if counts(split, instance) and instance["visible_px"] >= MIN_TARGET_PX:
            queried.append((phrase, instance))
    prompts = [Prompt((PromptEntity(p["text"]),)) for p, _ in queried]
    for (phrase, instance), answer in zip(queried, scene.localize_many(prompts), strict=True):
        entity, truth = answer.entities[0], labelled.mask([instance["id"]])
        report.add(
            f"text_{phrase['type']}", instance, labelled, entity.mask, truth, best_of(oracle, truth)
        )
        split_name = split_of(instance)
        group = bootstrap_unit(instance, labelled)
        report.presence[split_name, kind_of_claim(phrase["type"])].present.add(entity.score, group)
        if (
            phrase["type"] == "relation"
            and split_name == "known"
            and has_lookalike(labelled, instance)
        ):
            hit = mask_iou(entity.mask, truth) > 0.5
            report.right["relation_right_instance"].add(hit, bootstrap_unit(instance, labelled))


def kind_of_claim(phrase_type: str) -> str:
    """Is it said that an object is there, or that it stands somewhere?"""
    return "things" if phrase_type in ("name", "attribute", "category") else "relations"


def reference_to(
    instance: dict[str, Any], here: int, scenes: Sequence[dict[str, Any]],
    holders: dict[str, list[tuple[int, int]]], rng: np.random.Generator,
) -> Reference | None:  # fmt: skip
    """The same object in another image, by its mask."""
    others = [
        (n, i) for n, i in holders.get(str(instance["asset"]), ()) if scenes[n]["index"] != here
    ]
    if not others:
        return None
    n, number = others[int(rng.integers(len(others)))]
    other = LabelledScene.read(scenes[n])
    return Reference(other.image, mask=other.mask([number]))


def measure_references(
    report: EvaluationReport, split: str, labelled: LabelledScene, scene: Scene, oracle: np.ndarray,
    scenes: Sequence[dict[str, Any]], holders: dict[str, list[tuple[int, int]]],
    rng: np.random.Generator, most: int = 3,
) -> None:  # fmt: skip
    """Objects without a twin in the scene, each shown in another image."""
    fit = [
        i for i in labelled.data["instances"]
        if counts(split, i) and i["visible_px"] >= MIN_TARGET_PX
        and sum(o["asset"] == i["asset"] for o in labelled.data["instances"]) == 1
    ]  # fmt: skip
    for k in rng.permutation(len(fit))[:most]:
        instance = fit[k]
        reference = reference_to(instance, labelled.data["index"], scenes, holders, rng)
        if reference is None:
            continue
        answer = scene.localize(Prompt.parse("the <thing>", thing=reference))
        truth = labelled.mask([instance["id"]])
        entity = answer.entities[0]
        report.add("reference", instance, labelled, entity.mask, truth, best_of(oracle, truth))


def measure_sentences(
    report: EvaluationReport, split: str, labelled: LabelledScene, scene: Scene, oracle: np.ndarray,
    scenes: Sequence[dict[str, Any]], holders: dict[str, list[tuple[int, int]]],
    rng: np.random.Generator, most: int = 2,
) -> None:  # fmt: skip
    """Joint interleaved sentences of at least two entities, each visual with p = 0.5."""
    fit = [
        s for s in labelled.data["sentences"]
        if len(s["entities"]) >= 2 and all(len(e) == 1 for e in s["entities"])
    ]  # fmt: skip
    for k in rng.permutation(len(fit))[:most]:
        parts, targets, visual = [], iter(fit[k]["entities"]), 0
        queried = []
        for part in Prompt.parse(fit[k]["text"]).parts:
            if isinstance(part, PromptEntity):
                instance = labelled.instance(next(targets)[0])
                queried.append(instance)
                if rng.random() < 0.5 and not instance["stuff"]:
                    shown = reference_to(instance, labelled.data["index"], scenes, holders, rng)
                    part = PromptEntity(f"ref{visual}", shown) if shown else part
                    visual += shown is not None
            parts.append(part)
        answer = scene.localize(Prompt(tuple(parts)))
        for entity, instance in zip(answer.entities, queried, strict=True):
            if counts(split, instance) and instance["visible_px"] >= MIN_TARGET_PX:
                truth = labelled.mask([instance["id"]])
                report.add(
                    "sentence", instance, labelled, entity.mask, truth, best_of(oracle, truth)
                )


def measure_absent(
    report: EvaluationReport, split: str, labelled: LabelledScene, scene: Scene, scenes: Sequence[dict[str, Any]],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Objects that are not there: their scores must lie below those of objects that are."""
    absent = labelled.data["absent"]
    chosen = [absent[k] for k in rng.permutation(len(absent))[:MAX_ABSENT]]
    split_name = "held_out" if split == "held" else "known"
    group = f"{labelled.data['folder']}/{labelled.data['index']}"
    answers = scene.localize_many([Prompt((PromptEntity(a["text"]),)) for a in chosen])
    for item, answer in zip(chosen, answers, strict=True):
        score = answer.entities[0].score
        report.presence[split_name, kind_of_claim(item["type"])].absent.add(score, group)


def measure_clicks(
    report: EvaluationReport, split: str, labelled: LabelledScene, scene: Scene, oracle: np.ndarray
) -> None:
    """One click where the object is deepest; all objects of an image in one pass."""
    fit = [
        i
        for i in labelled.data["instances"]
        if counts(split, i) and i["visible_px"] >= MIN_TARGET_PX
    ][:8]
    if not fit:
        return
    truths = [labelled.mask([i["id"]]) for i in fit]
    answer = scene.interact(*([Region.mask(click(t))] for t in truths))
    for instance, truth, mask in zip(fit, truths, answer.masks, strict=True):
        report.add("click", instance, labelled, mask, truth, best_of(oracle, truth))


def measure_retrieval(find: Find, encoded: Sequence[tuple[LabelledScene, Scene]]) -> dict[str, Any]:
    """Caption -> its scene: by the caption query; with its objects marked as entities, by those; and
    by the longest interleaved sentence."""
    from find_core.tasks import retrieve as retrieval

    images = np.stack([scene.embedding for _, scene in encoded])
    metrics: dict[str, Any] = {"scenes": len(encoded)}
    scenes = [scene for _, scene in encoded]
    first, fifth, marked, entity = ScoreSeries(), ScoreSeries(), ScoreSeries(), ScoreSeries()
    for n, (labelled, _) in enumerate(encoded):
        for caption in labelled.data["captions"][:2]:
            scores = images @ find.embed_caption(caption)
            rank = int((scores > scores[n]).sum())
            first.add(rank == 0, str(n))
            fifth.add(rank < 5, str(n))
            if ";" not in caption:  # a list of objects, not of relations
                query = find.compile(mark_listed(caption))
                marked.add(retrieval.rank(query, scenes, ENTITY_WEIGHT)[0] == n, str(n))
        sentences = [s for s in labelled.data["sentences"] if len(s["entities"]) >= 2]
        if sentences:
            query = find.compile(max(sentences, key=lambda s: len(s["entities"]))["text"])
            entity.add(retrieval.rank(query, scenes, ENTITY_WEIGHT)[0] == n, str(n))
    metrics["caption_r1"], metrics["caption_r5"] = first.summary(), fifth.summary()
    metrics["marked_caption_r1"], metrics["sentence_r1"] = marked.summary(), entity.summary()
    return metrics


def mark_listed(caption: str) -> str:
    """ "a red bowl, a cup and a pen on a table" -> "a <red bowl>, a <cup> and a <pen> on a <table>"."""
    return re.sub(r"\b(an?) (.+?)(?=,| and an? | on an? |$)", r"\1 <\2>", caption)
