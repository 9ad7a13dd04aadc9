"""Prompts of the caller as the JSON that goes over a topic; reference images travel inside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError, PromptError
from find_core.images import read_image
from find_core.prompts.prompt import Prompt
from find_core.prompts.reference import Reference
from find_core.support.json_text import json_text
from find_ros.client.errors import PromptRefusedError

AnyReference = Reference | np.ndarray | str | Path
AnyPrompt = str | Prompt
References = Mapping[str, AnyReference]


def prompt_json(prompt: AnyPrompt, references: References | None = None, **envelope: Any) -> str:
    """The JSON form of a prompt.

    Args:
        references: by name. An image, (H, W, 3) uint8 RGB or a file's path, means the whole image;
            a `Reference` says which region of one.
        envelope: what else the request carries, such as id and ttl_s.

    Raises:
        PromptRefusedError: it cannot be understood, or an image cannot be read.
    """
    try:
        if not isinstance(prompt, Prompt):
            bound = {name: _reference(value) for name, value in (references or {}).items()}
            prompt = Prompt.bind(prompt, bound)
        elif references:
            raise PromptError("A Prompt brings its own references: leave references= out.")
        return json_text(prompt.to_json() | envelope)
    except (PromptError, ImageError, OSError) as error:
        raise PromptRefusedError(str(error)) from error


def removal_json(prompt_id: str) -> str:
    return json_text({"version": 1, "id": prompt_id, "remove": True})


def _reference(value: AnyReference) -> Reference:
    if isinstance(value, Reference):
        return value
    image = read_image(value) if isinstance(value, str | Path) else value
    height, width = np.shape(image)[:2] if np.ndim(image) == 3 else (1, 1)
    return Reference(image, box=(0, 0, width, height))
