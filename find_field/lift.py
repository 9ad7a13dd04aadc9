"""Posed RGB-D -> FeatureField, no training: weighted fusion of the views' embeddings in voxels.

Dimension letters: N voxels, n points of one frame, Q object queries, D width, k coefficients,
h/w the scene's maps, Hs/Ws the sampled grid of an image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np

from find_core.errors import FieldError
from find_core.prompts.prompt import Prompt
from find_core.protocols import CompiledLike, EmbeddedImage, FindLike
from find_core.support.numbers import check_number
from find_field.field import query
from find_field.field.basis import DEFAULT_RANK, check_basis, fit_basis, kept_energy
from find_field.field.data import PIXEL, SEMANTIC, FieldData
from find_field.field.feature_field import FeatureField
from find_field.field.fusion import Fusion, SurfaceSample
from find_field.field.hits import FieldHits
from find_field.frames import PosedFrame
from find_field.geometry.free_space import FreeSpace
from find_field.geometry.pinhole import backproject, pixel_grid, transform, viewing_cosine
from find_field.geometry.up import Up, UpEvidence, choose_up, direction_of, read_up

# By channel: probabilities (Q, h, w) of each pixel, and what each of the Q stands for, (Q, D) or
# (Q, k). A pixel's embedding is the mean of the rows by its probabilities.
Maps = dict[str, tuple[np.ndarray, np.ndarray]]


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
    """Images are sampled sparsely enough to stay below this."""
    forget: bool = True
    """Voxels that later frames see through disappear: objects are taken and moved, people pass."""
    forget_views: int = 4
    """...after so many clear views in a row."""
    forget_noise: float = 0.012
    """...whose surface lies behind by half a voxel and this times its squared depth, metres: what a
    Kinect's depth and the poses of a tracked camera are off by."""
    forget_edge: float = 0.02
    """...in all pixels around, up to this share of the image's width: edges are not where poses say
    they are."""
    frame: str = "world"
    """Name of the world frame that the poses are in."""
    source: str = "lift"
    """What made the field, for its provenance."""
    up_world: tuple[float, float, float] | str | None = (0.0, 0.0, 1.0)
    """Direction that is up in it; None when unknown (boxes then follow the principal axes). "auto"
    estimates it from cameras and surfaces; "check" keeps z unless they speak clearly against it."""

    def __post_init__(self) -> None:
        """Refuse numbers with which no field can be made.

        Raises:
            FieldError: names the option.
        """
        for name, low, high in (
            ("voxel_size_m", 1e-6, 1e4), ("rank", 1, 1e6), ("basis_frames", 1, 1e6),
            ("max_depth_m", 1e-3, 1e6), ("min_cosine", 0, 1), ("reference_depth_m", 1e-3, 1e6),
            ("max_points_per_frame", 1, 1e9), ("forget_views", 1, 255), ("forget_noise", 0, 1),
            ("forget_edge", 0, 1),
        ):  # fmt: skip
            check_number(getattr(self, name), name, FieldError, low, high)
        if isinstance(self.up_world, str):
            read_up(self.up_world)
        elif self.up_world is not None:
            direction_of(self.up_world)


class Lifter:
    """Builds a field frame by frame, and answers at any time.

        lifter = Lifter(find)
        for frame in camera:
            lifter.add(frame)
            hits = lifter.query("the <mug>")
        lifter.field().save("room.field")

    Args:
        find: the model (anything with encode, compile, fingerprint and name).
        config: `LiftConfig`; or its fields as keyword arguments.
        basis: (D, k) to use instead of fitting one to the first frames. Lifters with the same basis
            agree to rounding, however the frames are grouped. Where things move, the order of
            frames is that of time (`LiftConfig.forget`).
        start: a field to go on from: its voxels, their size, world frame, channels and bases.

    Raises:
        FieldError: an unknown option, not a basis, or a field of another model.
    """

    def __init__(self, find: FindLike[EmbeddedImage], config: LiftConfig | None = None, *,
                 basis: np.ndarray | None = None, start: FieldData | None = None,
                 **options: Any) -> None:  # fmt: skip
        try:
            self.config = replace(config or LiftConfig(), **options)
        except TypeError as error:
            raise FieldError(f"Unknown lift option: {error}; see find_field.LiftConfig.") from None
        self.find = find
        self.frames_fused = 0
        self.lowest_kept_energy = 1.0
        self.up_evidence = UpEvidence()
        self._eyes_m = np.zeros(3)  # sum of the cameras' places
        self._up: tuple[int, Up] | None = None
        self._start = start
        self._waiting: list[tuple[PosedFrame, Maps]] = []
        if start is not None:
            start.check_model(find)
            self.config = replace(self.config, voxel_size_m=start.voxel_size_m, frame=start.frame,
                                  pixel=PIXEL in start.channels)  # fmt: skip
        self._fusion = Fusion(self.config.voxel_size_m)
        if start is not None:
            self._fusion.start_from(start)
        elif basis is not None:
            self._fusion.add_channel(SEMANTIC, check_basis(basis, len(basis)))

    def __len__(self) -> int:
        """Voxels so far; frames that wait for a basis are not among them."""
        return len(self._fusion)

    def add(self, frame: PosedFrame, scene: EmbeddedImage | None = None) -> None:
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

    def add_sample(self, sample: SurfaceSample, free: FreeSpace | None = None) -> None:
        """Fuse surface points whose coefficients are already in this lifter's basis.

        Args:
            free: what the same frame saw through.
        """
        self.frames_fused += 1
        self._fusion.add(sample, free, self.config.forget_views)

    def query(self, prompt: Prompt | str | CompiledLike, config: query.QueryConfig | None = None,
              **overrides: Any) -> FieldHits:  # fmt: skip
        """What `field().query(prompt, find)` answers, without copying the field first.

        Raises:
            FieldError: no frame was added, or an unknown option. PromptError: not a prompt.
        """
        return query.query(self._live(), prompt, self.find, config, **overrides)

    def field(self) -> FeatureField:
        """The field of all frames so far (a copy: adding frames does not change it).

        Raises:
            FieldError: no frame was added.
        """
        live = self._live(searchable=False)
        parts = {f.name: getattr(live, f.name) for f in fields(live)}
        view = FeatureField(**parts)
        return view.crop(np.arange(len(view)))

    def coefficients(self, kind: str = SEMANTIC) -> np.ndarray:
        """(N, k) float32 mean coefficients, before the field's rounding to float16."""
        self._flush()
        return self._fusion.coefficients(kind)

    @property
    def basis(self) -> np.ndarray | None:
        """(D, k) of the semantic channel, once fixed."""
        return self._fusion.bases.get(SEMANTIC)

    def _live(self, searchable: bool = True) -> FieldData:
        """The field so far, as views that hold until the next frame."""
        self._flush()
        if not self.frames_fused and self._start is None:
            raise FieldError(
                "The field is empty: no frame was lifted, add a PosedFrame with depth."
            )
        return self._fusion.live(self._provenance(), searchable)

    def _ready(self) -> bool:
        wanted = {SEMANTIC, PIXEL} if self.config.pixel else {SEMANTIC}
        return wanted <= set(self._fusion.bases)

    def _flush(self) -> None:
        if not self._waiting:
            return
        for kind in self._waiting[0][1]:
            if kind not in self._fusion.bases:
                seen = [_basis_rows(kind, *maps[kind]) for _, maps in self._waiting]
                basis = fit_basis(np.concatenate(seen), self.config.rank)
                self._fusion.add_channel(kind, basis)
        waiting, self._waiting = self._waiting, []
        for frame, maps in waiting:
            self._fuse(frame, maps)

    def _fuse(self, frame: PosedFrame, maps: Maps) -> None:
        bases = self._fusion.bases
        projected = {kind: (p, vectors @ bases[kind]) for kind, (p, vectors) in maps.items()}
        kept = kept_energy(maps[SEMANTIC][1], projected[SEMANTIC][1])
        self.lowest_kept_energy = min(self.lowest_kept_energy, kept)
        if self.config.up_world in ("auto", "check") and frame.depth_m is not None:
            self.up_evidence.add_depth(frame.depth_m, frame.K, frame.T_world_camera)
        self._eyes_m = self._eyes_m + frame.T_world_camera[:3, 3]
        free = free_space(frame, self.config) if self.config.forget else None
        self.add_sample(sample_frame(frame, projected, self.config), free)

    @property
    def up(self) -> Up:
        """What is up in the world frame, by the frames so far, and how that is known."""
        views = len(self.up_evidence)
        if self._up is None or views >= self._up[0] * 1.25 + 1:  # an estimate costs half a second
            self._up = views, choose_up(self.config.up_world, self.up_evidence)
        return self._up[1]

    def _provenance(self) -> dict[str, Any]:
        lowest = self.lowest_kept_energy
        own = {
            "model": getattr(self.find, "name", "unknown"),
            "fingerprint": self.find.fingerprint,
            "frame": self.config.frame,
            **self.up.to_json(),
            "frames": self.frames_fused,
            "seen_from_m": np.round(self._eyes_m / max(self.frames_fused, 1), 4).tolist(),
            "source": self.config.source,
            "lowest_kept_energy": round(lowest, 6),
        }
        if self._start is None:
            return own
        before = self._start.provenance
        lowest = min(lowest, before.get("lowest_kept_energy", 1.0))
        both = {"frames": before.get("frames", 0) + self.frames_fused, "source": "merge"}
        return {**own, **before, **both, "lowest_kept_energy": round(lowest, 6)}


