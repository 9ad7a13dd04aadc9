"""Full-size models, as published, with random weights: our order of computation and the reference's.

    python benchmarks/full_size.py --json out/full_size.json --check

focalt, 640x640, 1 and 8 prompts, one thread, processor time, all in turns in one process. "reference"
is the slow twin by our own modules: every prompt goes with the object proposals through one pass that
keeps nothing, attention masks are made from masks at 1/4 of the image, and every mask is
upsampled. The image is encoded once for all prompts, as nobody who uses the reference can.
Random weights say nothing of a model's answers, only of time and of rounding.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from find_core.runtime import process

process.prepare()  # before torch, as our entry points do

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarks.report import publish, verdict  # noqa: E402
from find_core.encoders import VisionConfig, build_vision  # noqa: E402
from find_core.encoders.tiny import TinyText  # noqa: E402
from find_core.model import interface  # noqa: E402
from find_core.model.attention_table import PROPOSALS, TokenGroup  # noqa: E402
from find_core.model.config import FindConfig  # noqa: E402
from find_core.model.find import FindModel  # noqa: E402
from find_core.model.heads import Outputs  # noqa: E402
from find_core.model.image_state import ImageState  # noqa: E402
from find_core.predictor import Find  # noqa: E402
from find_core.preprocess import logits_to_original, plan, prepare  # noqa: E402
from find_core.prompts.prompt import Prompt  # noqa: E402
from find_core.support.files import write_text  # noqa: E402
from find_core.support.json_text import figures_text  # noqa: E402

LLAMA_WIDTH = 4096
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
VISION = {"focalt": "focal_dw", "focall": "focal", "davit-d3": "davit_d3", "davit-d5": "davit_d5"}
SIDE_PX = 640
WORDS = ("mug", "plate", "red cup", "bowl", "bottle", "spoon", "box", "banana")
TARGETS = {"float32 1": 2.0, "bfloat16 1": 4.0, "float32 8": 6.0, "bfloat16 8": 10.0}
"""Least ratio to the reference's order; "float32" is the better of torch and onnxruntime."""
ROWS = {
    "float32": ("torch", "onnxruntime"),
    "bfloat16": ("torch bfloat16", "openvino-bf16"),
}


def full_size_parts(name: str) -> tuple[FindModel, Any, TinyText]:
    """Model, vision encoder and a stand-in for LLaMA (its token states are ready-made anyway)."""
    vision_config = VisionConfig(
        VISION[name], mean=MEAN, std=STD, short_side_px=SIDE_PX, max_side_px=1024
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vision: Any = build_vision(vision_config)
        for key, parameter in vision.named_parameters():
            if "gamma" in key:  # LayerScale starts at 1e-4: the branches would not show
                parameter.data.fill_(0.5)
        config = FindConfig(name=name, vision=vision_config)
        model = FindModel(config, vision.channels, LLAMA_WIDTH)
    return model.eval().requires_grad_(False), vision, TinyText(width=LLAMA_WIDTH)


@torch.inference_mode()
def reference_order(find: Find, image: np.ndarray, prompts: Sequence[str]) -> list[np.ndarray]:
    """(N, H, W) bool entity masks of each prompt; see the top."""
    model, geometry = find.model, plan(image.shape[0], image.shape[1], find.config.vision)
    batch = prepare(image, geometry, find.config.vision)[None]
    state = model.image_state(find.vision(batch))
    return [_reference_pass(find, state, geometry, prompt) for prompt in prompts]


def _reference_pass(find: Find, state: ImageState, geometry: Any, text: str) -> np.ndarray:
    model = find.model
    groups = model.sampler.interleave([find.legend(Prompt.parse(text))])
    groups |= model.sampler.segmentation(1) | model.sampler.entity_proposals(1)
    state.keys_values.clear()
    with _masks_at_full_scale():
        outputs = model(state, groups)[-1]
    rows = outputs.embeddings
    query = model.heads.semantic(rows[TokenGroup.INTERLEAVE])[0]
    similarity = query @ model.heads.semantic(rows[TokenGroup.ENTITY])[0].T
    logits = [model.masks(outputs.pixel[g], state)[0] for g in (TokenGroup.OBJECT, TokenGroup.ENTITY)]  # fmt: skip
    masks = logits_to_original(logits[1], geometry) > 0
    assert similarity.shape[0] == 1 and logits[0].shape == logits[1].shape
    return masks.numpy()


class _masks_at_full_scale:  # noqa: N801
    """Attention masks the reference's way: every proposal's mask at 1/4, resized to the level."""

    def __enter__(self) -> None:
        self._own = interface._pixel_masks
        interface._pixel_masks = _full_scale  # type: ignore[assignment]

    def __exit__(self, *_: Any) -> None:
        interface._pixel_masks = self._own


def _full_scale(
    outputs: Outputs, image: ImageState | None, level: int, previous: Any, groups: Any
) -> dict[TokenGroup, Tensor]:
    if image is None:
        return {}
    allowed = {}
    for g in PROPOSALS:
        if g in outputs.pixel:
            logits = torch.einsum("bnp,bphw->bnhw", outputs.pixel[g], image.mask_features)
            small = F.interpolate(logits, image.sizes[level], mode="bilinear", align_corners=False)
            allowed[g] = small.flatten(2).sigmoid() >= 0.5
    return {g: a | ~a.any(-1, keepdim=True) for g, a in allowed.items()}


def open_finds(name: str) -> dict[str, Find]:
    """By row; a runtime that is not there, or bfloat16 where the processor lacks it, is left out."""
    parts = full_size_parts(name)
    finds = {"torch": Find(*parts, device="cpu", runtime="torch")}
    for runtime in ("onnxruntime", "openvino-bf16"):
        made = Find(*parts, device="cpu", runtime=runtime)
        if made.runtime_name == runtime:
            finds[runtime] = made
    if _has_bf16():
        finds["torch bfloat16"] = Find(*parts, device="cpu", dtype=torch.bfloat16)
    return finds


def _has_bf16() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and "avx512_bf16" in cpu.read_text()


def measure(finds: dict[str, Find], side_px: int, rounds: int, count: int) -> dict[str, Any]:
    """Median ratio of the reference's processor time to each row's, over rounds."""
    image = np.random.default_rng(0).integers(0, 255, (side_px, side_px, 3), dtype=np.uint8)
    texts = [f"the <{word}>" for word in WORDS[:count]]
    twin = finds["torch"]
    calls: dict[str, Callable[[], Any]] = {"reference": lambda: reference_order(twin, image, texts)}
    for name, find in finds.items():
        prompts = [find.compile(text) for text in texts]
        calls[name] = lambda find=find, prompts=prompts: find.encode(image).localize_many(prompts)
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):  # `differences` has warmed them up
        for name, call in calls.items():
            begun = time.process_time()
            call()
            spent[name].append(1e3 * (time.process_time() - begun))
    return {
        name: {
            "cpu_ms": round(statistics.median(ms), 1),
            "over_reference": round(
                statistics.median(a / b for a, b in zip(spent["reference"], ms, strict=True)), 3
            ),
        }
        for name, ms in spent.items()
    }


@torch.inference_mode()
def differences(finds: dict[str, Find], side_px: int) -> dict[str, float]:
    """Largest difference of mask features from torch's plain modules, of their largest value."""
    image = np.random.default_rng(1).integers(0, 255, (side_px, side_px, 3), dtype=np.uint8)
    twin = finds["torch"]
    geometry = plan(side_px, side_px, twin.config.vision)
    batch = prepare(image, geometry, twin.config.vision)[None]
    want = twin.model.image_state(twin.vision(batch)).mask_features
    got = {name: find.encode(image).state.mask_features for name, find in finds.items()}
    return {
        name: float((maps.float() - want).abs().max() / want.abs().max())
        for name, maps in got.items()
    }


def missed(figures: dict[str, Any]) -> list[str]:
    """A sentence for each target that is missed, or cannot be measured here."""
    out = []
    for what, least in TARGETS.items():
        precision, count = what.split()
        rows = figures["prompts"].get(count, {})
        there = [rows[r]["over_reference"] for r in ROWS[precision] if r in rows]
        if not there:
            out.append(f"{what} prompts: not measured here")
        elif max(there) < least:
            out.append(f"{what} prompts: {max(there):.2f}x the reference's order, wanted {least}x")
    for name, worst in figures["differences"].items():
        if name in ROWS["float32"] and worst > 1e-4:
            out.append(f"{name} differs from the plain modules by {worst:.1e}")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See the top.")
    parser.add_argument("--model", default="focalt", choices=list(VISION))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=SIDE_PX, help="of the square image, pixels")
    parser.add_argument("--prompts", type=int, nargs="*", default=[1, 8], help="how many, up to 8")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    finds = open_finds(args.model)
    figures: dict[str, Any] = {"model": args.model, "side_px": args.side, "rounds": args.rounds}
    figures["differences"] = differences(finds, args.side)
    figures["prompts"] = {}
    for count in args.prompts:
        figures["prompts"][str(count)] = measure(finds, args.side, args.rounds, count)
        if args.json:
            write_text(args.json, figures_text(figures, indent=1) + "\n")
    figures["missed"] = missed(figures)
    publish(figures, args.json)
    return verdict(figures["missed"], args.check)


if __name__ == "__main__":
    sys.exit(main())
