"""What a model's scores are fitted on after training: names of what is in images, and of what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

from find_core.predictor import Find
from find_core.prompts.prompt import Prompt
from find_core.recognition.reading import name_in
from find_core.recognition.recognizer import Recognizer
from training.data.formats.tabletop import read_split
from training.data.sources import photographs
from training.evaluation.tabletop_suite import LabelledScene

ASKED = 8
"""At most so many names of an image that are true, and so many that are not."""
FORMS = ("the <{}>", "{}", "find the <{}>")
"""What people type. The same words score less within a sentence than alone, so that a fit on words
alone would be too strict."""


ABSENT_WEIGHT = 1.75
"""Of things that are not there, in the fit of combined scores: a robot that reaches for what is not
there loses more than one that asks again."""


@dataclass(frozen=True)
class Questions:
    """One image: (H, W, 3) uint8 RGB, names of what is in it and of what is not."""

    image: np.ndarray
    there: Sequence[str]
    absent: Sequence[str]


def scene_questions(root: Path, limit: int) -> Iterator[Questions]:
    """Of rendered scenes: words, no relations."""
    for data in read_split(root, "train", limit):
        there = [p["text"] for p in data["phrases"] if p["type"] not in ("relation", "instruction")]
        absent = [a["text"] for a in data["absent"] if a["type"] != "relation"]
        yield Questions(LabelledScene.read(data).image, there[:ASKED], absent[:ASKED])


def photo_questions(root: Path, limit: int, seed: int = 0) -> Iterator[Questions]:
    """Of the twentieth of photographs that trains nothing else, as many of each set as there are."""
    records, _ = photographs(str(root), "calibration")
    rng = np.random.default_rng(seed)
    for n in rng.permutation(len(records))[:limit]:
        record = records[n]
        there = list(dict.fromkeys([*record.image_labels, *(i.name for i in record.instances)]))
        absent = [record.absent[k] for k in rng.permutation(len(record.absent))[:ASKED]]
        yield Questions(record.read()[0], there[:ASKED], absent)


def asked(scenes: Path, photos: Path | None, limit: int) -> Iterator[Questions]:
    """Of rendered scenes and of photographs together, at most `limit` images of each."""
    return chain(scene_questions(scenes, limit), photo_questions(photos, limit) if photos else ())


def scores(find: Find, questions: Iterable[Questions]) -> tuple[np.ndarray, np.ndarray]:
    """What relevance is made of, of the chosen candidates of things that are there, and of things that
    are not: cosines, combined with what is recognised where the model does that."""
    scale, bias = find.config.relevance_scale, find.config.relevance_bias
    if find.recognizer is not None:
        scale = float(find.recognizer.relevance_scale)
        bias = float(find.recognizer.relevance_bias)
    there, absent = [], []
    for question in questions:
        scene = find.encode(question.image)
        listed = [[t for t in texts if _is_scored(find, t)]
                  for texts in (question.there, question.absent)]  # fmt: skip
        texts = [*listed[0], *listed[1]]
        if not texts:
            continue
        prompts = [Prompt.parse(FORMS[n % len(FORMS)].format(t)) for n, t in enumerate(texts)]
        answers = scene.localize_many(prompts)
        relevance = np.clip([a.entities[0].score for a in answers], 1e-6, 1 - 1e-6)
        score = np.log(relevance / (1 - relevance)) / scale + bias
        there.extend(score[: len(listed[0])])
        absent.extend(score[len(listed[0]) :])
    return np.array(there), np.array(absent)


def _is_scored(find: Find, text: str) -> bool:
    """Whether this model's combined score, or else its cosine, answers these words."""
    return find.recognizer is None or name_in(text) in find.recognizer.bank_names


def fit_relevance(
    there: np.ndarray, absent: np.ndarray, absent_weight: float = 1.0
) -> dict[str, float]:
    """Platt's logistic fit with both sides weighing the same, or absent things so many times as much.

    Newton steps that were cut to a largest length could swing for ever between two points.
    """
    x = np.concatenate([there, absent])
    y = np.concatenate([np.ones(len(there)), np.zeros(len(absent))])
    share = absent_weight / (1 + absent_weight)
    weight = np.where(y > 0, (1 - share) / len(there), share / len(absent))
    middle = x.mean()  # scale and offset are then nearly independent of each other

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logit = theta[0] * (x - middle) + theta[1]
        value = float(weight @ (np.logaddexp(0.0, logit) - y * logit)) + 5e-5 * theta[0] ** 2
        slope = weight * (expit(logit) - y)
        return value, np.array([slope @ (x - middle) + 1e-4 * theta[0], slope.sum()])

    scale, offset = minimize(loss, np.array([10.0, 0.0]), jac=True, method="L-BFGS-B").x
    return {"relevance_scale": float(scale), "relevance_bias": float(middle - offset / scale)}


def calibrate_recognizer(find: Find, questions: Iterable[Questions]) -> dict[str, float]:
    """Fit the relevance of combined scores, and set it in `find.recognizer`, which must be there.

    It begins with the interface's own: which candidate is chosen depends on scores too.
    """
    assert find.recognizer is not None
    config = find.config
    set_relevance(find.recognizer, {"relevance_scale": config.relevance_scale,
                                    "relevance_bias": config.relevance_bias})  # fmt: skip
    fitted = fit_relevance(*scores(find, questions), absent_weight=ABSENT_WEIGHT)
    set_relevance(find.recognizer, fitted)
    return fitted


def set_relevance(recognizer: Recognizer, fitted: dict[str, float]) -> None:
    """Let combined scores be relevances as `fit_relevance` found."""
    recognizer.relevance_scale = torch.tensor(fitted["relevance_scale"])
    recognizer.relevance_bias = torch.tensor(fitted["relevance_bias"])