def lift(frames: Iterable[PosedFrame], find: FindLike[EmbeddedImage],
         config: LiftConfig | None = None, **options: Any) -> FeatureField:  # fmt: skip
    """A field of posed RGB-D frames: `Lifter` over all of them.

    Raises:
        FieldError: no frames, or one without depth.
    """
    lifter = Lifter(find, config, **options)
    for frame in frames:
        lifter.add(frame)
    return lifter.field()


def sample_frame(frame: PosedFrame, maps: Maps, config: LiftConfig) -> SurfaceSample:
    """The surface points of a frame with their weights and coefficients.

    A point weighs the model's confidence times the viewing angle's cosine, and less with the square
    of its depth beyond `reference_depth_m`.

    Args:
        frame: with depth.
        maps: by channel, probabilities (Q, h, w) and coefficients (Q, k).
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
        values={kind: _resized(_mixed(*maps[kind]), depth_m.shape)[valid]
                for kind in maps},
        stamp_ns=frame.stamp_ns,
    )  # fmt: skip


def free_space(frame: PosedFrame, config: LiftConfig) -> FreeSpace:
    """What a frame with depth sees through."""
    assert frame.depth_m is not None
    return FreeSpace(
        frame.depth_m, frame.K, frame.T_world_camera, slack_m=config.voxel_size_m / 2,
        noise_per_m=config.forget_noise, edge_px=int(np.ceil(config.forget_edge * frame.width)),
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


def _mixed(maps_Qhw: np.ndarray, coefficients_Qk: np.ndarray) -> np.ndarray:
    """(h, w, k): each pixel's mean of the rows, by its probabilities."""
    q, h, w = maps_Qhw.shape
    return (maps_Qhw.reshape(q, h * w).T @ coefficients_Qk).reshape(h, w, -1)


def _resized(map_hwc: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """(Hs, Ws, c) bilinear; both grids cover the whole image."""
    out = cv2.resize(map_hwc, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR)
    return out.reshape(*size_hw, -1)


def _basis_rows(kind: str, maps_Qhw: np.ndarray, embeddings_QD: np.ndarray) -> np.ndarray:
    """(M, D) rows that a basis is fitted to: embeddings as long as the root of their area."""
    area = maps_Qhw.reshape(len(maps_Qhw), -1)
    if kind == PIXEL:  # plain features: some of the pixels themselves
        return area[:, :: max(1, area.shape[1] // 512)].T
    return embeddings_QD * np.sqrt(area.mean(axis=1, keepdims=True) + 1e-4)
