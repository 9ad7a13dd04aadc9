"""Turn a run into a checkpoint that `find_core.load` takes.

    python -m training.export --run runs/tabletop --out find_core/share/find-tabletop \\
        --calibrate DATA/calibration

Calibration fits score = sigmoid(scale * (cos - bias)) on scenes of the training distribution
rendered with other seeds, never on val: things that are there against things that are not.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from find_core import checkpoint
from find_core.encoders import build_language, build_vision
from find_core.errors import CheckpointError
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.places.store import carry_places, load_places
from find_core.predictor import Find
from find_core.recognition.recognizer import Recognizer
from find_core.recognition.store import RECOGNIZER_FILE, load_recognizer, save_recognizer
from find_core.support.command_line import fraction, whole
from training.config import override
from training.engine.build import start_from
from training.engine.checkpoints import load_config, load_weights, mix
from training.engine.command import ends_in_a_sentence
from training.evaluation.calibration import asked, calibrate_recognizer, fit_relevance, scores


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
    recognizer: Path | None = None,
) -> dict[str, float]:
    """Write config.json, model.safetensors and what stands beside them; returns the calibration.

    Args:
        calibrate, photos: folders of rendered scenes and of photographs to calibrate on together;
            at most `limit` images of each.
        keep, of: share of another checkpoint's weights, of the same sizes, in the result.
        places: judge of places (`training.places.train`) to put beside the weights; None: the
            packaged model's, where it was made for the same language model.
        recognizer: recogniser (`training.recognition.train`) to put beside the weights, its scores
            fitted anew; None: the packaged model's, where it was made for the same encoders.
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
        fitted = fit_relevance(*scores(find, asked(calibrate, photos, limit)))
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
    beside = recognizer_of(recognizer, config.model)
    if beside is not None:
        if calibrate is not None:
            find = Find(model, vision, language, device="cpu", recognizer=beside)
            calibrate_recognizer(find, asked(calibrate, photos, limit))
        save_recognizer(out / RECOGNIZER_FILE, beside, config.model.vision, config.model.language)
    if places is None:
        carry_places(checkpoint.resolve("find-tabletop"), out, config.model.language)
    elif not carry_places(places, out, config.model.language):
        load_places(places, config.model.language)  # says what is wrong with it
    return fitted


def recognizer_of(given: Path | None, config: FindConfig) -> Recognizer | None:
    """The recogniser to put beside the weights; the packaged one only where it fits.

    Raises:
        CheckpointError: the given one does not fit.
    """
    if given is not None:
        return load_recognizer(given, config.vision, config.language)
    packaged = checkpoint.resolve("find-tabletop") / RECOGNIZER_FILE
    try:
        return load_recognizer(packaged, config.vision, config.language)
    except CheckpointError:
        return None


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
    parser.add_argument("--recognizer", type=Path, help="recogniser to put beside the weights")
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
                        args.photos, args.places, args.keep, args.of, args.recognizer)  # fmt: skip
        print(f"{args.out}: {fitted or 'not calibrated'}")


if __name__ == "__main__":
    main()
