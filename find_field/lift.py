"""Posed RGB-D -> FeatureField, no training: weighted fusion of the views' embeddings in voxels.

Dimension letters: N voxels, n points of one frame, Q object queries, D width, k coefficients,
h/w the scene's maps, Hs/Ws the sampled grid of a picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from find_core.errors import FieldError
from find_field.field.basis import DEFAULT_RANK, check_basis, fit_basis, kept_energy
from find_field.field.feature_field import PIXEL, SEMANTIC, Channel, FeatureField, to_half
from find_field.field.voxels import (
    GrowingArray,
    VoxelIndex,
    group,
    group_sum,
    pack,
    unpack,
    voxel_coordinates,
)
from find_field.frames import PosedFrame
from find_field.geometry.pinhole import backproject, pixel_grid, transform, viewing_cosine


@dataclass(frozen=True)
class LiftConfig:
    """How frames become voxels."""

    voxel_size_m: float = 0.01
    """Side of a voxel, metres."""
    rank: int = DEFAULT_RANK
    """Coefficients kept of each embedding, k."""
    basis_frames: int = 8
    """The basis is fitted to the first frames and then fixed, so that order does not matter."""
    pixel: bool = False
    """Also fuse the pixel features (comparable with mask embeddings)."""
    max_depth_m: float = 6.0
    """Farther surface is left out: depth noise grows with its square."""
    min_cosine: float = 0.15
    """Surface seen more grazingly than this, and jumps in depth, are left out."""
    reference_depth_m: float = 1.0
    """Views from nearer than this weigh 1, farther ones fall off with the squared distance."""
    max_points_per_frame: int = 80_000
    """Pictures are sampled sparsely enough to stay below this."""
    frame: str = "world"
    """Name of the world frame that the poses are in."""
    source: str = "lift"
    """What made the field, for its provenance."""
    up_world: tuple[float, float, float] | None = (0.0, 0.0, 1.0)
    """Direction that is up in it; None when unknown (boxes then follow the principal axes)."""


@dataclass(frozen=True, eq=False)
class SurfaceSample:
    """What one frame says of the surface.

    Attributes:
        points_world_m: (n, 3) float64. weights: (n,) float32. colors: (n, 3) uint8.
        values: by channel, (n, k) float32 coefficients.
    """

    points_world_m: np.ndarray
    weights: np.ndarray
    colors: np.ndarray
    values: dict[str, np.ndarray]


@dataclass
class _Sums:
    """Running sums of one channel: of weight * coefficients, and of weight * squared length."""

    basis: np.ndarray
    values: GrowingArray = field(init=False)
    squares: GrowingArray = field(init=False)

    def __post_init__(self) -> None:
        self.values = GrowingArray((self.basis.shape[1],), np.float32)
        self.squares = GrowingArray((), np.float32)


class Lifter:
    """Builds a field frame by frame; ask `field()` for what there is at any time.

        lifter = Lifter(find)
        for frame in camera:
            lifter.add(frame)
            hits = lifter.field().query("the <mug>", find)

    Args:
        find: a `find_core.Find` (anything with encode, fingerprint and name).
        config: `LiftConfig`; or its fields as keyword arguments.
        basis: (D, k) to use instead of fitting one to the first frames. Lifters with the same basis
            agree to rounding, however the frames are grouped.
    """

    def __init__(self, find: Any, config: LiftConfig | None = None, *,
                 basis: np.ndarray | None = None, **options: Any) -> None:  # fmt: skip
        try:
            self.config = replace(config or LiftConfig(), **options)
        except TypeError as error:
            raise FieldError(f"Unknown lift option: {error}; see find_field.LiftConfig.") from None
        self.find = find
        self.frames_fused = 0
        self.lowest_kept_energy = 1.0
        self._index = VoxelIndex()
        self._geometry = GrowingArray((7,), np.float32)  # sums of weight, w*offset (3), w*rgb (3)
        self._count = GrowingArray((), np.int32)
        self._sums: dict[str, _Sums] = {}
        self._waiting: list[tuple[PosedFrame, dict[str, tuple[np.ndarray, np.ndarray]]]] = []
        if basis is not None:
            self._sums[SEMANTIC] = _Sums(check_basis(basis, len(basis)))

    def add(self, frame: PosedFrame, scene: Any = None) -> None:
        """Fuse one frame; `scene` is its `find.encode(frame.rgb)` when that is already there.

        Raises:
            FieldError: the frame has no depth.
        """
        if frame.depth_m is None:
            raise FieldError(f"{frame.name} has no depth: lifting needs RGB-D (or ns-train).")
        scene = self.find.encode(frame.rgb) if scene is None else scene
        maps = {SEMANTIC: scene.semantic_map()}
        if self.config.pixel:
            features = scene.pixel_features()
            maps[PIXEL] = (features, np.eye(len(features), dtype=np.float32))
        self._waiting.append((frame, maps))
        if self._ready() or len(self._waiting) >= self.config.basis_frames:
            self._flush()

    def field(self) -> FeatureField:
        """The field of all frames so far (a copy: adding frames does not change it).

        Raises:
            FieldError: no frame was added.
        """
        self._flush()
        if not self.frames_fused:
            raise FieldError("No frame was lifted: add at least one PosedFrame with depth.")
        sums = self._geometry.view
        weight = np.maximum(sums[:, :1], 1e-12)
        ijk = unpack(self._index.keys())
        centre = (ijk + 0.5) * self.config.voxel_size_m
        return FeatureField(
            voxel_size_m=self.config.voxel_size_m,
            ijk=ijk,
            points_world_m=(centre + sums[:, 1:4] / weight).astype(np.float32),
            colors=np.clip(np.rint(sums[:, 4:] / weight), 0, 255).astype(np.uint8),
            weight=sums[:, 0].copy(),
            count=self._count.view.copy(),
            channels={name: _channel(s, weight) for name, s in self._sums.items()},
            provenance=self._provenance(),
        )

    def coefficients(self, kind: str = SEMANTIC) -> np.ndarray:
        """(N, k) float32 mean coefficients, before the field's rounding to float16."""
        self._flush()
        return self._sums[kind].values.view / np.maximum(self._geometry.view[:, :1], 1e-12)

    @property
    def basis(self) -> np.ndarray | None:
        """(D, k) of the semantic channel, once fixed."""
        return self._sums[SEMANTIC].basis if SEMANTIC in self._sums else None

    def _ready(self) -> bool:
        return SEMANTIC in self._sums and (not self.config.pixel or PIXEL in self._sums)

    def _flush(self) -> None:
        if not self._waiting:
            return
        for kind in self._waiting[0][1]:
            if kind not in self._sums:
                seen = [_basis_rows(kind, *maps[kind]) for _, maps in self._waiting]
                self._sums[kind] = _Sums(fit_basis(np.concatenate(seen), self.config.rank))
        waiting, self._waiting = self._waiting, []
        for frame, maps in waiting:
            self._fuse(frame, maps)

    def _fuse(self, frame: PosedFrame, maps: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        kept = kept_energy(maps[SEMANTIC][1], self._sums[SEMANTIC].basis)
        self.lowest_kept_energy = min(self.lowest_kept_energy, kept)
        bases = {kind: sums.basis for kind, sums in self._sums.items()}
        self.add_sample(sample_frame(frame, maps, bases, self.config))

    def add_sample(self, sample: SurfaceSample) -> None:
        """Fuse surface points whose coefficients are already in this lifter's basis."""
        self.frames_fused += 1
        size = self.config.voxel_size_m
        ijk = voxel_coordinates(sample.points_world_m, size)
        keys, inverse = group(pack(ijk))
        rows = self._index.find_or_add(keys)
        total = len(self._index)
        per_voxel = group_sum(inverse, sample.weights, len(keys))
        offset = (sample.points_world_m - (ijk + 0.5) * size).astype(np.float32)
        ones = np.ones((len(offset), 1), np.float32)
        geometry = np.concatenate([ones, offset, sample.colors.astype(np.float32)], axis=1)
        # Rows are distinct, so += through an index adds each of them once.
        self._geometry.resize(total)[rows] += per_voxel @ geometry
        self._count.resize(total)[rows] += np.bincount(inverse, minlength=len(keys)).astype(
            np.int32
        )
        for kind, values in sample.values.items():
            sums = self._sums[kind]
            sums.values.resize(total)[rows] += per_voxel @ values
            sums.squares.resize(total)[rows] += per_voxel @ np.einsum("nk,nk->n", values, values)

    def _provenance(self) -> dict[str, Any]:
        return {
            "model": getattr(self.find, "name", "unknown"),
            "fingerprint": self.find.fingerprint,
            "frame": self.config.frame,
            "up_world": None if self.config.up_world is None else list(self.config.up_world),
            "frames": self.frames_fused,
            "source": self.config.source,
            "lowest_kept_energy": round(self.lowest_kept_energy, 6),
        }


def lift(frames: Iterable[PosedFrame], find: Any, config: LiftConfig | None = None,
         **options: Any) -> FeatureField:  # fmt: skip
    """A field of posed RGB-D frames: `Lifter` over all of them.

    Raises:
        FieldError: no frames, or one without depth.
    """
    lifter = Lifter(find, config, **options)
    for frame in frames:
        lifter.add(frame)
    return lifter.field()


def sample_frame(
    frame: PosedFrame,
    maps: dict[str, tuple[np.ndarray, np.ndarray]],
    bases: dict[str, np.ndarray],
    config: LiftConfig,
) -> SurfaceSample:
    """The surface points of a frame with their weights and coefficients.

    Args:
        maps: by channel, (probabilities (Q, h, w), embeddings (Q, D)) as `Scene.semantic_map`.
        bases: by channel, (D, k).
    """
    depth_m, stride = _sampled_depth(frame, config)
    cosine = viewing_cosine(depth_m, frame.K, stride)
    valid = (cosine >= config.min_cosine) & (depth_m <= config.max_depth_m)  # NaN compares False
    u, v = pixel_grid(frame.height, frame.width, stride)
    rows, cols = np.nonzero(valid)
    z = depth_m[valid].astype(np.float64)
    points = transform(frame.T_world_camera, backproject(z, frame.K, u[cols], v[rows]))
    near = np.minimum(1.0, (config.reference_depth_m / z) ** 2)
    confidence = _resized(maps[SEMANTIC][0].max(axis=0)[..., None], depth_m.shape)[valid][:, 0]
    return SurfaceSample(
        points_world_m=points,
        weights=(confidence * cosine[valid] * near).astype(np.float32),
        colors=frame.rgb[stride // 2 :: stride, stride // 2 :: stride][valid],
        values={kind: _resized(_coefficients(*maps[kind], basis), depth_m.shape)[valid]
                for kind, basis in bases.items()},
    )  # fmt: skip


def _sampled_depth(frame: PosedFrame, config: LiftConfig) -> tuple[np.ndarray, int]:
    """Depth at every stride-th pixel: half a voxel apart at the median depth, or sparser."""
    assert frame.depth_m is not None
    pixels = frame.height * frame.width
    stride = int(np.ceil(np.sqrt(pixels / config.max_points_per_frame)))
    coarse = frame.depth_m[::8, ::8]
    if np.isfinite(coarse).any():
        footprint = float(np.nanmedian(coarse)) / frame.K[0, 0]
        stride = max(stride, int(config.voxel_size_m / 2 / footprint))
    stride = min(max(stride, 1), 8)
    return frame.depth_m[stride // 2 :: stride, stride // 2 :: stride], stride


def _coefficients(maps_Qhw: np.ndarray, embeddings_QD: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(h, w, k): the per-pixel embedding in the basis; s_q is projected before the pixels are."""
    q, h, w = maps_Qhw.shape
    return (maps_Qhw.reshape(q, h * w).T @ (embeddings_QD @ basis)).reshape(h, w, -1)


def _resized(map_hwc: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """(Hs, Ws, c) bilinear; both grids cover the whole picture."""
    out = cv2.resize(map_hwc, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR)
    return out.reshape(*size_hw, -1)


def _basis_rows(kind: str, maps_Qhw: np.ndarray, embeddings_QD: np.ndarray) -> np.ndarray:
    """(M, D) rows that a basis is fitted to: embeddings as long as the root of their area."""
    area = maps_Qhw.reshape(len(maps_Qhw), -1)
    if kind == PIXEL:  # plain features: some of the pixels themselves
        return area[:, :: max(1, area.shape[1] // 512)].T
    return embeddings_QD * np.sqrt(area.mean(axis=1, keepdims=True) + 1e-4)


def _channel(sums: _Sums, weight: np.ndarray) -> Channel:
    mean = sums.values.view / weight
    spread = sums.squares.view / weight[:, 0] - np.einsum("nk,nk->n", mean, mean)
    return Channel(sums.basis, to_half(mean), to_half(np.maximum(spread, 0)))
