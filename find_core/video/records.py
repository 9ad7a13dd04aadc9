"""`localizations.jsonl`: one line a frame (and prompt), written as it comes, read line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import FindError
from find_core.masks import rle_to_mask
from find_core.results import Entity, Instance, Localization
from find_core.support.printable import shown
from find_core.support.strict_json import check_json, check_schema


def read_records(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of a JSONL file as objects, one in memory at a time.

    Raises:
        FindError: a line is not a JSON object; says which.
    """
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise FindError(
                    f"Line {number} of {shown(path, 200)} is not a JSON object: the file is damaged."
                )
            yield record


def localization_from_json(data: Any) -> Localization:
    """Inverse of `Localization.to_json`; embeddings, which JSON does not carry, are empty (0,).

    Raises:
        FindError: it does not fit the schema, or its masks are damaged or of several sizes.
    """
    check_json(data, "The localization", FindError)
    check_schema(data, "localization", "The localization", FindError)
    height, width = data["entities"][0]["mask_rle"]["size"]
    entities = tuple(_entity_from_json(e, (height, width)) for e in data["entities"])
    place_score = data.get("place_score")
    return Localization(
        float(data["relevance"]), entities, height, width,
        place_score=None if place_score is None else float(place_score),
    )  # fmt: skip


def _entity_from_json(data: dict[str, Any], size: tuple[int, int]) -> Entity:
    instances = tuple(Instance(**_common(i, size)) for i in data["instances"])
    return Entity(
        **_common(data, size), label=data["label"], found=data["found"], instances=instances
    )


def _common(data: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    return {
        "score": float(data["score"]),
        "mask": rle_to_mask(data["mask_rle"], size),
        "box_xyxy": np.array(data["box_xyxy"], np.float64),
        "embedding": np.zeros(0, np.float32),
        "track_id": data["track_id"],
    }


def merged(records: list[dict[str, Any]]) -> Localization:
    """All prompts' entities of one frame as one `Localization`, for drawing."""
    parts = [localization_from_json(record) for record in records]
    entities = tuple(e for part in parts for e in part.entities)
    return Localization(max(p.relevance for p in parts), entities, parts[0].height, parts[0].width)


def by_frame(records: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The records of each frame together, in file order."""
    group: list[dict[str, Any]] = []
    for record in records:
        if group and record["frame_index"] != group[0]["frame_index"]:
            yield group
            group = []
        group.append(record)
    if group:
        yield group
