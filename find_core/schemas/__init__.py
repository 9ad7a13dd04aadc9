"""Versioned JSON schemas of what goes in and comes out: `load_schema("localization")`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAMES = ("prompt", "localization", "video_timeline", "album_hits")


def load_schema(name: str) -> dict[str, Any]:
    """The schema `name` of `NAMES`, as an object that any JSON Schema validator reads."""
    path = Path(__file__).with_name(f"{name}.schema.json")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema
