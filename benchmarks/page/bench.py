"""FIND-Bench: the shipped model between an oracle and a blind model, and the floors that run here."""

from __future__ import annotations

from typing import Any

from benchmarks.page.format import ROOT, TRAINING, measured_with, result, table

FOLDER = f"{TRAINING}/bench"
SUITES = {
    "segmentation": ("Segmentation, classes by name", ("pq", "sq", "rq", "mask_ap", "miou", "pixel_accuracy")),
    "segmentation-description": ("… by description", ("pq", "sq", "rq", "mask_ap", "miou", "pixel_accuracy")),
    "segmentation-visual": ("… by visual example", ("pq", "sq", "rq", "mask_ap", "miou", "pixel_accuracy")),
    "entity": ("Phrases, all text", ("all.ciou", "all.miou", "all.p50")),
    "entity-interleaved": ("Phrases, half of them strokes", ("all.ciou", "all.miou", "text.miou", "visual.miou", "all.p50")),
    "interactive": ("Interactive", ("point.miou", "circle.miou", "scribble.miou", "polygon.miou", "box.miou", "noc.noc50", "noc.noc80", "noc.noc90")),
    "retrieval": ("Image-text retrieval, captions", ("one_text.ir1", "one_text.tr1", "five_texts.ir1", "five_texts.ir5", "five_texts.tr1", "five_texts.tr5")),
    "retrieval-entity": ("Image-text retrieval, class-name sentences", ("one_text.ir1", "one_text.ir5", "one_text.tr1", "one_text.tr5")),
    "interleaved-retrieval-entity": ("Interleaved retrieval", ("references_left_out.ir5", "references_left_out.ir10", "references_left_out.tr5", "references_kept.ir5", "references_kept.ir10")),
}  # fmt: skip
REMARKS = {
    "segmentation": "The probe is a linear classifier of the same frozen encoder's cells, fitted on the set's 100 training "
    "images: what the encoder knows without FIND.",
    "retrieval": "The shipped model was trained on these images and captions: its figures say what it "
    "remembers, not what it would find elsewhere.",
}
MODELS = ("find", "oracle", "blind", "ridge", "probe")


def bench() -> str:
    """The section; a run that is not stored is left out."""
    parts = [
        "## FIND-Bench", "The paper's tables on the miniature sets, in percent (NoC: clicks, at most the number given) "
        "with 95 % intervals; images are resampled. The oracle is told the answer, the blind model sees the question "
        "alone. Sentences are class names (`bench.interleave --template`), not FIND-Bench's, and stand-ins are ours: "
        "these figures do not compare with the paper's. A handful of images gives wide intervals.",
    ]  # fmt: skip
    for name, (title, columns) in SUITES.items():
        runs = {m: p for m in MODELS if (ROOT / (p := f"{FOLDER}/{m}-{name}.json")).is_file()}
        if runs:
            parts += [f"### {title}", _table(runs, columns), _note(name, runs)]
    parts.append(
        f"The paper's ablations were run at a very small scale, to show the command: [a page of their own](ablations.md), "
        f"[`{TRAINING}/ablations.json`](../{TRAINING}/ablations.json)."
    )
    return "\n\n".join(parts)


def _table(runs: dict[str, str], columns: tuple[str, ...]) -> str:
    rows = []
    for path in runs.values():
        run = result(path)
        rows.append([run["model"], *(_cell(run["figures"], column) for column in columns)])
    heads = [c.removeprefix("noc.").replace("_", " ").replace(".", ": ") for c in columns]
    return table(" | ".join(["model", *heads]), rows)


def _cell(figures: Any, path: str) -> str:
    for key in path.split("."):
        figures = figures.get(key, {})
    if figures.get("value") is None:
        return ""
    scale = 1 if path.startswith("noc.") else 100
    value, low, high = (f"{scale * figures[k]:.1f}" for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _note(name: str, runs: dict[str, str]) -> str:
    first = result(next(iter(runs.values())))
    limit = f" --limit {first['limit']}" if first["limit"] else ""
    links = ", ".join(f"[`{path}`](../{path})" for path in runs.values())
    notes = " ".join(n for n in first["notes"] if not n.startswith("References:"))
    model = f" find: {measured_with(first['fingerprint'])}." if "find" in runs else ""
    return (
        f"`python -m training.evaluate --suite bench-{name}{limit} --data {first['data']}` → {links}. "
        f"{notes}{model} {REMARKS.get(name, '')}".rstrip()
    )
