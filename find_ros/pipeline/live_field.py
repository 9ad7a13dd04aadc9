"""A field that grows between queries: what was loaded, plus what was lifted since."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import find_field
from find_core.prompts.prompt import Prompt
from find_core.protocols import EmbeddedImage, FindLike
from find_field.geometry.up import read_up


class LiveField:
    """Holds a lifter that goes on from a loaded field; may be used from several threads.

    Queries find the field warm: a frame costs the voxels that it touches, a query none.

    Args:
        find: the model. path: a .field file to begin with, or "". up: of the world frame, as
            `find_field.geometry.up.read_up`; "": the file's, or z. options: of `LiftConfig`; voxel
            size and world frame are the file's where there is one.

    Raises:
        FieldError: the file is missing or belongs to another model; or `up` is no direction.
    """

    def __init__(self, find: FindLike[EmbeddedImage], path: str, up: str = "",
                 **options: Any) -> None:  # fmt: skip
        self.find, self._options = find, {**options, "up_world": read_up(up or "z")}
        self._lock = threading.Lock()  # of the lifter; models are asked outside of it
        self._loaded = find_field.load(path) if path else None
        if self._loaded is not None and up:  # what the file says of it no longer holds
            told = {k: v for k, v in self._loaded.provenance.items() if not k.startswith("up_")}
            self._loaded = replace(self._loaded, provenance=told)
        self.changes = 0
        """Frames and resets so far; another number, another field."""
        self._viewer: np.ndarray | None = None  # the last lifted camera's pose
        self._lifter = self._new_lifter()

    @property
    def frame(self) -> str:
        """Name of the world frame."""
        return self._lifter.config.frame

    @property
    def frames_lifted(self) -> int:
        """Since the start, or the last reset."""
        return self._added

    @property
    def voxels(self) -> int:
        """How many there are now. The first frames wait for each other, and count from then on."""
        return len(self._lifter)

    def add(self, image_rgb: np.ndarray, depth_m: np.ndarray, K: np.ndarray, T: np.ndarray,
            stamp_ns: int | None = None) -> None:  # fmt: skip
        """Lift one frame.

        Args:
            image_rgb: (H, W, 3) uint8. depth_m: (H, W) z-depth, metres, 0 invalid. K: (3, 3) pixels.
            T: T_world_camera (4, 4), metres. stamp_ns: of the image.

        Raises:
            ImageError, FieldError: a part cannot be what it should be.
        """
        frame = find_field.PosedFrame(image_rgb, depth_m, K, T, f"frame {self._added}", stamp_ns)
        scene = self.find.encode(frame.rgb)
        with self._lock:
            self._lifter.add(frame, scene)
            self._added += 1
            self.changes += 1
            self._viewer = frame.T_world_camera

    def query(self, prompt: Prompt | str, **options: Any) -> find_field.FieldHits:
        """What the field as it is now answers; options: of `QueryConfig`.

        "left of" and "behind" are as the last lifted camera sees them.

        Raises:
            FieldError: it is still empty. PromptError: not a prompt.
        """
        compiled = self.find.compile(prompt)
        with self._lock:
            return self._lifter.query(compiled, **{"viewer": self._viewer} | options)

    def field(self) -> find_field.FeatureField:
        """The whole field as it is now, a copy.

        Raises:
            FieldError: it is still empty.
        """
        with self._lock:
            return self._lifter.field()

    def save(self, path: str) -> Path:
        """Write the field as it is now; see `FeatureField.save`."""
        return self.field().save(path)

    def reset(self) -> None:
        """Back to what was loaded, or to nothing."""
        with self._lock:
            self._lifter = self._new_lifter()
            self.changes += 1

    def _new_lifter(self) -> find_field.Lifter:
        self._added = 0
        self._viewer = None
        return find_field.Lifter(self.find, start=self._loaded, **self._options)
