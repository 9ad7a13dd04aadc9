"""Pictures of results: overlays, contact sheets, timelines.

The palette is Okabe and Ito's, distinguishable with every common colour blindness; nothing is told
by colour alone (each mask carries a text label and an outline). Text is set with Pillow, so that
labels in other alphabets stay readable; everything else is OpenCV on copies of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from find_core.errors import ImageError
from find_core.files import replace_file
from find_core.images import check_image
from find_core.results import Instance, Localization

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from find_core.video.timeline import Interval

# Okabe & Ito (2008) without black, RGB; first the pairs that differ most in lightness.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermillion
    (204, 121, 167),  # reddish purple
)
DARK, LIGHT = (20, 20, 20), (250, 250, 250)


@dataclass(frozen=True, eq=False)
class TimelineCurve:
    """One row of a timeline: a prompt's relevance, raw and smoothed (N,), and its intervals."""

    label: str
    raw: np.ndarray
    smoothed: np.ndarray
    intervals: Sequence[Interval]
    threshold: float = 0.5


def entity_color(index: int) -> tuple[int, int, int]:
    """RGB of the entity at `index` of a prompt, the same in every picture."""
    return PALETTE[index % len(PALETTE)]


def draw_localization(
    image: np.ndarray, localization: Localization, *, header: str = "", alpha: float = 0.45
) -> np.ndarray:
    """Masks, boxes and labels of the found entities over a picture.

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


@lru_cache(maxsize=8)
def _font(size_px: int) -> Any:
    """DejaVu Sans where matplotlib brings it (many alphabets), else Pillow's own font."""
    from PIL import ImageFont

    try:
        import matplotlib

        path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
        return ImageFont.truetype(str(path), size_px)
    except (ImportError, OSError):
        return ImageFont.load_default(size_px)


