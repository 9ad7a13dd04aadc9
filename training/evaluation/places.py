"""Which of two look-alikes, and does the relation hold: sentences of several entities about places.

Each sentence is asked twice, with the model's judge of places and by scores alone, and a third time
in words that the judge was never trained on.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from find_core.masks import mask_iou
from find_core.predictor import Find
from find_core.prompts.compiled import CompiledPrompt
from find_core.results import Localization
from find_core.scene import Scene
from training.evaluation.labelled import (
    MIN_TARGET_PX,
    LabelledScene,
    bootstrap_unit,
    has_lookalike,
)
from training.evaluation.metrics import DetectionAuc, ScoreSeries
from training.places.sentences import load_phrases
from training.tabletop.language.sentences import RELATION_WORDS

OWN_NAMES = {
    "left of": "left", "right of": "right", "in front of": "front", "behind": "behind",
    "next to": "next", "on": "on", "in": "in",
}  # fmt: skip
"""Relations of rendered scenes, as `training.places` names them."""
_WORDS = {word: name for name, words in RELATION_WORDS.items() for word in words}
_LONGEST_FIRST = "|".join(re.escape(w) for w in sorted(_WORDS, key=len, reverse=True))
_MARKED = re.compile(rf"the <([^>]+)> ({_LONGEST_FIRST}) the <([^>]+)>$")
_PLAIN = re.compile(rf"(.+?) ({_LONGEST_FIRST}) the (.+)$")


@dataclass(frozen=True)
class PlaceQuestion:
    """ "the <subject> word the <other>"; targets: their instance ids, none where it does not hold."""

    subject: str
    word: str
    other: str
    targets: tuple[int, ...] = ()

    @property
    def relation(self) -> str:
        """Its name in `training.places`."""
        return OWN_NAMES[_WORDS[self.word]]

    @property
    def text(self) -> str:
        return f"the <{self.subject}> {self.word} the <{self.other}>"

    def paraphrase(self, rng: np.random.Generator) -> str:
        """In a phrase and a frame that training never uses."""
        data = load_phrases()
        word = str(rng.choice(data["relations"][self.relation]["held"]))
        frame = str(rng.choice(data["frames"]["held"]))
        return frame.format(a=f"<{self.subject}>", b=f"<{self.other}>", r=word)


def questions_that_hold(scene: dict[str, Any]) -> list[PlaceQuestion]:
    """The scene's sentences that name one thing by its place beside another."""
    out = []
    for sentence in scene["sentences"]:
        found = _MARKED.match(sentence["text"])
        if found and all(len(ids) == 1 for ids in sentence["entities"]):
            subject, word, other = found.groups()
            whose = tuple(e[0] for e in sentence["entities"])
            out.append(PlaceQuestion(subject, word, other, whose))
    return out


def questions_that_do_not(scene: dict[str, Any]) -> list[PlaceQuestion]:
    """Things that are there and do not stand so."""
    found = [_PLAIN.match(a["text"]) for a in scene["absent"] if a["type"] == "relation"]
    return [PlaceQuestion(m[1], m[2], m[3]) for m in found if m]


@dataclass
class PlaceReport:
    """Answers, by scores alone and with the judge."""

    right: dict[str, ScoreSeries] = field(default_factory=lambda: defaultdict(ScoreSeries))
    by_relation: dict[str, dict[str, ScoreSeries]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(ScoreSeries))
    )
    holds: dict[str, DetectionAuc] = field(default_factory=lambda: defaultdict(DetectionAuc))
    iou_of_others: dict[str, ScoreSeries] = field(default_factory=lambda: defaultdict(ScoreSeries))
    """Of sentences that say nothing of places: requests and lists."""

    def add_right(self, way: str, relation: str, hit: bool, group: str) -> None:
        self.right[way].add(hit, group)
        self.by_relation[relation][way].add(hit, group)

    def metrics(self) -> dict[str, Any]:
        relations = {
            name: {way: series.summary() for way, series in ways.items()}
            for name, ways in sorted(self.by_relation.items())
        }
        return {
            "right_of_lookalikes": {way: s.summary() for way, s in self.right.items()},
            "holds_auc": {way: auc.metrics() for way, auc in self.holds.items()},
            "miou_of_other_sentences": {w: s.summary() for w, s in self.iou_of_others.items()},
            "by_relation": relations,
        }


def without_places(compiled: CompiledPrompt) -> CompiledPrompt:
    """The prompt, answered by scores alone."""
    return dataclasses.replace(compiled, places=None)


def measure_places(
    report: PlaceReport, find: Find, labelled: LabelledScene, scene: Scene, rng: np.random.Generator
) -> None:
    """All questions about places that a scene has, known kinds alone."""
    group = f"{labelled.data['folder']}/{labelled.data['index']}"
    for question in questions_that_hold(labelled.data):
        instance = labelled.instance(question.targets[0])
        if instance["stuff"] or instance["held_out"] or instance["visible_px"] < MIN_TARGET_PX:
            continue
        compiled = find.compile(question.text)
        alone, judged, other = _answers(
            scene, [without_places(compiled), compiled, find.compile(question.paraphrase(rng))]
        )
        _add_holds(report, alone, judged, True, group)
        if has_lookalike(labelled, instance):
            truth, unit = labelled.mask([instance["id"]]), bootstrap_unit(instance, labelled)
            ways = {"scores": alone, "places": judged, "paraphrased": other}
            for way, answer in ways.items():
                hit = mask_iou(answer.entities[0].mask, truth) > 0.5
                report.add_right(way, question.relation, hit, unit)
    for question in questions_that_do_not(labelled.data):
        compiled = find.compile(question.text)
        alone, judged = _answers(scene, [without_places(compiled), compiled])
        _add_holds(report, alone, judged, False, group)
    measure_others(report, find, labelled, scene, group)


def measure_others(
    report: PlaceReport, find: Find, labelled: LabelledScene, scene: Scene, group: str
) -> None:
    """Sentences of several entities that do not name things by their places."""
    for sentence in labelled.data["sentences"]:
        ids = sentence["entities"]
        if len(ids) < 2 or any(len(e) != 1 for e in ids) or _MARKED.match(sentence["text"]):
            continue
        compiled = find.compile(sentence["text"])
        alone, judged = _answers(scene, [without_places(compiled), compiled])
        for way, answer in (("scores", alone), ("places", judged)):
            for entity, (number,) in zip(answer.entities, ids, strict=True):
                iou = mask_iou(entity.mask, labelled.mask([number]))
                report.iou_of_others[way].add(iou, group)


def _answers(scene: Scene, prompts: Sequence[CompiledPrompt]) -> list[Localization]:
    return scene.localize_many(prompts)


def _add_holds(report: PlaceReport, alone: Localization, judged: Localization, holds: bool,
               group: str) -> None:  # fmt: skip
    scores = {"scores": alone.entities[0].score}
    if judged.place_score is not None:
        scores["places"] = judged.place_score
    for way, score in scores.items():
        series = report.holds[way]
        (series.present if holds else series.absent).add(score, group)
