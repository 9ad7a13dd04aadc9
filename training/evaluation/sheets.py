"""Images beside the figures: the first scenes of a split, chosen by their number alone, and what
each threshold of relevance finds and reports wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from find_core.drawing import contact_sheet, draw_localization, write_image
from find_core.predictor import Find
from find_core.support.files import replace_file
from training.data.formats.tabletop import read_split
from training.evaluation.tabletop_suite import LabelledScene

PRESENCE = "presence_of_things"
SPLIT_TITLES = {"known": "known kinds", "held_out": "held-out kinds"}
SHEETS = {"val": "known_kinds", "held": "held_out_kinds"}
COLUMNS = 3


def write_sheets(find: Find, root: str | Path, out: Path, count: int = 9) -> list[Path]:
    """OUT/known_kinds.jpg and OUT/held_out_kinds.jpg: a sentence of each scene and one absent object.

    Entities that are found are drawn; every entity's score stands below, that of the absent object
    last.
    """
    written = []
    for split, name in SHEETS.items():
        tiles = [answer_tile(find, data) for data in read_split(root, split, count)]
        images, captions = zip(*tiles, strict=True)
        sheet = contact_sheet(images, captions, columns=COLUMNS, cell_width_px=400)
        written.append(write_image(out / f"{name}.jpg", sheet))
    return written


def answer_tile(find: Find, data: dict[str, Any]) -> tuple[np.ndarray, str]:
    """A scene with what its prompt found, and the scores."""
    image = LabelledScene.read(data).image
    answer = find.encode(image).localize(prompt_of(data))
    scores = [f"{entity.label} {entity.score:.2f}" for entity in answer.entities]
    return draw_localization(image, answer), ", ".join(scores)


def prompt_of(data: dict[str, Any]) -> str:
    """The scene's first sentence with its objects marked, and the first object that is not there."""
    sentence = next((s["text"] for s in data["sentences"] if len(s["entities"]) > 1), "")
    absent = next((a["text"] for a in data["absent"] if a["type"] != "relation"), "")
    parts = [sentence, f"the <{absent}>"] if absent else [sentence]
    return " and ".join(part for part in parts if part)


def draw_thresholds(metrics: dict[str, Any], path: Path, default: float = 0.5) -> Path:
    """Precision against recall of "is it there", and both errors against the threshold.

    Args:
        figures: of the tabletop suite. default: threshold that is marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for color, (split_name, name) in zip(("C0", "C1"), SPLIT_TITLES.items(), strict=True):
        presence = metrics[split_name].get(PRESENCE, {})
        curve = {k: np.array(v) for k, v in presence.get("by_threshold", {}).items()}
        if not curve:
            continue
        count = presence["auc"]
        hits = curve["found"] * count["present"]
        precision = hits / np.maximum(hits + curve["false_alarms"] * count["absent"], 1e-9)
        label = f"{name}: {count['present']} there, {count['absent']} not"
        left.plot(curve["found"], precision, ".-", color=color, label=label)
        marked = int(np.abs(curve["threshold"] - default).argmin())
        left.plot(curve["found"][marked], precision[marked], "o", color=color, ms=9, mfc="none")
        right.plot(curve["threshold"], curve["found"], color=color, label=f"{name}: found")
        right.plot(curve["threshold"], curve["false_alarms"], "--", color=color,
                   label=f"{name}: false alarms")  # fmt: skip
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02),
             title=f"is it there at all? (circles: threshold {default:g})")  # fmt: skip
    right.set(xlabel="threshold of relevance", ylabel="share", ylim=(0, 1.02))
    right.axvline(default, color="0.8", zorder=0)
    left.legend(loc="lower left")
    right.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), ncol=2)
    replace_file(path, lambda temporary: figure.savefig(temporary, dpi=110))
    return path
