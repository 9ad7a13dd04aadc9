"""The localizer's JSON as what is drawn and listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from find_core.masks import rle_to_mask
from find_core.page.source import Finding
from find_core.results import Entity, Instance, Localization

_NO_EMBEDDING = np.zeros(0, np.float32)


def localization_of(answer: Mapping[str, Any]) -> Localization:
    """Of one message of `~/localization`; embeddings do not travel and are empty."""
    entities = tuple(_entity(e) for e in answer["entities"])
    height, width = entities[0].mask.shape
    return Localization(answer["relevance"], entities, height, width)


def findings_of(answer: Mapping[str, Any]) -> tuple[Finding, ...]:
    """One row an instance, with its place where it has one."""
    places = {(o["entity_index"], o["track_id"]): o for o in answer.get("objects_3d", ())}
    rows = []
    for index, entity in enumerate(answer["entities"]):
        for instance in entity["instances"] or (entity,):
            place = places.get((index, instance["track_id"])) if entity["found"] else None
            rows.append(
                Finding(
                    entity["label"],
                    instance["score"],
                    entity["found"],
                    instance["track_id"],
                    tuple(place["position_m"]) if place is not None else None,
                    place["frame_id"] if place is not None else "",
                )
            )
    return tuple(rows)


def _entity(data: Mapping[str, Any]) -> Entity:
    own = _instance(data)
    instances = tuple(_instance(i) for i in data["instances"])
    return Entity(
        own.score, own.mask, own.box_xyxy, own.embedding, own.track_id,
        data["label"], data["found"], instances,
    )  # fmt: skip


def _instance(data: Mapping[str, Any]) -> Instance:
    return Instance(
        data["score"],
        rle_to_mask(data["mask_rle"]),
        np.array(data["box_xyxy"]),
        _NO_EMBEDDING,
        data["track_id"],
    )
