"""A request on `~/prompt`: which prompt, under which id, and for how long.

A sentence, or the JSON form without an `id`, is the node's own prompt. With an `id` a prompt lives
beside the others: `schemas/prompt_request.schema.json`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from find_core.errors import PromptError
from find_core.support.printable import quoted
from find_ros.pipeline.prompt_text import PromptLimits, read_text

OWN = ""
"""The id of the node's own prompt, which has no time to live and gives the images."""
ENVELOPE = ("id", "ttl_s", "remove")
"""Keys beside the prompt's own."""
ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}"
MAX_TTL_S = 86_400.0


@dataclass(frozen=True, eq=False)
class PromptRequest:
    """One request.

    Attributes:
        text: as it came. parsed: the sentence, or the decoded JSON.
        id: of the prompt; `OWN` for the node's own.
        ttl_s: seconds after the last request until the prompt goes; None: it stays.
        remove: the prompt of this id goes now.
    """

    text: str
    parsed: Any
    id: str = OWN
    ttl_s: float | None = None
    remove: bool = False

    def images(self) -> set[str]:
        """Names of received images that the JSON form points at."""
        references = self.parsed.get("references") if isinstance(self.parsed, dict) else None
        out = set()
        for reference in references.values() if isinstance(references, dict) else ():
            image = reference.get("image") if isinstance(reference, dict) else None
            if isinstance(image, dict) and isinstance(image.get("name"), str):
                out.add(image["name"])
        return out

    def speaks_of(self, name: str) -> bool:
        """Whether a received image of this name changes what the prompt means."""
        return name in self.parsed if isinstance(self.parsed, str) else name in self.images()


def read_request(text: str, limits: PromptLimits) -> PromptRequest:
    """Read what came on the topic; the prompt in it is looked at when it is compiled.

    Raises:
        PromptError: too large, no JSON, or an id, ttl_s or remove that cannot be.
    """
    parsed = read_text(text, limits)
    if isinstance(parsed, str):
        return PromptRequest(text, parsed)
    prompt_id, ttl_s = parsed.get("id", OWN), parsed.get("ttl_s")
    remove = parsed.get("remove", False)
    if "id" in parsed and not (isinstance(prompt_id, str) and re.fullmatch(ID_PATTERN, prompt_id)):
        raise PromptError(
            f"A prompt's id is 1 to 64 letters, digits and . _ : / -, got {quoted(prompt_id, 80)}."
        )
    number = isinstance(ttl_s, int | float) and not isinstance(ttl_s, bool)
    if ttl_s is not None and not (number and 0 < ttl_s <= MAX_TTL_S):
        raise PromptError(
            f"ttl_s is a number of seconds up to {MAX_TTL_S:g}, got {quoted(ttl_s, 40)}."
        )
    if not isinstance(remove, bool):
        raise PromptError(f"remove is true or false, got {quoted(remove, 40)}.")
    if not prompt_id and (remove or ttl_s is not None):
        raise PromptError("ttl_s and remove need an id: the node's own prompt stays.")
    return PromptRequest(text, parsed, prompt_id, ttl_s, remove)
