"""Versioned JSON schemas of the nodes' own topics: `load_schema("prompt_status")`."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

NAMES = ("prompt_request", "prompt_status", "field_reply")


def load_schema(name: str) -> dict[str, Any]:
    """The schema `name` of `NAMES`; it refers to those of `find_core` by their `$id`."""
    schema: dict[str, Any] = json.loads(
        files(__name__).joinpath(f"{name}.schema.json").read_text("utf-8")
    )
    return schema
