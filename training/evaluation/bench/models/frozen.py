"""Floors: what find_core's frozen encoders know alone.

`ridge`: closed-form ridge regression from pooled vision to pooled text features, for retrieval.
`probe`: a ridge classifier of frozen cells, for semantic segmentation by name. Both are fitted on a
folder that is named, which must not be the one that they are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from find_core.errors import FindError
from find_core.images import read_image
from find_core.predictor import Find
from training.data.formats import coco
from training.evaluation.bench import sources
from training.evaluation.bench.model import NO_ANSWER, ClassQuery, SegmentAnswer, Vectors, unit_rows
from training.evaluation.real_suite import (
    add_ones,
    cell_features,
    frozen_maps,
    pooled_image,
    pooled_text,
    read_captions,
    ridge,
)

PENALTY = 300.0
PROBE_PENALTY = 100.0


class RidgeRetrieval:
    """Images in the space of texts.

    Args:
        folder: captioned images to fit on: COCO's or Karpathy's form, or images beside one CSV.

    Raises:
        FindError: fewer than two pairs.
    """

    def __init__(self, find: Find, folder: Path, limit: int | None = None) -> None:
        self.find = find
        x, y = [], []
        pairs = captioned(folder)[:limit]
        for pixels, texts in pairs:
            image = pooled_image(find, pixels())
            for text in texts:
                x.append(image)
                y.append(pooled_text(find, text))
        if len(x) < 2:
            raise FindError(f"{folder} has {len(x)} captions: a ridge needs at least two.")
        features = np.stack(x)
        self._mean, self._std = features.mean(0), features.std(0) + 1e-6
        self._weights = ridge((features - self._mean) / self._std, np.stack(y), PENALTY)
        self.name = f"ridge of {find.name}'s frozen encoders, {len(pairs)} images of {folder.name}"
        self.fingerprint = find.fingerprint

    def embed_image(self, image: np.ndarray) -> Vectors:
        features = (pooled_image(self.find, image) - self._mean) / self._std
        return Vectors(unit_rows(add_ones(features[None]) @ self._weights)[0])

    def embed_text(self, text: str) -> Vectors:
        return Vectors(unit_rows(pooled_text(self.find, text)[None])[0])


def captioned(folder: Path) -> list[tuple]:
    """(function that gives the image, captions) pairs of a folder."""
    if not (folder / "annotations").is_dir() and any(folder.glob("*.csv")):
        return [
            (lambda path=path: read_image(path), texts) for path, texts in read_captions(folder)
        ]
    return [(i.read, i.texts) for i in sources.captioned_images(folder, None)]


class LinearProbe:
    """Semantic segmentation of the classes that the fitted images show.

    Args:
        root: COCO panoptic folder. split: fitted on.
    """

    def __init__(self, find: Find, root: Path, split: str = "train2017", limit: int | None = None) -> None:  # fmt: skip
        self.find = find
        records = coco.panoptic_records(root, split)[:limit]
        self.classes = sorted({i.name for r in records for i in r.instances})
        cells, labels = zip(*(cell_features(find, r, self.classes) for r in records), strict=True)
        x, y = np.concatenate(cells), np.concatenate(labels)
        x, y = x[y >= 0], y[y >= 0]
        self._mean, self._std = x.mean(0), x.std(0) + 1e-6
        target = np.eye(len(self.classes), dtype=np.float32)[y]
        self._weights = ridge((x - self._mean) / self._std, target, PROBE_PENALTY)
        self.name = f"linear probe of {find.name}'s frozen vision, {len(records)} images"
        self.fingerprint = find.fingerprint

    def segment(self, image: np.ndarray, classes: Sequence[ClassQuery]) -> SegmentAnswer:
        names = [c.name for c in classes]
        asked = [k for k, name in enumerate(self.classes) if name in names]
        scores = self._cell_scores(image)[..., asked]
        place = np.array([names.index(self.classes[k]) for k in asked], np.int32)
        if not len(place):
            return SegmentAnswer(class_map=np.full(image.shape[:2], NO_ANSWER, np.int32))
        return SegmentAnswer(class_map=place[scores.argmax(-1)])

    def _cell_scores(self, image: np.ndarray) -> np.ndarray:
        """(H, W, C) float32: the nearest cell's scores at each pixel."""
        geometry, maps = frozen_maps(self.find, image)
        cells = np.concatenate([maps[2][0].cpu().numpy(), _enlarged(maps[3][0].cpu().numpy(), (maps[2].shape[-2], maps[2].shape[-1]))])  # fmt: skip
        flat = (cells.reshape(len(cells), -1).T - self._mean) / self._std
        scores = (add_ones(flat) @ self._weights).astype(np.float32)
        height, width = maps[2].shape[-2:]
        rows = np.minimum(np.arange(image.shape[0]) * geometry.resized[0] / image.shape[0] // 16, height - 1)  # fmt: skip
        cols = np.minimum(np.arange(image.shape[1]) * geometry.resized[1] / image.shape[1] // 16, width - 1)  # fmt: skip
        return scores.reshape(height, width, -1)[rows.astype(int)][:, cols.astype(int)]


def _enlarged(coarse: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(C, h, w) -> (C, *size), bilinear with half-pixel centres, as `cell_features` does."""
    return np.stack([cv2.resize(c, size[::-1], interpolation=cv2.INTER_LINEAR) for c in coarse])
