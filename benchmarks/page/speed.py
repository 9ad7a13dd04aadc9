"""What a frame costs, and by which runtime."""

from __future__ import annotations

from typing import Any

from benchmarks.page.format import BENCHMARKS, aimed, note, result, table
from benchmarks.page.model import speed_rows

EXACT_AIM, BF16_AIM = 2.4, 3.4
"""Times as fast as the plain modules, 1 thread."""
CORE_ROWS = {
    "sixteen_prompts_1080p": ("16 prompts at 1080p against 640×480", 1.2),
    "sixteen_prompts_4k": ("16 prompts at 4K against 640×480", 1.6),
    "four_cameras_as_a_list": ("four cameras as one list against one by one", 1.0),
}
FULL_SIZE = {"torch": "torch, float32", "onnxruntime": "onnxruntime, float32",
             "torch bfloat16": "torch, bfloat16", "openvino-bf16": "OpenVINO, bfloat16"}  # fmt: skip


def speed() -> str:
    core, album = f"{BENCHMARKS}/core.json", f"{BENCHMARKS}/album.json"
    return "\n\n".join([
        "## Speed", f"CPU, {result(core)['threads']} thread, model's own input size.", table("what | time", speed_rows()),
        note(album, result(album).get("fingerprint"), "python benchmarks/album.py --json OUT"),
        table("ratio of times | measured | at most", core_rows(result(core))),
        note(core, result(core).get("fingerprint"), "python benchmarks/core.py --json OUT"),
        *runtimes(), *full_size(),
    ])  # fmt: skip


def core_rows(core: dict[str, Any]) -> list[list[str]]:
    rows = []
    for key, (label, most) in CORE_ROWS.items():
        ratio = core[key]["fast_ms"] / core[key]["slow_ms"]
        rows.append([label, aimed(ratio, most, f"{ratio:.2f}", less=True), f"{most}"])
    return rows


def runtimes() -> list[str]:
    path = f"{BENCHMARKS}/runtime.json"
    found = result(path)
    ratios, least = found["ratios"], found["floor_ms"]
    rows = []
    for key, frame in found["frame"].items():
        threads, _, name = key.partition(" ")
        clock = "cpu_ms" if threads == "1" else "wall_ms"
        aim = {"onnxruntime": EXACT_AIM, "openvino-bf16": BF16_AIM}.get(name, 99.0)
        times = (
            aimed(ratios[key], aim, f"{ratios[key]:.2f}")
            if threads == "1"
            else f"{ratios[key]:.2f}"
        )
        rows.append([threads, name, f"{frame[clock]:.0f} ms", times,
                     f"{frame[clock] / least:.2f}" if threads == "1" else "",
                     f"{ratios['2/1 ' + name]:.2f}" if threads == "2" else ""])  # fmt: skip
    start = found["startup"]["auto"]
    return [
        f"A new frame and one prompt by each runtime, in turns. `before` is the plain modules. {found['gflop']:.1f} GFLOP "
        f"a frame and a measured peak of {found['peak_gflop_s']:.0f} GFLOP/s (float32, 1 thread) give a floor of {least:.0f} ms.",
        table(
            "threads | runtime | time | times as fast as before | over the floor | over 1 thread",
            rows,
        ),
        f"A fresh process: import {start['import_s']:.1f} s, then {start['load_and_first_answer_s']:.1f} s to the first "
        f"answer, at most {start['peak_rss_mb']:.0f} MB resident.",
        missed(found["missed"]),
        note(path, found.get("fingerprint"), "python benchmarks/runtime.py --json OUT"),
    ]


def full_size() -> list[str]:
    path = f"{BENCHMARKS}/full_size.json"
    found = result(path)
    rows = []
    for count, by_name in found["prompts"].items():
        for name, label in FULL_SIZE.items():
            if name in by_name:
                row = by_name[name]
                rows.append(
                    [count, label, f"{row['cpu_ms'] / 1e3:.2f} s", f"{row['over_reference']:.2f}"]
                )
    side = found["side_px"]
    return [
        f"The published size (`{found['model']}`, random weights, {side}×{side}) against the reference's order of computation.",
        table("prompts | by | time | times as fast as the reference's order", rows),
        missed(found["missed"]),
        f"`python benchmarks/full_size.py --json OUT` → [`{path}`](../{path}).",
    ]  # fmt: skip


def missed(sentences: list[str]) -> str:
    return f"Missed: {'; '.join(sentences)}." if sentences else "All targets are met."
