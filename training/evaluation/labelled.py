"""A rendered scene with its truth, as evaluations read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.images import read_image, read_labels

MIN_TARGET_PX = 100


@dataclass
class LabelledScene:
    """A scene on disk. `ids`: (H, W) uint16 instance ids."""

    data: dict[str, Any]
    image: np.ndarray
    ids: np.ndarray

    @staticmethod
    def read(data: dict[str, Any]) -> LabelledScene:
        stem = Path(data["folder"]) / f"{data['index']:06d}"
        ids = read_labels(stem.with_suffix(".png"))
        return LabelledScene(data, read_image(stem.with_suffix(".jpg")), ids)

    def mask(self, ids: Sequence[int]) -> np.ndarray:
        return np.isin(self.ids, list(ids))

    def instance(self, number: int) -> dict[str, Any]:
        return next(i for i in self.data["instances"] if i["id"] == number)


def split_of(instance: dict[str, Any]) -> str:
    return "held_out" if instance["held_out"] else "known"


def bootstrap_unit(instance: dict[str, Any], scene: LabelledScene) -> str:
    """What is resampled: the kind of a held-out object, else the scene."""
    return (
        instance["kind"]
        if instance["held_out"]
        else f"{scene.data['folder']}/{scene.data['index']}"
    )


def has_lookalike(labelled: LabelledScene, instance: dict[str, Any]) -> bool:
    """Another instance of the same kind is in view."""
    return any(
        i["kind"] == instance["kind"] and i["id"] != instance["id"]
        for i in labelled.data["instances"]
    )
