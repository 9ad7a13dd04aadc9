"""What is being looked at and asked: the field, the prompt, what it refers to, and the answer."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from find_core.errors import FieldError, PromptError
from find_core.page.marking import check_name
from find_core.page.stills import MAX_UPLOAD_BYTES, still_of_photo
from find_core.prompts.prompt import MAX_REFERENCES, Prompt
from find_core.prompts.reference import Reference
from find_core.protocols import CompiledLike, FindLike
from find_field.field.feature_field import FeatureField
from find_field.field.hits import FieldHits
from find_field.view.measures import height_range_m, in_slice
from find_field.view.picked import Thing, row_on_ray, thing_at, with_picked

Edges = tuple[float, float, float, float]
WHOLE: Edges = (0.0, 0.0, 1.0, 1.0)


class Explorer:
    """May be used from several threads. It knows of no browser.

    Args:
        find: the model that the field was made with.
        threshold: score from which a thing is a hit; None: the model's own.

    Attributes:
        field, threshold: as given, or as set since.
        prompt: markup of what was asked for last; "" nothing.
        hits: the answer, None before there is one. relevancy: (N,) float32 in [0, 1], of each voxel,
            for whichever entity it suits best; None before there is a prompt.
        references, picked: by name: photographs, and (D,) embeddings of what was pointed at.
        slice_m: lowest and highest height that is shown.

    Raises:
        FieldError: the field is of another embedding space.
    """

    def __init__(self, field: FeatureField, find: FindLike, threshold: float | None = None) -> None:
        field.check_model(find)
        self.field, self.find = field, find
        self.threshold = find.config.threshold if threshold is None else threshold
        self.prompt = ""
        self.hits: FieldHits | None = None
        self.relevancy: np.ndarray | None = None
        self.references: dict[str, Reference] = {}
        self.picked: dict[str, np.ndarray] = {}
        self.slice_m = height_range_m(field)
        self._compiled: CompiledLike | None = None
        self._viewer: np.ndarray | None = None
        self._lock = threading.RLock()

    # What is asked.

    def ask(self, text: str, T_world_viewer: np.ndarray | None = None) -> FieldHits:
        """Look for this from now on.

        Args:
            T_world_viewer: (4, 4) camera pose of who says "left of"; None: nobody's.

        Raises:
            FindError: it cannot be understood; what was asked for before stays.
        """
        with self._lock:
            compiled = self.find.compile(Prompt.bind_known(text, self.references))
            self._compiled = with_picked(compiled, self.picked)
            self._viewer, self.prompt = T_world_viewer, text
            return self._answer()

    def set_threshold(self, threshold: float) -> None:
        """From now on, also for what is asked for already."""
        with self._lock:
            if threshold != self.threshold:
                self.threshold = threshold
                if self._compiled is not None:
                    self._answer(relevancy=False)

    def show_field(self, field: FeatureField) -> None:
        """Another state of the field, asked the same.

        Raises:
            FieldError: it is of another embedding space.
        """
        with self._lock:
            field.check_model(self.find)
            whole = self.slice_m == height_range_m(self.field)
            self.field = field
            if whole:
                self.slice_m = height_range_m(field)
            if self._compiled is not None:
                self._answer()

    def _answer(self, relevancy: bool = True) -> FieldHits:
        assert self._compiled is not None
        options: dict[str, Any] = {"threshold": self.threshold, "viewer": self._viewer}
        self.hits = self.field.query(self._compiled, self.find, **options)
        if relevancy:
            self.relevancy = self.field.relevancy(self._compiled, self.find).max(axis=0)
        return self.hits

    # What it refers to.

    def keep_photo(self, name: str, image_rgb: np.ndarray, edges: Edges = WHOLE) -> Reference:
        """Let a region of a photograph be what `<name>` means.

        Args:
            image_rgb: (H, W, 3) uint8. edges: left, top, right and bottom as shares of its sides.

        Raises:
            FindError: no image, no name, a region without area.
        """
        height, width = image_rgb.shape[:2]
        box = tuple(np.multiply(edges, (width, height, width, height)).tolist())
        reference = Reference(image_rgb, box=box)
        with self._lock:
            name = self._free(name)
            self.picked.pop(name, None)
            self.references = {**self.references, name: reference}
        return reference

    def pick(self, name: str, origin_world_m: ArrayLike, direction: ArrayLike) -> Thing:
        """Let what a ray meets be what `<name>` means.

        Raises:
            FieldError: the ray meets nothing. PromptError: no name.
        """
        with self._lock:
            name = self._free(name)
            thing = thing_at(self.field, self.row_at(origin_world_m, direction), self.find)
            self.references = {k: v for k, v in self.references.items() if k != name}
            self.picked[name] = thing.embedding
        return thing

    def point_at(self, origin_world_m: ArrayLike, direction: ArrayLike) -> np.ndarray:
        """(3,) float64 world metres of what a ray meets.

        Raises:
            FieldError: it meets nothing.
        """
        row = self.row_at(origin_world_m, direction)
        return self.field.points_world_m[row].astype(np.float64)

    def row_at(self, origin_world_m: ArrayLike, direction: ArrayLike) -> int:
        """The voxel that a ray meets first, of those in the slice.

        Raises:
            FieldError: it meets none.
        """
        shown = in_slice(self.field, *self.slice_m)
        row = row_on_ray(self.field, origin_world_m, direction, shown)
        if row is None:
            raise FieldError("There is nothing where you clicked: click on a point.")
        return row

    def forget(self) -> None:
        """All names."""
        with self._lock:
            self.references, self.picked = {}, {}

    @property
    def names(self) -> list[str]:
        """What can stand in <...> besides words."""
        return sorted([*self.references, *self.picked])

    def _free(self, name: str) -> str:
        name = check_name(name)
        if name not in self.names and len(self.names) >= MAX_REFERENCES:
            raise PromptError(f"There are {MAX_REFERENCES} references already: forget them first.")
        return name


def read_photo(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 of an uploaded image file, as large as references are.

    Raises:
        FindError: no image, or too large.
    """
    if len(data) > MAX_UPLOAD_BYTES:
        raise PromptError(f"A photo has at most {MAX_UPLOAD_BYTES / 2**20:.0f} MiB.")
    return still_of_photo(data).image_rgb
