"""Answers of the nodes as Python objects: metres, matrices, named frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from find_core.masks import rle_to_mask
from find_ros.messages.poses import matrix_to_pose


@dataclass(frozen=True, eq=False)
class Place:
    """Where an object is.

    Attributes:
        frame_id: that the metres are in.
        T_frame_object: (4, 4) pose of its oriented box (docs/conventions.md): right-handed, origin
            in the middle, z up, x along the longer horizontal side. Not a canonical pose.
        extent_m: (3,) full lengths along the box's own axes.
        position_m: (3,) middle of the seen surface.
    """

    frame_id: str
    T_frame_object: np.ndarray
    extent_m: np.ndarray
    position_m: np.ndarray

    def moved(self, frame_id: str, T_new_old: np.ndarray) -> Place:
        """The same place in another frame; `T_new_old` (4, 4) maps this frame's points into it."""
        position_m = T_new_old[:3, :3] @ self.position_m + T_new_old[:3, 3]
        return replace(
            self,
            frame_id=frame_id,
            T_frame_object=T_new_old @ self.T_frame_object,
            position_m=position_m,
        )

    def to_pose(self) -> Any:
        """Of the box, as geometry_msgs/Pose in `frame_id`."""
        return matrix_to_pose(self.T_frame_object)


@dataclass(frozen=True, eq=False)
class FoundEntity:
    """One entity of the prompt in one image.

    Attributes:
        label: its text. found: whether it is there. score: in [0, 1].
        box_xyxy: (4,) pixel edges, x2 and y2 exclusive. mask_rle: COCO run lengths.
        track_id: the same object has the same one from image to image of one question.
        place: where depth is there; None otherwise.
    """

    label: str
    found: bool
    score: float
    box_xyxy: np.ndarray
    mask_rle: Mapping[str, Any]
    track_id: int | None
    place: Place | None

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, of the image's size."""
        return rle_to_mask(self.mask_rle)


@dataclass(frozen=True, eq=False)
class LocateResult:
    """What one image shows of a prompt. Its own `label`, `found`, ... are the first entity's.

    Attributes:
        entities: of the prompt, in its order.
        relevance: in [0, 1], does the image show all that the prompt speaks of.
        stamp_ns, camera_frame: of the image. camera: its name where the localizer has several.
        prompt: the sentence. prompt_id: of this question.
        without_3d: the localizer's cause why a camera with depth gave no place here; "" otherwise.
    """

    entities: tuple[FoundEntity, ...]
    relevance: float
    stamp_ns: int
    camera_frame: str
    camera: str
    prompt: str
    prompt_id: str
    without_3d: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        return self.entities[0].label

    @property
    def found(self) -> bool:
        return self.entities[0].found

    @property
    def score(self) -> float:
        return self.entities[0].score

    @property
    def box_xyxy(self) -> np.ndarray:
        """(4,) pixel edges, x2 and y2 exclusive."""
        return self.entities[0].box_xyxy

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool."""
        return self.entities[0].mask

    @property
    def track_id(self) -> int | None:
        return self.entities[0].track_id

    @property
    def place(self) -> Place | None:
        return self.entities[0].place

    def moved(self, frame_id: str, T_new_old: np.ndarray) -> LocateResult:
        """All places in another frame; see `Place.moved`."""
        entities = tuple(
            replace(e, place=e.place.moved(frame_id, T_new_old)) if e.place is not None else e
            for e in self.entities
        )
        return replace(self, entities=entities)

    @staticmethod
    def from_answer(answer: Mapping[str, Any], camera: str = "") -> LocateResult:
        """Of one message of `~/localization` (find_core/schemas/localization.schema.json)."""
        objects = answer.get("objects_3d", [])
        entities = tuple(
            _entity(e, [o for o in objects if o["entity_index"] == k])
            for k, e in enumerate(answer["entities"])
        )
        return LocateResult(
            entities,
            answer["relevance"],
            answer["stamp_ns"],
            answer["frame_id"],
            camera,
            answer["prompt"],
            answer["prompt_id"],
            answer.get("without_3d", ""),
            answer,
        )


def _entity(data: Mapping[str, Any], objects: list[Mapping[str, Any]]) -> FoundEntity:
    """The best instance, with its own place: not that of another instance."""
    own = [o for o in objects if data["found"] and o["track_id"] == data["track_id"]]
    return FoundEntity(
        data["label"],
        data["found"],
        data["score"],
        np.array(data["box_xyxy"]),
        data["mask_rle"],
        data["track_id"],
        _place(own[0]) if own else None,
    )


def _place(data: Mapping[str, Any]) -> Place:
    return Place(
        data["frame_id"],
        np.array(data["T_frame_object"], np.float64),
        np.array(data["object_extent_m"], np.float64),
        np.array(data["position_m"], np.float64),
    )


@dataclass(frozen=True, eq=False)
class FieldHit:
    """An object in the field server's field, as `find_field.FieldHit` without its points.

    Attributes:
        label: the entity's text. entity_index: into the prompt's entities. score: in [0, 1].
        points: of its surface in the field.
        place: its box, in the field's world frame or in the frame that was asked for.
    """

    label: str
    entity_index: int
    score: float
    points: int
    place: Place

    @property
    def T_world_object(self) -> np.ndarray:
        """(4, 4), in `place.frame_id`."""
        return self.place.T_frame_object

    @property
    def extent_m(self) -> np.ndarray:
        """(3,) full lengths along the box's axes."""
        return self.place.extent_m

    @staticmethod
    def from_answer(answer: Mapping[str, Any]) -> list[FieldHit]:
        """Hits of a field_answer, in prompt order, best first."""
        return [
            FieldHit(
                hit["label"],
                hit["entity_index"],
                hit["score"],
                hit["points"],
                Place(
                    answer["frame"],
                    np.array(hit["T_world_object"], np.float64),
                    np.array(hit["extent_m"], np.float64),
                    np.array(hit["centroid_world_m"], np.float64),
                ),
            )
            for entity in answer["entities"]
            for hit in entity["hits"]
        ]
