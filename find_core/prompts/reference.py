"""References: what a thing looks like, as a region of an image; and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import PromptError
from find_core.images import (
    MAX_MEGAPIXELS,
    check_image,
    from_png_base64,
    read_image,
    to_png_base64,
)
from find_core.prompts.region import KINDS, Region
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import check_json, check_schema


class Reference:
    """ "This one": one region of another image.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool of the image's size.
        box: (x1, y1, x2, y2) pixel edges, x2/y2 exclusive.
        point: (x, y) pixels, integers are pixel centres.
        polygon: (N>=3, 2) corners, pixels.
        circle: (x, y, radius) pixels.
        scribble: (N>=1, 2) points of a stroke, pixels.

    Raises:
        ImageError: the image is not (H, W, 3) uint8.
        PromptError: not exactly one region, or the region is empty.
    """

    def __init__(self, image: Any, region: Region | None = None, **regions: Any) -> None:
        self.image = check_image(image, "Reference image")
        unknown = set(regions) - set(KINDS)
        given = {k: v for k, v in regions.items() if v is not None}
        if unknown or len(given) + (region is not None) != 1:
            names = ", ".join(f"{kind}=" for kind in KINDS)
            raise PromptError(
                f"A Reference takes exactly one region ({names}), got "
                f"{sorted(regions) or 'none'}: e.g. Reference(photo, box=(40, 30, 180, 170))."
            )
        self.region = region if region is not None else _region(*next(iter(given.items())))
        self.mask = self.region.to_mask(*self.image.shape[:2])

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Reference({width}x{height} image, {self.region.kind})"

    def to_json(self) -> dict[str, Any]:
        """As {"image": {"png_base64"}, "region": {"kind", "data"}}."""
        return {
            "image": {"png_base64": to_png_base64(self.image)},
            "region": region_to_json(self.region),
        }

    @staticmethod
    def from_json(
        data: Any,
        base_dir: str | Path | None = None,
        images: Mapping[str, np.ndarray] | None = None,
    ) -> Reference:
        """Read the form of `to_json`; the image may also be {"path"} or {"name"}.

        Args:
            base_dir: folder that image paths start from; None refuses paths.
            images: images known by name, (H, W, 3) uint8 RGB.

        Raises:
            PromptError, ImageError: with a sentence that says what was wrong.
        """
        prompt = {"prompt": "<this>", "references": {"this": data}}
        check_json(prompt, "The reference", PromptError)
        check_schema(prompt, "prompt", "The reference", PromptError)
        image = image_from_json(data["image"], base_dir, images or {}, MAX_MEGAPIXELS)
        return Reference(image, region_from_json(data["region"]))


_COUNTS = {"point": 2, "box": 4, "circle": 3}


def _region(kind: str, value: Any) -> Region:
    if kind == "mask":
        return Region.mask(value)
    if kind in ("polygon", "scribble"):
        return getattr(Region, kind)(value)
    try:
        numbers = tuple(value)
    except TypeError:
        numbers = ()
    if len(numbers) != _COUNTS[kind]:
        raise PromptError(
            f"A {kind} takes a tuple of {_COUNTS[kind]} numbers, got {quoted(value)}."
        )
    return getattr(Region, kind)(*numbers)


def region_to_json(region: Region) -> dict[str, Any]:
    if region.kind == "mask":
        data: Any = {"png_base64": to_png_base64(region.data.astype(np.uint8) * 255)}
    else:
        data = region.data.tolist()
    out = {"kind": region.kind, "data": data, "positive": region.positive}
    return out | ({"width_px": region.width_px} if region.kind == "scribble" else {})


def region_from_json(data: Any) -> Region:
    """Inverse of `region_to_json`.

    Raises:
        PromptError, ImageError: not of that form; the sentence says why.
    """
    if not isinstance(data, Mapping) or data.get("kind") not in KINDS or "data" not in data:
        raise PromptError(
            f'A region in JSON is {{"kind": one of {", ".join(KINDS)}, "data": [numbers]}}, '
            f"got {quoted(data)}."
        )
    kind, value, positive = data["kind"], data["data"], data.get("positive", True)
    if not isinstance(positive, bool):
        raise PromptError(f"A region's positive is true or false, got {quoted(positive)}.")
    if kind == "mask":
        if not isinstance(value, Mapping) or not isinstance(value.get("png_base64"), str):
            raise PromptError('A mask in JSON is {"kind": "mask", "data": {"png_base64": "..."}}.')
        return Region.mask(from_png_base64(value["png_base64"]).any(axis=2), positive)
    if kind == "scribble":
        width_px = data.get("width_px", 5.0)
        if isinstance(width_px, bool) or not isinstance(width_px, int | float):
            raise PromptError(
                f"A scribble's width_px is a number of pixels, got {quoted(width_px)}."
            )
        return Region.scribble(value, width_px, positive)
    region = _region(kind, value)
    return Region(region.kind, region.data, positive)


def image_from_json(
    data: Mapping[str, Any],
    base_dir: str | Path | None,
    images: Mapping[str, np.ndarray],
    max_megapixels: float,
) -> np.ndarray:
    """The image of a reference that fits the schema."""
    if "png_base64" in data:
        return from_png_base64(data["png_base64"], max_megapixels=max_megapixels)
    if "path" in data:
        if (
            base_dir is None
        ):  # it came from elsewhere, and files of this machine are not its business
            raise PromptError('Files are not read for this prompt: send the image as "png_base64".')
        return read_image(Path(base_dir) / data["path"], max_megapixels=max_megapixels)
    if data["name"] not in images:
        known = shown(", ".join(sorted(images)) or "none yet", 200)
        raise PromptError(f"No image is known as {quoted(data['name'])} (known: {known}).")
    return images[data["name"]]
