"""Versioned JSON schemas of what a field answers."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def answer_schema() -> dict[str, Any]:
    """The JSON schema of `FieldHits.to_json()`."""
    return json.loads(files(__name__).joinpath("field_answer.schema.json").read_text("utf-8"))
