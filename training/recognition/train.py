"""Train the recogniser of a checkpoint: what the frozen encoder sees under masks, by name.

    python -m training.recognition.train --photos DATA/photos --tabletop DATA/tabletop \\
        --calibrate DATA/calibration --out find_core/share/find-tabletop/recognizer.safetensors

About ten minutes of one core, nearly all of it encoding. It learns from photographs that may feed
shipped weights, without the held-out tenth and the calibration twentieth, and from rendered scenes. It
depends on the encoders alone: after more training of the interface only its scores are fitted anew
(`training.export`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

import find_core as fc
from find_core.recognition.reading import mean_tokens
from find_core.recognition.store import save_recognizer
from find_core.support.command_line import whole
from training.data.formats.tabletop import read_split
from training.data.sources import photographs
from training.engine.command import ends_in_a_sentence
from training.evaluation.calibration import asked, calibrate_recognizer
from training.recognition.examples import photo_regions, scene_regions
from training.recognition.learning import FitSettings, learn


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--model", default="find-tabletop", help="whose proposals and encoders")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--tabletop", type=Path, required=True, help="folder of rendered scenes")
    parser.add_argument("--calibrate", type=Path, required=True, help="scenes with other seeds")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photographs", type=whole(1), default=10**6, help="at most so many")
    parser.add_argument("--scenes", type=whole(1), default=600, help="at most so many")
    parser.add_argument("--limit", type=whole(1), default=60, help="images of each to calibrate on")
    parser.add_argument("--steps", type=whole(1), default=FitSettings.steps)
    parser.add_argument("--seed", type=whole(0), default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with ends_in_a_sentence("training.recognition.train"):
        print(train(args))


def train(args: argparse.Namespace) -> str:
    """Collect, fit, calibrate, write; a sentence on what was made."""
    find = fc.load(args.model, device="cpu", recognition=False)
    records, _ = photographs(str(args.photos))
    order = np.random.default_rng(args.seed).permutation(len(records))[: args.photographs]
    scenes = read_split(args.tabletop, "train", args.scenes)
    regions = list(photo_regions(find, track([records[n] for n in order], "Photographs")))
    regions += scene_regions(find, track(scenes, "Rendered scenes"))
    numbers = FitSettings(steps=args.steps)
    recognizer = learn(regions, lambda name: mean_tokens(find.language, name), numbers, args.seed)
    find.recognizer = recognizer
    fitted = calibrate_recognizer(find, asked(args.calibrate, args.photos, args.limit))
    config = find.config
    notes = {"script": "python -m training.recognition.train", "seed": args.seed, "regions": len(regions),
             "photographs": len(order), "scenes": len(scenes), "calibration": fitted}  # fmt: skip
    save_recognizer(args.out, recognizer, config.vision, config.language, notes)
    return f"{args.out}: {len(recognizer.bank_names)} names from {len(regions)} regions, {fitted}"


if __name__ == "__main__":
    main()
