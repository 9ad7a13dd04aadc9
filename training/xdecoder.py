"""A start for the paper's training: the frozen vision side of a published X-Decoder file.

    python -m training.xdecoder xdecoder_focalt_last.pt --out init/
    accelerate launch -m training.train --recipe find_focalt_coco640 --set init=init/ ...

FIND trains its interface over X-Decoder's backbone and pixel decoder, which stay frozen (docs/spec.md
3.3). Both code bases name those tensors alike, so they are taken over strictly; X-Decoder's own
decoder and language encoder are left, and the interface begins afresh from the seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from find_core import checkpoint
from find_core.checkpoint.key_mapping import to_ours
from find_core.checkpoint.published import load_state, sha256_of
from find_core.encoders import build_vision
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.support.command_line import whole
from training.engine.command import ends_in_a_sentence
from training.recipes import RECIPES, recipe

FROZEN = ("vision.", "pixel_decoder.")
LLAMA_WIDTH = 4096


def convert(source: Path, out: Path, config: FindConfig, language_width: int, seed: int) -> Path:
    """Write the checkpoint folder that `init` takes; returns it.

    Raises:
        CheckpointError: not a file of plain tensors; a frozen tensor is missing or mis-shaped.
    """
    state = load_state(source)
    named = {ours: tensor for name, tensor in state.items() if (ours := to_ours(name))}
    taken = {name: tensor for name, tensor in named.items() if name.startswith(FROZEN)}
    expected = checkpoint.expected_shapes(config, language_width)
    frozen = {name: shape for name, shape in expected.items() if name.startswith(FROZEN)}
    checkpoint.check_tensors(frozen, taken, f"{source.name}'s vision side")
    torch.manual_seed(seed)
    fresh = FindModel(config, build_vision(config.vision).channels, language_width)
    tensors = {name: tensor.float() for name, tensor in (fresh.state_dict() | taken).items()}
    notes = {
        "vision_from": source.name,
        "sha256": sha256_of(source),
        "interface": f"untrained, seed {seed}",
    }
    return checkpoint.write(out, checkpoint.Checkpoint(config, tensors, notes=notes))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="e.g. xdecoder_focalt_last.pt")
    parser.add_argument("--out", required=True, type=Path, help="folder of the new checkpoint")
    parser.add_argument("--recipe", default="find_focalt_coco640", choices=sorted(RECIPES))
    parser.add_argument(
        "--language-width",
        type=whole(1),
        default=LLAMA_WIDTH,
        help="of the language model's states",
    )
    parser.add_argument("--seed", type=whole(), default=0)
    args = parser.parse_args()
    with ends_in_a_sentence("training.xdecoder"):
        model = recipe(args.recipe).model
        folder = convert(args.file, args.out, model, args.language_width, args.seed)
        print(f"{folder}: frozen vision of {args.file.name}; train with --set init={folder}")


if __name__ == "__main__":
    main()
