"""What a run leaves to look at: metrics.jsonl, TensorBoard events, curves.png."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from find_core.support.files import open_own, replace_file, write_text
from find_core.support.json_text import figures_text
from training.config import RecipeError


class MetricLog:
    """Appends one JSON line per report; lines after a resumed step are dropped first."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        self.path = folder / "metrics.jsonl"
        kept = [m for m in read_metrics(self.path) if m["step"] < resume_step]
        write_text(self.path, "".join(figures_text(m) + "\n" for m in kept))
        self._board = _tensorboard(folder)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        with open_own(self.path, "a") as file:
            file.write(
                figures_text({"step": step, **{k: _short(v) for k, v in values.items()}}) + "\n"
            )
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def picture(self, name: str, image: np.ndarray, step: int) -> None:
        """(H, W, 3) uint8 RGB, for TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, image, step, dataformats="HWC")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Finished lines of a metrics file.

    Raises:
        RecipeError: a line is no JSON object with a step.
    """
    if not path.is_file():
        return []
    data = path.read_bytes()
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    try:
        found = [json.loads(line) for line in lines]
        if all(isinstance(m["step"], int) for m in found):
            return found
    except (ValueError, TypeError, KeyError):
        pass
    raise RecipeError(
        f"{path} is damaged: delete it; the run goes on, its earlier curves are lost."
    )


def draw_curves(metrics: list[dict[str, Any]], path: Path) -> None:
    """One small panel per quantity, smoothed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = sorted({k for m in metrics for k in m if k not in ("step", "seconds")})
    columns = 5
    rows = max(1, -(-len(names) // columns))
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 2.1 * rows), squeeze=False)
    for axis in axes.ravel()[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.ravel(), names, strict=False):
        points = np.array([(m["step"], m[name]) for m in metrics if name in m], float)
        axis.plot(points[:, 0], points[:, 1], lw=0.4, alpha=0.4)
        axis.plot(points[:, 0], smooth(points[:, 1]), lw=1.2)
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=6)
    figure.tight_layout()
    replace_file(path, lambda file: figure.savefig(file, dpi=90))
    plt.close(figure)


def smooth(values: np.ndarray, window: int = 9) -> np.ndarray:
    """Running mean over the last `window` values."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None  # curves.png and metrics.jsonl say the same
    return SummaryWriter(str(folder / "tensorboard"))
