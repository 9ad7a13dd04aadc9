"""Every suite by its name, and one run of one: figures as JSON, a report where one is wanted."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.evaluation.bench.grounding import run_entities, run_referring
from training.evaluation.bench.interactive import run_interactive
from training.evaluation.bench.options import Options, Outcome
from training.evaluation.bench.report import write_report
from training.evaluation.bench.retrieval import run_interleaved, run_retrieval
from training.evaluation.bench.segmentation import run_segmentation

Suite = Callable[[Any, Options], Outcome]
SCHEMA = 1

SUITES: dict[str, Suite] = {
    "bench-segmentation": run_segmentation,
    "bench-segmentation-description": functools.partial(run_segmentation, by="description"),
    "bench-segmentation-visual": functools.partial(run_segmentation, by="visual"),
    "bench-refcoco": run_referring,
    "bench-entity": functools.partial(run_entities, which="entity"),
    "bench-entity-interleaved": functools.partial(run_entities, which="entity", interleaved=True),
    "bench-paragraph": functools.partial(run_entities, which="paragraph"),
    "bench-paragraph-interleaved": functools.partial(run_entities, which="paragraph", interleaved=True),
    "bench-interactive": run_interactive,
    "bench-retrieval": run_retrieval,
    "bench-retrieval-entity": functools.partial(run_retrieval, which="entity"),
    "bench-retrieval-paragraph": functools.partial(run_retrieval, which="paragraph"),
    "bench-interleaved-retrieval-entity": functools.partial(run_interleaved, which="entity"),
    "bench-interleaved-retrieval-paragraph": functools.partial(run_interleaved, which="paragraph"),
}  # fmt: skip


def run_bench(
    suite: str, model: Any, options: Options, report: Path | None = None
) -> dict[str, Any]:
    """The suite's figures with what they were measured on and how.

    Args:
        suite: one of `SUITES`. report: folder for report.md, report.html and report.json.

    Raises:
        FindError: the model lacks what the suite needs. ImageError: the data are not there.
    """
    started = time.monotonic()
    outcome = SUITES[suite](model, options)
    result = {
        "schema": SCHEMA, "suite": suite, "model": model.name, "fingerprint": model.fingerprint,
        "input_px": getattr(model, "input_px", None),
        "data": options.root.resolve().name, "split": options.split, "limit": options.limit,
        "seed": options.seed, "seconds": round(time.monotonic() - started, 1),
        "notes": [*outcome.notes, *getattr(model, "notes", ())],
        "figures": outcome.figures, "drawn": outcome.drawn,
    }  # fmt: skip
    if report is not None:
        write_report(result, options.cases, report)
    return result
