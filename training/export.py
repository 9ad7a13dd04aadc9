"""Turn a run into a checkpoint that `find_core.load` takes.

    python -m training.export --run runs/tabletop --out find_core/share/find-tabletop \\
        --calibrate DATA/calibration

Calibration fits score = sigmoid(scale * (cos - bias)) on scenes of the training distribution
rendered with other seeds, never on val: things that are there against things that are not.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

from find_core import checkpoint
from find_core.encoders import build_language, build_vision
from find_core.model.find import FindModel
from find_core.places.store import carry_places, load_places
from find_core.predictor import Find
from find_core.prompts.prompt import Prompt
from find_core.support.command_line import fraction, whole
from training.config import override
from training.data.formats.tabletop import read_split
from training.data.sources import photographs
from training.engine.build import start_from
from training.engine.checkpoints import load_config, load_weights, mix
from training.engine.command import ends_in_a_sentence
from training.evaluation.tabletop_suite import LabelledScene

ASKED = 8
"""At most so many names of an image that are true, and so many that are not."""
FORMS = ("the <{}>", "{}", "find the <{}>")
"""What people type. The same words score less within a sentence than alone, so that a fit on words
alone would be too strict."""


def export(
    run: Path,
    out: Path,
    weights: str,
    calibrate: Path | None,
    limit: int,
    settings: Sequence[str] = (),
    photos: Path | None = None,
    places: Path | None = None,
    keep: float = 0.0,
    of: str = "find-tabletop",
) -> dict[str, float]:
    """Write config.json, model.safetensors and places.safetensors; returns the calibration.

    Args:
        calibrate, photos: folders of rendered scenes and of photographs to calibrate on together;
            at most `limit` images of each.
        keep, of: share of another checkpoint's weights, of the same sizes, in the result.
        places: judge of places (`training.places.train`) to put beside the weights; None: the
            packaged model's, where it was made for the same language model.
    """
    config = override(load_config(run), list(settings))
    vision, language = build_vision(config.model.vision), build_language(config.model.language)
    model = FindModel(config.model, vision.channels, language.width)
    trained = load_weights(run / f"{weights}.safetensors")
    if keep:
        trained = mix(checkpoint.read(checkpoint.resolve(of)).tensors, trained, keep)
    start_from(model, trained, str(run))
    fitted: dict[str, float] = {}
    if calibrate is not None:
        find = Find(model, vision, language, device="cpu")
        questions = [scene_questions(calibrate, limit)]
        questions += [photo_questions(photos, limit)] if photos is not None else []
        fitted = fit_relevance(*cosines(find, chain(*questions)))
        model.config = dataclasses.replace(
            config.model,
            relevance_scale=fitted["relevance_scale"],
            relevance_bias=fitted["relevance_bias"],
        )
    notes = {"recipe": config.name, "seed": config.seed, "steps": config.optim.steps,
             "script": "python -m training.train", "calibration": fitted}  # fmt: skip
    if keep:
        notes["kept"] = {"share": keep, "of": of}
    checkpoint.save(out, model, vision, language, dtype=torch.float16, notes=notes)
    if places is None:
        carry_places(checkpoint.resolve("find-tabletop"), out, config.model.language)
    elif not carry_places(places, out, config.model.language):
        load_places(places, config.model.language)  # says what is wrong with it
    return fitted


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


def cosines(find: Find, questions: Iterable[Questions]) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of the chosen candidates of things that are there, and of things that are not."""
    config = find.config
    there, absent = [], []
    for question in questions:
        scene = find.encode(question.image)
        texts = [*question.there, *question.absent]
        asked = [Prompt.parse(FORMS[n % len(FORMS)].format(t)) for n, t in enumerate(texts)]
        answers = scene.localize_many(asked)
        scores = np.clip([a.entities[0].score for a in answers], 1e-6, 1 - 1e-6)
        cosine = np.log(scores / (1 - scores)) / config.relevance_scale + config.relevance_bias
        there.extend(cosine[: len(question.there)])
        absent.extend(cosine[len(question.there) :])
    return np.array(there), np.array(absent)


def fit_relevance(there: np.ndarray, absent: np.ndarray) -> dict[str, float]:
    """Platt's logistic fit with both sides weighing the same.

    Newton steps that were cut to a largest length could swing for ever between two points.
    """
    x = np.concatenate([there, absent])
    y = np.concatenate([np.ones(len(there)), np.zeros(len(absent))])
    weight = np.where(y > 0, 0.5 / len(there), 0.5 / len(absent))
    middle = x.mean()  # scale and offset are then nearly independent of each other

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logit = theta[0] * (x - middle) + theta[1]
        value = float(weight @ (np.logaddexp(0.0, logit) - y * logit)) + 5e-5 * theta[0] ** 2
        slope = weight * (expit(logit) - y)
        return value, np.array([slope @ (x - middle) + 1e-4 * theta[0], slope.sum()])

    scale, offset = minimize(loss, np.array([10.0, 0.0]), jac=True, method="L-BFGS-B").x
    return {"relevance_scale": float(scale), "relevance_bias": float(middle - offset / scale)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--weights", default="last", choices=("last", "best"))
    parser.add_argument("--calibrate", type=Path, help="folder of scenes with other seeds")
    parser.add_argument("--photos", type=Path, help="calibrate on these photographs too")
    parser.add_argument("--places", type=Path, help="judge of places to put beside the weights")
    parser.add_argument(
        "--keep", type=fraction, default=0.0,
        help="share of the weights of --of in the result: what those know stays known",
    )  # fmt: skip
    parser.add_argument("--of", default="find-tabletop", help="what the run began from")
    parser.add_argument(
        "--limit", type=whole(1), default=60, help="scenes, and photographs, of each"
    )
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="e.g. model.selection=score"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    with ends_in_a_sentence("training.export"):
        fitted = export(args.run, args.out, args.weights, args.calibrate, args.limit, args.set,
                        args.photos, args.places, args.keep, args.of)  # fmt: skip
        print(f"{args.out}: {fitted or 'not calibrated'}")


if __name__ == "__main__":
    main()
