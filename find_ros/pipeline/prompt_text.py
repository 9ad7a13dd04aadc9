"""A prompt that came over a topic or a parameter: checked before anything of it is used.

Nothing in it may reach the machine's files, and its size is measured before work is done for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from find_core.errors import PromptError
from find_core.prompts.prompt import Prompt, Reference
from find_core.support.strict_json import parse_json
from find_ros.support.text import printable


@dataclass(frozen=True)
class PromptLimits:
    """What a prompt may bring.

    Attributes:
        max_bytes: of its text, inline images included.
        max_references: in its JSON form.
    """

    max_bytes: int = 16_000_000
    max_references: int = 32


DEFAULT_LIMITS = PromptLimits()


def read_prompt(
    text: str,
    images: Mapping[str, np.ndarray],
    limits: PromptLimits = DEFAULT_LIMITS,
    envelope: Collection[str] = (),
) -> Prompt:
    """A sentence or the JSON form -> `Prompt`.

    Args:
        images: images by name, (H, W, 3) uint8 RGB. In a sentence `<name>` means the whole image;
            the JSON form says which region of {"image": {"name": ...}}.
        envelope: keys beside the prompt's own that are not for it.

    Raises:
        FindError: with a sentence that says what was wrong.
    """
    return bind_prompt(read_text(text, limits), images, limits, envelope)


def read_text(text: str, limits: PromptLimits = DEFAULT_LIMITS) -> Any:
    """A sentence as it is, the JSON form decoded; both of a size that is taken.

    Raises:
        PromptError: too large, no Unicode, no JSON.
    """
    _check_text(text, limits)
    if not text.lstrip().startswith("{"):
        return text
    return parse_json(text, "The prompt", PromptError, max_chars=limits.max_bytes)


def bind_prompt(
    parsed: Any,
    images: Mapping[str, np.ndarray],
    limits: PromptLimits = DEFAULT_LIMITS,
    envelope: Collection[str] = (),
) -> Prompt:
    """What `read_text` gave -> `Prompt`; arguments and errors as of `read_prompt`."""
    if isinstance(parsed, str):
        named = {name: _whole(image) for name, image in images.items() if name in parsed}
        return Prompt.bind_known(parsed, named)
    _check_references(parsed, limits)
    own = {key: value for key, value in parsed.items() if key not in envelope}
    return Prompt.from_json(own, images=images)


def _check_text(text: str, limits: PromptLimits) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.max_bytes:
        raise PromptError(
            f"The prompt has {size} bytes, more than the {limits.max_bytes} of max_prompt_bytes: "
            "publish its images on ~/reference and name them."
        )
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise PromptError("The prompt holds text that is not valid Unicode.")


def _check_references(data: Any, limits: PromptLimits) -> None:
    """Before any of them is decoded or drawn."""
    references = data.get("references") if isinstance(data, dict) else None
    sentence = data.get("prompt") if isinstance(data, dict) else None
    if not isinstance(references, dict) or not isinstance(sentence, str):
        return  # `Prompt.from_json` says what is wrong
    if len(references) > limits.max_references:
        raise PromptError(
            f"The prompt has {len(references)} references, more than the {limits.max_references} "
            "of max_references."
        )
    labels = {entity.label for entity in Prompt.parse(sentence).entities}
    for name, reference in references.items():
        if name not in labels:
            shown = printable(name, 60)
            raise PromptError(f"Reference {shown!r} is never used: write <{shown}> for it.")
        image = reference.get("image") if isinstance(reference, dict) else None
        if not isinstance(image, dict) or "path" in image:
            raise PromptError(
                "A prompt on a topic or parameter names no files: publish the image on "
                '~/reference and give {"name": ...}, or give {"png_base64": ...}.'
            )


def _whole(image_rgb: np.ndarray) -> Reference:
    height, width = image_rgb.shape[:2]
    return Reference(image_rgb, box=(0, 0, width, height))
