"""Pictures beside the figures: the first scenes of a split, chosen by their number alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from find_core.drawing import contact_sheet, draw_localization, write_image
from find_core.predictor import Find
from training.data.tabletop import read_split
from training.evaluation.tabletop_suite import Labelled

SHEETS = {"val": "known_kinds", "held": "held_out_kinds"}
COLUMNS = 3


def write_sheets(find: Find, root: str | Path, out: Path, count: int = 9) -> list[Path]:
    """OUT/known_kinds.jpg and OUT/held_out_kinds.jpg: a sentence of each scene and one absent thing.

    Entities that are found are drawn; every entity's score stands below, that of the absent thing
    last.
    """
    written = []
    for split, name in SHEETS.items():
        pictures = [picture(find, data) for data in read_split(root, split, count)]
        images, captions = zip(*pictures, strict=True)
        sheet = contact_sheet(images, captions, columns=COLUMNS, cell_width_px=400)
        written.append(write_image(out / f"{name}.jpg", sheet))
    return written


def picture(find: Find, data: dict[str, Any]) -> tuple[np.ndarray, str]:
    """A scene with what its prompt found, and the scores."""
    image = Labelled.read(data).image
    answer = find.encode(image).localize(prompt_of(data))
    scores = [f"{entity.label} {entity.score:.2f}" for entity in answer.entities]
    return draw_localization(image, answer), ", ".join(scores)


def prompt_of(data: dict[str, Any]) -> str:
    """The scene's first sentence with its things marked, and the first thing that is not there."""
    said = next((s["text"] for s in data["sentences"] if len(s["entities"]) > 1), "")
    absent = next((a["text"] for a in data["absent"] if a["type"] != "relation"), "")
    parts = [said, f"the <{absent}>"] if absent else [said]
    return " and ".join(part for part in parts if part)
