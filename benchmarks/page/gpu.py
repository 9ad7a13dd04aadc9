"""What was measured on a GPU, and on which."""

from __future__ import annotations

from benchmarks.page.format import BENCHMARKS, result, table

TIMES = ("encode_ms", "frame_1_prompt_ms", "frame_8_prompts_ms", "further_prompt_ms")


def gpu() -> str:
    path = f"{BENCHMARKS}/gpu_h200.json"
    found = result(path)
    where, parts = found["environment"], found["parts"]
    rows = [
        [name, *(f"{mode[key]:.1f}" for key in TIMES), str(mode["memory_mib"])]
        for name, mode in parts["default"]["modes"].items()
        if mode["ready"]
    ]
    training = parts["training"]
    return "\n\n".join([
        "## On a GPU",
        f"{where['card']}, torch {where['torch']}. The tests marked `gpu`: {parts['tests']['summary'].split(',')[0]}. The "
        "shipped model of then on 640×480 images; milliseconds, medians of 30.",
        table("precision | encode | frame, 1 prompt | frame, 8 prompts | a further prompt | MiB", rows),
        f"Training, {training['phase']}: {training['images_a_second']} images a second ({training['script']}). "
        f"{training['note']}",
        found["note"],
        f"`python tools/gpu_checks --out OUT` → [`{path}`](../{path}).",
    ])  # fmt: skip
