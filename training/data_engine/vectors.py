"""Vectors of all segments, by workers, kept as they come: what visual stand-ins are chosen by."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.data_engine.journal import Journal
from training.engine.spread import Spread, each_done, open_workers
from training.evaluation.bench.interleave import Region, region_vectors
from training.evaluation.bench.models.open import open_model
from training.evaluation.bench.sources import PanopticImage

Progress = Callable[[int, int], None]
Row = tuple[int, int, str]
"""Class, segment id, and the vector's float32 numbers in base64."""


class Embedder:
    """Opens a model once and embeds the segments of image after image."""

    def __init__(self, model: str, input_px: int | None = None) -> None:
        self._model = open_model(model, input_px)

    def __call__(self, image: PanopticImage) -> list[Row]:
        return [
            (kind, number, base64.b64encode(vector.astype("<f4").tobytes()).decode())
            for kind, number, vector in region_vectors(self._model, image)
        ]


def embedded_by(
    model: str, about: dict[str, Any], path: Path, spread: Spread, progress: Progress,
    input_px: int | None = None,
) -> Callable[[Sequence[PanopticImage]], Iterator[Region]]:  # fmt: skip
    """A function for `bench.interleave.build`: vectors by workers, and by `path` where they stand.

    Args:
        model: see `open_model`. about: what the vectors are of, model's fingerprint included.
    """

    def embed(images: Sequence[PanopticImage]) -> Iterator[Region]:
        with Journal(path, about) as journal:
            known = {e["image"]: e["rows"] for e in journal.entries}
            waiting = [i for i in images if i.image_id not in known]
            if waiting:
                make = functools.partial(Embedder, model, input_px)
                before = len(images) - len(waiting)
                with open_workers(make, spread) as workers:
                    told = lambda done, total: progress(before + done, before + total)  # noqa: E731
                    for place, rows in each_done(workers, [(i,) for i in waiting], told):
                        known[waiting[place].image_id] = rows
                        journal.add({"image": waiting[place].image_id, "rows": rows})
        for image in images:
            for kind, number, packed in known[image.image_id]:
                vector = np.frombuffer(base64.b64decode(packed), "<f4")
                yield (image.image_id, number), kind, vector

    return embed
