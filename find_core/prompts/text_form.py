"""Prompts and references as text: what command lines, files, topics and the viewer take.

A reference is `NAME=PHOTO:KIND=VALUES`, for example `cup=photo.jpg:box=40,30,180,170`. KIND is one
of `region.KINDS`. VALUES are numbers in pixels with commas between them (point x,y; box x1,y1,x2,y2
with x2/y2 exclusive; circle x,y,radius; polygon and scribble x,y,x,y,...), or for a mask the path
of an image whose bright pixels are the region. `NAME=PHOTO@KIND:VALUES` says the same.

A prompt is a sentence with `<...>` entities, or the JSON form of `Prompt.to_json`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError, PromptError
from find_core.images import PATH_LIMIT, read_bytes, read_image
from find_core.prompts.prompt import Prompt, Reference
from find_core.prompts.region import KINDS
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import MAX_JSON_CHARS, parse_json

_KIND = "|".join(KINDS)
_REFERENCE = re.compile(
    rf"(?P<name>[^=]+)=(?P<path>.+)(?::(?P<kind>{_KIND})=|@(?P<other>{_KIND}):)(?P<values>.+)"
)
# Stricter than `float`, which also takes "1_0", "nan" and digits of other scripts.
_NUMBER = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")


def parse_reference(text: str) -> tuple[str, Reference]:
    """`cup=photo.jpg:box=40,30,180,170` -> ("cup", Reference).

    Raises:
        PromptError: not of that form, or the region is none. ImageError: no such image.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or not match["name"].strip():
        raise PromptError(
            f"Cannot read the reference {quoted(text)}: write NAME=PHOTO:KIND=VALUES, "
            "e.g. cup=photo.jpg:box=40,30,180,170."
        )
    kind = match["kind"] or match["other"]
    value = _value(kind, match["values"])
    return match["name"].strip(), Reference(read_image(match["path"]), **{kind: value})


def parse_references(texts: Iterable[str]) -> dict[str, Reference]:
    """References by name, as `Prompt.bind` takes them.

    Raises:
        PromptError: one of them is malformed, or two have one name. ImageError: no such image.
    """
    references: dict[str, Reference] = {}
    for text in texts:
        name, reference = parse_reference(text)
        if name in references:
            raise PromptError(
                f"Two references are called {quoted(name)}: give one of them another name."
            )
        references[name] = reference
    return references


def prompt_from_json_text(
    text: str,
    base_dir: str | Path | None = None,
    images: Mapping[str, np.ndarray] | None = None,
) -> Prompt:
    """`Prompt.from_json` of a string.

    Args:
        base_dir: folder that image paths start from; None refuses paths, for prompts from elsewhere.
        images: images known by name, (H, W, 3) uint8 RGB.

    Raises:
        PromptError, ImageError: with a sentence that says what was wrong.
    """
    data = parse_json(text, "The prompt", PromptError)
    return Prompt.from_json(data, base_dir=base_dir, images=images)


def read_prompt_file(path: Path) -> Prompt:
    """A prompt from a JSON file; images by path start from the file's folder.

    Raises:
        PromptError, ImageError: with a sentence that says what was wrong.
    """
    name = shown(path, PATH_LIMIT)
    try:
        data = parse_json(read_bytes(path, MAX_JSON_CHARS).tobytes(), "The prompt", PromptError)
        return Prompt.from_json(data, base_dir=path.parent)
    except ImageError as error:
        if path.is_file():
            raise
        raise PromptError(f"No prompt file at {name}: check the path ({error}).") from None
    except PromptError as error:
        raise PromptError(f"{name}: {error}") from None


def _value(kind: str, text: str) -> Any:
    """What `Reference` takes for `kind`."""
    if kind == "mask":
        bright = read_image(text).max(axis=2)
        # An index mask has small numbers; in a drawn one, JPEG leaves dirt around the white.
        return bright > (127 if bright.max() > 127 else 0)
    numbers = [_number(kind, part) for part in text.split(",")]
    if kind not in ("polygon", "scribble"):
        return tuple(numbers)
    if len(numbers) % 2:
        raise PromptError(f"A {kind} takes pairs x,y, got {len(numbers)} numbers: {quoted(text)}.")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _number(kind: str, text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise PromptError(f"A {kind} takes numbers with commas between them, got {quoted(text)}.")
    return value
