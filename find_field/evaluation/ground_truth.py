"""Sequences whose truth is known: masks in every view, names, places and boxes of objects.

Read from folders of `python -m training.tabletop.sequence`, or made from an exact world
(`find_field.evaluation.toy_world`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import FieldError
from find_core.images import read_labels
from find_field.evaluation.oracle import OracleFind
from find_field.evaluation.toy_world import World
from find_field.field.voxels import group, group_sum, pack, voxel_coordinates
from find_field.frames import PosedFrame
from find_field.geometry.boxes import inside_box
from find_field.geometry.pinhole import backproject, transform
from find_field.io.datasets import open_folder, read_scenes

# Points this far outside of a box still belong to it: depth noise and half a voxel.
_MARGIN_M = 0.015


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One object.

    Attributes:
        id: its value in the label images. names: what it is called, the plainest first.
        T_world_object (4, 4), extent_m (3,): its box.
        bottom_m: height of its lowest point, where the box of a thing that leans or is round reaches
            lower; None: the box's.
    """

    id: int
    names: tuple[str, ...]
    T_world_object: np.ndarray
    extent_m: np.ndarray
    bottom_m: float | None = None

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def center_world_m(self) -> np.ndarray:
        return self.T_world_object[:3, 3]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """A sequence with its truth.

    Attributes:
        frames: views, with depth. labels: per frame, (H, W) int, 0 and unknown ids: background.
        objects: what may be asked for. names: of every label id, surfaces included.
    """

    frames: Sequence[PosedFrame]
    labels: Sequence[np.ndarray]
    objects: tuple[SceneObject, ...]
    names: dict[int, str]

    def oracle(self) -> OracleFind:
        """A model that knows these images."""
        find = OracleFind(self.names.values())
        for frame, labels in zip(self.frames, self.labels, strict=True):
            find.register(frame.rgb, labels, self.names)
        return find

    def visible_pixels(self, index: int, thing: SceneObject) -> int:
        return int((self.labels[index] == thing.id).sum())

    def visible_centroids(self, voxel_size_m: float) -> dict[int, np.ndarray]:
        """Of each object seen: the mean of the equally weighted voxels of its true surface."""
        surfaces = self.surface_points().items()
        return {i: _voxel_means(p, voxel_size_m).mean(axis=0) for i, p in surfaces}

    def surface_points(self) -> dict[int, np.ndarray]:
        """Of each object seen: (n, 3) world points of all its pixels with depth."""
        points: dict[int, list[np.ndarray]] = {thing.id: [] for thing in self.objects}
        for frame, labels in zip(self.frames, self.labels, strict=True):
            if frame.depth_m is None:
                continue
            for thing in self.objects:
                v, u = np.nonzero((labels == thing.id) & np.isfinite(frame.depth_m))
                local = backproject(frame.depth_m[v, u].astype(float), frame.K, u, v)
                points[thing.id].append(transform(frame.T_world_camera, local))
        return {i: np.concatenate(p) for i, p in points.items() if p and sum(map(len, p))}

    def owner(self, points_world_m: np.ndarray) -> int | None:
        """The object whose (slightly larger) box holds most of the points, None below half."""
        shares = {
            thing.id: inside_box(points_world_m, thing.T_world_object,
                                 thing.extent_m + 2 * _MARGIN_M).mean()
            for thing in self.objects
        }  # fmt: skip
        best = max(shares, key=lambda i: shares[i], default=None)
        return best if best is not None and shares[best] >= 0.5 else None


def truth_of_world(
    world: World, count: int = 24, size_hw: tuple[int, int] = (240, 320)
) -> GroundTruth:
    """Views of an exact world."""
    frames = world.frames(count, size_hw)
    labels = [world.render(f.K, f.T_world_camera, size_hw)[2] for f in frames]
    objects = tuple(
        SceneObject(i + 2, (thing.name,), thing.T_world_object, np.asarray(thing.size_m, float))
        for i, thing in enumerate(world.things)
    )
    return GroundTruth(frames, labels, objects, world.names)


class _LazyLabels(Sequence):
    """Label images, decoded as they are asked for."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return read_labels(self._paths[index]).astype(np.int32)


class _LazyFrames(Sequence):
    """Frames of a folder, decoded as they are asked for."""

    def __init__(self, files: list) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [f.read() for f in self._files[index]]
        return self._files[index].read()


def open_truth(folder: str | Path) -> GroundTruth:
    """Read a rendered sequence of objects that do not move.

    Raises:
        FieldError: no rendered sequence there.
    """
    folder = Path(folder)
    if not (folder / "scenes.jsonl").is_file():
        raise FieldError(
            f"{folder} has no ground truth: render one, "
            "python -m training.tabletop.sequence --out DIR --seed 3 --frames 30."
        )
    opened = open_folder(folder)
    seen = {i["id"]: i for scene in read_scenes(folder) for i in scene["instances"]}
    labels = _LazyLabels([folder / f"{files.name}.png" for files in opened.files])
    names = {int(i["id"]): str(i["name"]) for i in seen.values()}
    objects = tuple(_object(i) for i in seen.values() if not i.get("stuff", False))
    return GroundTruth(_LazyFrames(opened.files), labels, objects, names)


def _object(instance: dict) -> SceneObject:
    T = np.asarray(instance["T_world_object"], float)
    if "center_world_m" in instance:
        T = T.copy()
        T[:3, 3] = instance["center_world_m"]
    names = (instance["name"], *(n for n in instance.get("names", []) if n != instance["name"]))
    extent_m, bottom_m = np.asarray(instance["extent_m"], float), instance.get("floor_world_m")
    return SceneObject(int(instance["id"]), names, T, extent_m, bottom_m)


def _voxel_means(points: np.ndarray, voxel_size_m: float) -> np.ndarray:
    keys, inverse = group(pack(voxel_coordinates(points, voxel_size_m)))
    count = np.bincount(inverse, minlength=len(keys))
    return group_sum(inverse, np.ones(len(points)), len(keys)) @ points / count[:, None]
