"""What a user can ask: text with entities, image regions, references into other images."""

from find_core.prompts.prompt import (
    JSON_VERSION,
    MAX_CHARS,
    PLACEHOLDER,
    Prompt,
    PromptEntity,
    as_prompt,
)
from find_core.prompts.reference import Reference, region_from_json, region_to_json
from find_core.prompts.region import Region

__all__ = [
    "JSON_VERSION",
    "MAX_CHARS",
    "PLACEHOLDER",
    "Prompt",
    "PromptEntity",
    "Reference",
    "Region",
    "as_prompt",
    "region_from_json",
    "region_to_json",
]
