"""A field that grows between queries: what was loaded, plus what was lifted since."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import FieldError


class LiveField:
    """Holds a loaded field and a lifter; may be used from several threads, one at a time inside.

    Args:
        find: the model. path: a .field file to begin with, or "". options: of `LiftConfig`.

    Raises:
        FieldError: the file is missing or belongs to another model.
    """

    def __init__(self, find: Any, path: str, **options: Any) -> None:
        import find_field

        self.find, self._options = find, options
        self._lock = threading.Lock()
        self._loaded = find_field.load(path) if path else None
        if self._loaded is not None:
            self._loaded.check_model(find)
            # New voxels must lie on the same grid, and in the same basis, to be merged.
            options["voxel_size_m"] = self._loaded.voxel_size_m
            options["frame"] = self._loaded.frame
        self._basis = self._loaded.channel("semantic").basis if self._loaded is not None else None
        self._lifter = self._new_lifter()
        self._whole: Any = self._loaded

    @property
    def frame(self) -> str:
        """Name of the world frame."""
        return str(self._options.get("frame", "world"))

    @property
    def frames_lifted(self) -> int:
        return int(self._added)

    @property
    def voxels(self) -> int:
        """Of the field last asked for."""
        return 0 if self._whole is None else len(self._whole)

    def add(self, image_rgb: np.ndarray, depth_m: np.ndarray, K: np.ndarray, T: np.ndarray) -> None:
        """Lift one frame; depth (H, W) metres, 0 invalid; T: T_world_camera (4, 4)."""
        import find_field

        frame = find_field.PosedFrame(image_rgb, depth_m, K, T, f"frame {self._added}")
        with self._lock:
            self._lifter.add(frame)
            self._added += 1
            self._whole = None

    def query(self, prompt: Any, **options: Any) -> Any:
        """`FieldHits` of the field as it is now."""
        return self.field().query(prompt, self.find, **options)

    def field(self) -> Any:
        """The whole field as it is now.

        Raises:
            FieldError: it is still empty.
        """
        with self._lock:
            if self._whole is None:
                if not self._added:
                    raise FieldError("The field is empty: no frame has been lifted yet.")
                lifted = self._lifter.field()
                self._whole = lifted if self._loaded is None else self._loaded.merge(lifted)
            return self._whole

    def save(self, path: str) -> Path:
        return Path(self.field().save(path))

    def reset(self) -> None:
        """Back to what was loaded, or to nothing."""
        with self._lock:
            self._lifter = self._new_lifter()
            self._whole = self._loaded

    def _new_lifter(self) -> Any:
        import find_field

        self._added = 0
        return find_field.Lifter(self.find, basis=self._basis, **self._options)
