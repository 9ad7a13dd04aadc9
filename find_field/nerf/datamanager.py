"""Datamanager: nerfstudio's own, whose batches also carry feature coefficients and depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datamanagers.base_datamanager import (
    VanillaDataManager,
    VanillaDataManagerConfig,
)
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.utils.data_utils import get_depth_image_from_path
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import track

import find_core
from find_core.errors import FieldError
from find_core.images import measure_image, read_bytes, read_image
from find_core.protocols import EmbeddedImage, FindLike
from find_core.support.printable import shown
from find_field.nerf.feature_cache import FeatureCache, FeatureSet, build_set

# Models by name that `find_core.load` does not know, made of (data, device); evaluations add theirs.
OTHER_MODELS: dict[str, Callable[[Path, str], FindLike[EmbeddedImage]]] = {}
# Of the features' squared length, within a checkpoint's basis; below, they are another model's.
_KEPT_ENERGY = 0.9


class FindFieldDataset(InputDataset):
    """Images, with depth where the data has it and feature maps where they were built."""

    exclude_batch_keys_from_device: ClassVar[list[str]] = [
        *InputDataset.exclude_batch_keys_from_device,
        "depth_image",
    ]
    feature_set: FeatureSet | None = None

    def get_metadata(self, data: dict) -> dict:
        index, out = data["image_idx"], {}
        if (filenames := self.metadata.get("depth_filenames")) is not None:
            scale = self.metadata["depth_unit_scale_factor"]
            height, width = data["image"].shape[:2]
            out["depth_image"] = get_depth_image_from_path(
                filepath=filenames[index], height=height, width=width,
                scale_factor=scale * self._dataparser_outputs.dataparser_scale,
            )  # fmt: skip
        if self.feature_set is not None:
            out["features"] = torch.from_numpy(np.array(self.feature_set.maps[index], np.float32))
        return out

    def image_rgb(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, as the model encodes it.

        Decoded as everywhere in this project: JPEG decoders differ by a bit here and there, and
        the cache knows images by their pixels.
        """
        if self.scale_factor == 1.0:
            return read_image(self._dataparser_outputs.image_filenames[index], upright=False)
        return np.ascontiguousarray(self.get_numpy_image(index)[..., :3])


@dataclass
class FindFieldDataManagerConfig(VanillaDataManagerConfig):
    """A datamanager that also supplies embeddings."""

    _target: type = field(default_factory=lambda: FindFieldDataManager)
    """target class to instantiate"""
    find: str = "find-tabletop"
    """Model whose embeddings are learned: packaged name, directory, hub id or official .pt."""
    feature_rank: int = 48
    """Coefficients per embedding."""
    feature_cache: Path = Path("~/.cache/find_field")
    """Where images' features are kept; safe to delete."""


