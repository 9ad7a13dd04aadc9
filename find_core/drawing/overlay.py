"""Masks, boxes and labels over the image that was localized.

Nothing is told by colour alone: each mask carries a text label and an outline.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from find_core.drawing.palette import DARK, entity_color
from find_core.drawing.text import draw_label, text_coverage, text_size_px
from find_core.errors import ImageError
from find_core.images import check_image
from find_core.results import Instance, Localization


def draw_localization(
    image: np.ndarray, localization: Localization, *, header: str = "", alpha: float = 0.45
) -> np.ndarray:
    """Masks, boxes and labels of the found entities over an image.

    Args:
        image: (H, W, 3) uint8 RGB, the image that was localized; left as it is.
        localization: what `Scene.localize` or `StreamLocalizer.update` answered.
        header: a line of text for the top edge, e.g. the instruction and its relevance.
        alpha: weight of the mask's colour, 0 to 1.

    Returns:
        (H, W, 3) uint8 RGB. Entities that were not found are not drawn.

    Raises:
        ImageError: the localization belongs to an image of another size.
    """
    canvas = check_image(image).copy()
    height, width = canvas.shape[:2]
    if (localization.height, localization.width) != (height, width):
        raise ImageError(
            f"The localization is of a {localization.width}x{localization.height} image, this one "
            f"is {width}x{height}: draw it over the image that was localized."
        )
    marks = [
        (instance, entity_color(k), label_of(entity.label, instance))
        for k, entity in enumerate(localization.entities)
        if entity.found
        for instance in (entity.instances or (entity,))
    ]
    marks.sort(key=lambda mark: mark[0].score)  # the best ends on top
    for instance, color, _ in marks:
        _blend_mask(canvas, instance.mask, color, alpha)
    taken: list[tuple[int, int, int, int]] = []
    if header:
        taken.append(draw_label(canvas, header, (0, 0), DARK))
    for instance, color, text in reversed(marks):  # the best chooses its label's place first
        _draw_box(canvas, instance.box_xyxy, color)
        taken.append(_place_label(canvas, text, instance.box_xyxy, color, taken))
    return canvas


def label_of(label: str, instance: Instance) -> str:
    """'mug #3 0.91': name, track id when there is one, score."""
    track = "" if instance.track_id is None else f" #{instance.track_id}"
    return f"{label}{track} {instance.score:.2f}"


def _blend_mask(canvas: np.ndarray, mask: np.ndarray, color: Sequence[int], alpha: float) -> None:
    """Tint `mask` and outline it, in place; only its bounding rectangle is touched."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if w == 0 or h == 0:
        return
    inside = mask[y : y + h, x : x + w]
    patch = canvas[y : y + h, x : x + w]
    tinted = cv2.addWeighted(patch, 1 - alpha, np.full_like(patch, color), alpha, 0)
    patch[inside] = tinted[inside]
    outlines, _ = cv2.findContours(
        inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y)
    )
    line_px = max(1, round(min(canvas.shape[:2]) / 320))
    cv2.drawContours(canvas, outlines, -1, DARK, line_px + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, outlines, -1, tuple(color), line_px, cv2.LINE_AA)


def _draw_box(canvas: np.ndarray, box_xyxy: np.ndarray, color: Sequence[int]) -> None:
    x1, y1, x2, y2 = np.round(box_xyxy).astype(int)
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), tuple(color), 1)


def _place_label(
    canvas: np.ndarray,
    text: str,
    box_xyxy: np.ndarray,
    color: Sequence[int],
    taken: list[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """Label above the box, else below, else inside: the first place nothing else is written."""
    height, width = canvas.shape[:2]
    h, w = text_coverage(text, text_size_px(canvas)).shape
    x1, y1, _, y2 = np.round(box_xyxy).astype(int)
    places = [(x1, y1 - h), (x1, y2), (x1, y1), (x1, y2 - h)] + [
        (x1, y1 + k * h) for k in (2, 3, 4)
    ]
    for x, y in places:
        x = int(np.clip(x, 0, max(width - w, 0)))
        if 0 <= y <= height - h and not any(
            x < b[2] and b[0] < x + w and y < b[3] and b[1] < y + h for b in taken
        ):
            return draw_label(canvas, text, (x, y), color)
    return draw_label(canvas, text, places[0], color)
