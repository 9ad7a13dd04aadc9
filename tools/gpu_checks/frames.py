"""How long a frame and a prompt take, and how much memory: in fp32, bf16 and compiled."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import find_core as fc
from benchmarks.full_size import full_size_parts
from find_core.predictor import Find
from find_core.runtime.torch_runtime import TorchRuntime
from find_core.testing import tiny_find
from tools.gpu_checks.carry import TEXTS_VARIABLE
from tools.gpu_checks.questions import PROMPTS

MODES: dict[str, dict[str, Any]] = {
    "fp32": {"dtype": None},
    "bf16": {"dtype": torch.bfloat16},
    "bf16 compiled": {"dtype": torch.bfloat16, "compile": True},
}
SIZES = {"default": (480, 640), "focalt": (640, 640)}
ROUNDS = 30


def measure_model(name: str, device: str, dry: bool, until: float) -> dict[str, Any]:
    """Figures of one model in every mode that there is time for."""
    parts = parts_of(name, dry)
    height, width = (48, 64) if dry else SIZES[name]
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    figures: dict[str, Any] = {"image": [height, width], "modes": {}}
    prints = set()
    share = (until - time.monotonic()) / len(MODES)
    for n, (mode, options) in enumerate(MODES.items()):
        end = until - share * (len(MODES) - 1 - n)
        if time.monotonic() > end:
            figures["modes"][mode] = {"error": "no time left"}
            continue
        find = Find(*parts, device=device, runtime="torch", **options)
        prints.add(find.fingerprint)
        try:
            figures["modes"][mode] = measure(find, image, end, 1 if dry else ROUNDS)
        except Exception as error:  # of one mode; the others are of worth without it
            figures["modes"][mode] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    figures["identical_fingerprints"] = len(prints) == 1
    return figures


def parts_of(name: str, dry: bool) -> tuple[Any, Any, Any]:
    """Model, vision and language encoder."""
    if dry:
        find = tiny_find()
    elif name == "default":
        texts = os.environ.get(TEXTS_VARIABLE)
        find = fc.load("find-tabletop", device="cpu", language_cache=texts, runtime="torch")
    else:
        return full_size_parts("focalt")
    return find.model, find.vision, find.language


def measure(find: Find, image: np.ndarray, until: float, rounds: int) -> dict[str, Any]:
    """Median milliseconds, largest first call, and the most memory at a time."""
    on_cuda = find.device.type == "cuda"
    if on_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    prompts = [find.compile(p) for p in PROMPTS]
    find.encode(image).localize(prompts[0])
    figures: dict[str, Any] = {"first_answer_s": round(time.monotonic() - started, 2)}
    if isinstance(find.runtime, TorchRuntime):
        figures["ready"] = find.runtime.wait(max(1.0, until - time.monotonic() - 5))
        figures["ready_s"] = round(time.monotonic() - started, 2)
    scene = find.encode(image)
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: find.encode(image),
        "frame_1_prompt": lambda: find.encode(image).localize(prompts[0]),
        "frame_8_prompts": lambda: find.encode(image).localize_many(prompts),
        "further_prompt": lambda: scene.localize(prompts[0]),
    }
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(rounds + 2):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if on_cuda:
                torch.cuda.synchronize()
            if n >= 2:  # warm-up
                spent[name].append(1e3 * (time.perf_counter() - begun))
        if time.monotonic() > until and n >= 2:
            break
    figures |= {f"{name}_ms": round(statistics.median(ms), 3) for name, ms in spent.items()}
    figures["rounds"] = len(spent["encode"])
    if on_cuda:
        figures["memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return figures