class FindFieldDataManager(VanillaDataManager[FindFieldDataset]):
    """Adds `features` (R, k) to training batches and (h, w, k) to evaluation images."""

    config: FindFieldDataManagerConfig
    train_dataset: FindFieldDataset
    eval_dataset: FindFieldDataset

    def __init__(self, config: FindFieldDataManagerConfig, device: Any = "cpu", **kwargs: Any):
        try:
            super().__init__(config, device, **kwargs)
        except FileNotFoundError as error:
            raise FieldError(
                f"There is no {shown(error.filename)}: check --data, and that the paths in its "
                "transforms.json are written with /."
            ) from None
        for dataset in (self.train_dataset, self.eval_dataset):
            check_sizes(dataset)
        data = Path(config.data or config.dataparser.data)
        self.find = _load(config.find, data, str(device).split(":")[0])
        self._cache = FeatureCache(config.feature_cache, self.find)
        self.features = self._build(None)
        CONSOLE.print(
            f"Features of {self.find.name}: {self._cache.computed} images encoded, "
            f"{len(self.train_dataset)} for training, rank {self.features.basis.shape[1]}, "
            f"cache {self._cache.nbytes / 2**20:.1f} MiB in {self._cache.folder}"
        )
        # The pipeline hands this on to the model.
        self.train_dataset.metadata["find_basis"] = torch.from_numpy(self.features.basis)
        self.train_dataset.metadata["find_mean"] = torch.from_numpy(self.features.mean)

    def use_basis(self, basis: np.ndarray) -> None:
        """Give coefficients of this basis (D, k), a checkpoint's, instead of the one fitted here.

        A basis fitted again, on another machine or after the cache was deleted, may differ in signs
        and order.

        Raises:
            FieldError: it is that of other features than these images have.
        """
        own = self.features
        if np.array_equal(basis, own.basis):
            return
        kept = 0.0
        if len(basis) == len(own.basis):
            self.features = self._build(basis)
            kept = _energy(self.features) / max(_energy(own), 1e-12)
        if kept < _KEPT_ENERGY:
            raise FieldError(
                f"This run learned other features than {self.find.name} gives to these images "
                f"(they share {100 * kept:.0f} % of them): name the model and the data it was "
                "trained with, or train again."
            )

    def _build(self, basis: np.ndarray | None) -> FeatureSet:
        """The training images' features; the evaluation images are given theirs."""
        features = self._build_one(self.train_dataset, basis)
        if self.eval_dataset is not None and len(self.eval_dataset):
            self.eval_dataset.feature_set = self._build_one(self.eval_dataset, features.basis)
        return features

    def _build_one(self, dataset: FindFieldDataset, basis: np.ndarray | None) -> FeatureSet:
        images = [lambda i=i: dataset.image_rgb(i) for i in range(len(dataset))]
        return build_set(
            self._cache, images, self.config.feature_rank, basis,
            progress=lambda items: track(items, "Encoding images", console=CONSOLE),
        )  # fmt: skip

    def next_train(self, step: int) -> tuple[RayBundle, dict]:
        rays, batch = super().next_train(step)
        batch["features"] = self._features_at(batch["indices"])
        return rays, batch

    def _features_at(self, indices: torch.Tensor) -> torch.Tensor:
        """(R, k) float32 at (image, row, column) indices (R, 3)."""
        image, row, column = indices.cpu().numpy().T
        cameras = self.train_dataset.cameras
        height = cameras.height[image, 0].cpu().numpy()
        width = cameras.width[image, 0].cpu().numpy()
        values = self.features.sample(image, (column + 0.5) / width, (row + 0.5) / height)
        return torch.from_numpy(values).to(self.device)


def check_sizes(dataset: FindFieldDataset | None) -> None:
    """Compare each camera with its image: nerfstudio draws rays of the one for pixels of the other.

    Raises:
        FieldError: they differ in size. ImageError: an image is missing or damaged.
    """
    if dataset is None or dataset.scale_factor != 1.0:
        return
    sizes = zip(dataset.cameras.height.flatten(), dataset.cameras.width.flatten(), strict=True)
    for path, (height, width) in zip(dataset.image_filenames, sizes, strict=True):
        header = measure_image(read_bytes(path), shown(path, 200))
        if (header.height, header.width) != (int(height), int(width)):
            raise FieldError(
                f"{shown(path, 200)} is {header.width}x{header.height}, its camera "
                f"{int(width)}x{int(height)}: correct w and h in transforms.json, and fl_x, fl_y, cx, cy "
                "with them."
            )


def _load(name: str, data: Path, device: str) -> FindLike[EmbeddedImage]:
    if name in OTHER_MODELS:
        return OTHER_MODELS[name](data, device)
    return find_core.load(name, device=device)


def _energy(features: FeatureSet) -> float:
    """Mean squared length of the coefficients; of sixteen images at most."""
    some = features.maps[:: max(1, len(features.maps) // 16)].astype(np.float32)
    return float(np.square(some).sum(axis=-1).mean())
