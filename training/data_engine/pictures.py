"""Sheets of sentences with their segments, and of the stand-ins that show their phrases elsewhere."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.drawing.contact_sheet import resize_to_width
from find_core.drawing.overlay import draw_localization
from find_core.drawing.text import text_coverage
from find_core.masks import box_of_mask
from find_core.results import Entity, Localization
from training.evaluation.bench.interleave import SHOWN_BELOW
from training.evaluation.bench.sources import PanopticImage, PanopticSet

WIDTH_PX, HEIGHT_PX, SMALL_PX, TEXT_PX, GAP_PX = 520, 320, 120, 14, 8
CHARS, IN_A_ROW = 68, 4


def sheet(
    annotations: Sequence[Mapping[str, Any]], labelled: PanopticSet, columns: int = 2
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of sentences: image with masks, stand-ins beside, the sentence below."""
    by_id = {i.image_id: i for i in labelled.images}
    cells = [_cell(annotation, by_id) for annotation in annotations]
    width = max(c.shape[1] for c in cells)
    rows = []
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        height = max(c.shape[0] for c in row)
        padded = [_padded(c, height, width) for c in row]
        padded += [np.full_like(padded[0], 255)] * (columns - len(row))
        rows.append(np.hstack(padded))
    return np.vstack(rows)


def spread_out(annotations: Sequence[Any], count: int) -> list[Any]:
    """So many of them, evenly over all."""
    places = np.linspace(0, len(annotations) - 1, min(count, len(annotations))).round().astype(int)
    return [annotations[k] for k in places]


def write_sheet(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def _cell(annotation: Mapping[str, Any], by_id: Mapping[int, PanopticImage]) -> np.ndarray:
    image = by_id[int(annotation["image_id"])]
    pixels, truth = image.read()
    phrases = annotation["phrase"]
    masks = [truth.id_map == int(p["annotation_id"]) for p in phrases]
    drawn = _drawn(pixels, [p["phrase"] for p in phrases], masks)
    picture = resize_to_width(drawn, min(WIDTH_PX, HEIGHT_PX * pixels.shape[1] // pixels.shape[0]))
    others = [_stand_in(p, by_id) for p in phrases if "reference" in p]
    text = f"{annotation['image_id']}: {annotation['sentence_raw']}"
    parts = [_padded(picture, picture.shape[0], WIDTH_PX), _text(text, WIDTH_PX + GAP_PX)]
    for start in range(0, len(others), IN_A_ROW):
        row = others[start : start + IN_A_ROW]
        height = max(o.shape[0] for o in row)
        small = np.hstack([_padded(o, height, SMALL_PX) for o in row])
        parts.append(_padded(small, height + GAP_PX, WIDTH_PX)[: height + GAP_PX])
    return np.vstack(parts)


def _stand_in(phrase: Mapping[str, Any], by_id: Mapping[int, PanopticImage]) -> np.ndarray:
    reference = phrase["reference"]
    pixels, truth = by_id[int(reference["image_id"])].read()
    mask = truth.id_map == int(reference["annotation_id"])
    shown = "shown" if reference["prob"] < SHOWN_BELOW else "not shown"
    small = resize_to_width(_drawn(pixels, [""], [mask]), SMALL_PX)
    words = f"{phrase['phrase'][:14]} {reference.get('cosine', 0):.2f}, {shown}"
    return np.vstack([small, _text(words, SMALL_PX, chars=16)])


def _drawn(image: np.ndarray, labels: Sequence[str], masks: Sequence[np.ndarray]) -> np.ndarray:
    entities = tuple(
        Entity(1.0, mask, box_of_mask(mask), np.zeros(1, np.float32), label=label, found=bool(mask.any()))
        for label, mask in zip(labels, masks, strict=True)
    )  # fmt: skip
    return draw_localization(image, Localization(1.0, entities, *image.shape[:2]))


def _text(text: str, width: int, chars: int = CHARS) -> np.ndarray:
    lines = []
    for line in textwrap.wrap(text, chars) or [""]:
        ink = text_coverage(line, TEXT_PX)[:, :width]
        canvas = np.full((ink.shape[0] + 2, width, 3), 255, np.uint8)
        canvas[: ink.shape[0], : ink.shape[1]] = 255 - ink[..., None]
        lines.append(canvas)
    return np.vstack(lines)


def _padded(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image on white, top left, with a gap at its right and bottom."""
    canvas = np.full((height + GAP_PX, width + GAP_PX, 3), 255, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas
