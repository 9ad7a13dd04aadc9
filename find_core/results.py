"""Results: what a scene answers. Plain numpy, shapes documented, JSON by `to_json`.

`mask` is (H, W) bool of the image that was encoded, `box_xyxy` its pixel edges (x2/y2 exclusive).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from find_core.masks import box_of_mask, mask_to_rle, rle_to_mask  # noqa: F401  (names of before)

JSON_VERSION = 1


@dataclass(frozen=True, eq=False)
class Instance:
    """One candidate for an entity.

    Attributes:
        score: calibrated probability in [0, 1] that this is what the entity means.
        mask: (H, W) bool. box_xyxy: (4,) float64 pixel edges.
        embedding: (D,) float32 unit vector of the object, comparable between frames.
        track_id: set by `find_core.video.stream`, None on single images.
    """

    score: float
    mask: np.ndarray
    box_xyxy: np.ndarray
    embedding: np.ndarray
    track_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        return _to_json(self, mask_to_rle(self.mask))


@dataclass(frozen=True, eq=False)
class Entity(Instance):
    """The best candidate for one entity of the prompt.

    Attributes:
        label: the entity's text (a reference's name when visual).
        found: whether the score passes the threshold; the best candidate is here either way.
        instances: every candidate that passes the threshold, best first, this one included.
    """

    label: str = ""
    found: bool = False
    instances: tuple[Instance, ...] = ()

    def to_json(self) -> dict[str, Any]:
        own: dict[str, Any] = {"label": self.label, "found": bool(self.found)}
        rle = mask_to_rle(self.mask)
        # The entity is one of its instances: that mask is encoded once.
        instances = [
            _to_json(i, dict(rle) if i.mask is self.mask else mask_to_rle(i.mask))
            for i in self.instances
        ]
        return own | _to_json(self, rle) | {"instances": instances}


def _to_json(instance: Instance, mask_rle: dict[str, Any]) -> dict[str, Any]:
    return {
        "score": round(float(instance.score), 4),
        "box_xyxy": [round(float(v), 2) for v in instance.box_xyxy],
        "mask_rle": mask_rle,
        "track_id": instance.track_id,
    }


@dataclass(frozen=True, eq=False)
class Localization:
    """Where the objects that a prompt speaks of are in one image.

    Attributes:
        relevance: in [0, 1], does this image show what the prompt speaks of; the least of the
            entities' scores.
        entities: exactly one per entity of the prompt, in prompt order.
        height, width: of the image, pixels.
        separated: every mask already stands for one object (`find_core.masks.split_disconnected`).
        place_score: in [0, 1], whether the things chosen stand to one another as the sentence's
            words say, by the judge of places; None where nothing was judged (one entity, or no judge).
    """

    relevance: float
    entities: tuple[Entity, ...]
    height: int
    width: int
    separated: bool = field(default=False, kw_only=True)
    place_score: float | None = field(default=None, kw_only=True)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.entities)

    def label_image(self) -> np.ndarray:
        """(H, W) uint16: 0 background, k+1 where entity k was found; better scores on top."""
        labels = np.zeros((self.height, self.width), np.uint16)
        found = [
            (i.score, k, i) for k, e in enumerate(self.entities) if e.found for i in e.instances
        ]
        for _, k, instance in sorted(found, key=lambda item: item[0]):
            labels[instance.mask] = k + 1
        return labels

    def to_json(self) -> dict[str, Any]:
        """The versioned object of schemas/localization.schema.json."""
        places = {} if self.place_score is None else {"place_score": round(self.place_score, 4)}
        return {
            "version": JSON_VERSION,
            "relevance": round(float(self.relevance), 4),
            **places,
            "entities": [entity.to_json() for entity in self.entities],
        }


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment of a panoptic or instance segmentation.

    Attributes:
        id: value in the id map (from 1). class_index: into the class list given. label: its name.
        is_thing: countable object rather than material or region. score: in [0, 1].
        mask: (H, W) bool. box_xyxy: (4,) float64 pixel edges.
    """

    id: int
    class_index: int
    label: str
    is_thing: bool
    score: float
    mask: np.ndarray
    box_xyxy: np.ndarray


@dataclass(frozen=True, eq=False)
class PanopticSegmentation:
    """Attributes: id_map: (H, W) int32, 0 = void; segments: one per id, in query order."""

    id_map: np.ndarray
    segments: tuple[Segment, ...]


@dataclass(frozen=True, eq=False)
class InstanceSegmentation:
    """Attributes: segments: scored instances of countable classes, best first; may overlap."""

    segments: tuple[Segment, ...]


@dataclass(frozen=True, eq=False)
class SemanticSegmentation:
    """Attributes: class_map: (H, W) int32 index into `labels`; labels: the classes asked for."""

    class_map: np.ndarray
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class InteractiveSegmentation:
    """Answer to clicks and strokes: one mask per prompt.

    Attributes:
        masks: (N, H, W) bool. scores: (N,) float in [0, 1], mean mask probability inside.
        memory: opaque state to hand back as `previous=` with further clicks.
    """

    masks: np.ndarray
    scores: np.ndarray
    memory: Any = field(default=None, repr=False)

    @property
    def mask(self) -> np.ndarray:
        """The first prompt's mask, (H, W) bool."""
        return self.masks[0]