@lru_cache(maxsize=256)
def _text_alpha(text: str, size_px: int) -> np.ndarray:
    """(h, w) uint8 coverage of a line of text, with its padding."""
    from PIL import Image, ImageDraw

    font, pad = _font(size_px), max(2, size_px // 5)
    text = "".join(c if c.isprintable() else " " for c in text)  # line breaks, control characters
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    size = (int(right - left) + 2 * pad, ascent + descent + pad)
    picture = Image.new("L", size, 0)
    ImageDraw.Draw(picture).text((pad - left, pad // 2), text, fill=255, font=font)
    return np.asarray(picture)


def _text_size_px(canvas: np.ndarray) -> int:
    return int(np.clip(min(canvas.shape[:2]) / 26, 11, 36))


def draw_label(
    canvas: np.ndarray, text: str, xy: tuple[int, int], color: Sequence[int]
) -> tuple[int, int, int, int]:
    """Write `text` on a filled rectangle, in place, moved to lie inside the canvas.

    Returns:
        (x1, y1, x2, y2), the pixels it covers.
    """
    coverage = _text_alpha(text, _text_size_px(canvas))[: canvas.shape[0], : canvas.shape[1]]
    h, w = coverage.shape
    x = int(np.clip(xy[0], 0, canvas.shape[1] - w))
    y = int(np.clip(xy[1], 0, canvas.shape[0] - h))
    ink = DARK if np.dot(color, (0.299, 0.587, 0.114)) > 110 else LIGHT
    weight = coverage[..., None].astype(np.float32) / 255
    plate = np.asarray(color, np.float32) * (1 - weight) + np.asarray(ink, np.float32) * weight
    canvas[y : y + h, x : x + w] = plate.astype(np.uint8)
    return x, y, x + w, y + h


def _place_label(
    canvas: np.ndarray,
    text: str,
    box_xyxy: np.ndarray,
    color: Sequence[int],
    taken: list[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """Label above the box, else below, else inside: the first place nothing else is written."""
    height, width = canvas.shape[:2]
    h, w = _text_alpha(text, _text_size_px(canvas)).shape
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


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    *,
    columns: int | None = None,
    cell_width_px: int = 320,
) -> np.ndarray:
    """Pictures in rows with a caption under each, (H, W, 3) uint8 RGB.

    Args:
        images: each (h, w, 3) uint8 RGB, of any size. captions: one a picture.
        columns: pictures in a row; None chooses at most five.
    """
    if not len(images) or len(images) != len(captions):
        raise ImageError(
            f"A contact sheet needs pictures and one caption each, got {len(images)} and "
            f"{len(captions)}."
        )
    columns = columns or min(5, len(images))
    aspect = max(im.shape[0] / im.shape[1] for im in images)
    cell_h, text_px = max(1, round(cell_width_px * aspect)), 14
    caption_h = _text_alpha("Ag", text_px).shape[0] + 4
    rows = -(-len(images) // columns)
    gap = 6
    sheet = np.full(
        (rows * (cell_h + caption_h + gap) + gap, columns * (cell_width_px + gap) + gap, 3),
        255,
        np.uint8,
    )
    for n, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top = gap + (n // columns) * (cell_h + caption_h + gap)
        left = gap + (n % columns) * (cell_width_px + gap)
        small = resize_to_width(image, cell_width_px)
        sheet[top : top + small.shape[0], left : left + cell_width_px] = small
        ink = 255 - _text_alpha(caption, text_px)[:caption_h, :cell_width_px]
        spot = sheet[top + cell_h + 2 :, left:][: ink.shape[0], : ink.shape[1]]
        spot[:] = np.minimum(spot, ink[..., None])
    return sheet


def resize_to_width(image: np.ndarray, width_px: int) -> np.ndarray:
    """(h, w, 3) uint8 scaled to `width_px` pixels wide, aspect kept."""
    height_px = max(1, round(image.shape[0] * width_px / image.shape[1]))
    return cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)


def write_image(path: str | Path, image: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG by the suffix, atomically."""
    path = Path(path)
    good, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not good:
        raise ImageError(f"Cannot write {path.name}: give a name that ends in .png or .jpg.")
    replace_file(path, lambda file: file.write_bytes(data.tobytes()), ImageError)
    return path


def timeline_png(
    path: str | Path,
    times_s: Sequence[float] | np.ndarray,
    curves: Sequence[TimelineCurve],
    *,
    thumbnails: Sequence[tuple[float, np.ndarray]] = (),
    title: str = "",
) -> Path:
    """Write the relevance curves with their intervals, one row a prompt, thumbnails above.

    Args:
        times_s: (N,) seconds.
        curves: one per prompt.
        thumbnails: (time_s, (h, w, 3) uint8 RGB), shown above the time they belong to.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(curves) + bool(thumbnails)
    figure = Figure(figsize=(12, 1.5 + 1.9 * rows), layout="constrained")
    axes = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    if thumbnails:
        _thumbnail_row(axes.pop(0), thumbnails, times_s)
    for k, (ax, curve) in enumerate(zip(axes, curves, strict=True)):
        _curve_row(ax, np.asarray(times_s, np.float64), curve, entity_color(k))
    axes[-1].set_xlabel("time, seconds")
    figure.suptitle(title)
    path = Path(path)
    FigureCanvasAgg(figure)
    replace_file(path, lambda file: figure.savefig(file, format="png", dpi=100), ImageError)
    return path


def _curve_row(ax: Axes, times_s: np.ndarray, curve: TimelineCurve, rgb: Sequence[int]) -> None:
    color = [c / 255 for c in rgb]
    ax.plot(times_s, curve.raw, color="0.6", lw=0.7, label="each frame")
    ax.plot(times_s, curve.smoothed, color="black", lw=1.4, label="smoothed")
    ax.axhline(curve.threshold, color="0.3", lw=0.8, ls=":", label="threshold")
    for n, interval in enumerate(curve.intervals):
        ax.axvspan(interval.start_s, interval.end_s, color=color, alpha=0.35, lw=0)
        if n < 12:  # more labels than this cover each other
            ax.text(interval.peak_s, 1.01, f"{interval.peak_s:.1f} s", fontsize=8, ha="center")
    ax.set_ylim(0, 1.12)
    ax.set_ylabel("relevance")
    ax.set_title(curve.label, loc="left", fontsize=10)
    ax.legend(loc="center right", fontsize=7, framealpha=0.7)


def _thumbnail_row(
    ax: Axes, thumbnails: Sequence[tuple[float, np.ndarray]], times_s: Sequence[float] | np.ndarray
) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    ax.set_axis_off()
    span = max(float(times_s[-1] - times_s[0]), 1e-6) if len(times_s) else 1.0
    width_px = min(110, int(690 / max(len(thumbnails), 1)))  # units of 1/72 inch
    for n, (time_s, image) in enumerate(sorted(thumbnails, key=lambda item: item[0])):
        # Evenly spread, each joined to its own time: crowded moments stay apart.
        x = times_s[0] + span * (n + 0.5) / len(thumbnails)
        box = AnnotationBbox(
            OffsetImage(resize_to_width(image, 2 * width_px), zoom=0.5),
            (time_s, 0),
            xybox=(x, 0.55),
            frameon=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.7, "color": "0.4"},
        )
        ax.add_artist(box)
    ax.set_ylim(0, 1)
