"""Images' semantic maps on disk: computed once per model and image, read by memory mapping.

    ROOT/<fingerprint>/<image hash>.maps.npy      (Q, h, w) float16
    ROOT/<fingerprint>/<image hash>.vectors.npy   (Q, D) float32, written last: marks it complete
    ROOT/<fingerprint>/set-<hash>.npy               (n, h, w, k) float16, a training set's maps
    ROOT/<fingerprint>/set-<hash>.basis.npy         (D, k) float32

A killed run goes on where it stopped; another model or another image never meets its files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from find_core.errors import FieldError
from find_core.images import image_key
from find_core.protocols import EmbeddedImage, FindLike
from find_core.support.files import replace_file
from find_core.support.formats import Array, read_npy
from find_field.field.basis import fit_basis


class FeatureCache:
    """Semantic maps of images by content.

    Args:
        root: folder of the cache, made if missing. find: the model.
    """

    def __init__(self, root: str | Path, find: FindLike[EmbeddedImage]) -> None:
        self.find = find
        self.folder = Path(root).expanduser() / str(find.fingerprint)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.computed = 0

    def semantic_map(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """((Q, h, w) float16 memory-mapped, (Q, D) float32) of a (H, W, 3) uint8 RGB image."""
        key = image_key(image)
        maps_path, vectors_path = (self.folder / f"{key}.{p}.npy" for p in ("maps", "vectors"))
        cached = _read_map(maps_path, vectors_path)
        if cached is not None:
            return cached
        maps, vectors = self.find.encode(image).semantic_map()
        maps, vectors = maps.astype(np.float16), vectors.astype(np.float32)
        _save(maps_path, maps)
        _save(vectors_path, vectors)
        self.computed += 1
        return _read_map(maps_path, vectors_path) or (maps, vectors)

    @property
    def nbytes(self) -> int:
        """Size of this model's files on disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Coefficient maps of a set of images.

    Attributes:
        maps: (n, h, w, k) float16, memory-mapped; each covers its whole image, whatever its size.
        basis: (D, k) float32. mean: (k,) float32, over all maps.
    """

    maps: np.ndarray
    basis: np.ndarray
    mean: np.ndarray

    def sample(self, image: np.ndarray, x01: np.ndarray, y01: np.ndarray) -> np.ndarray:
        """(m, k) float32, bilinear, at positions in [0, 1] across and down of images (m,)."""
        _, h, w, _ = self.maps.shape
        x = np.clip(x01 * w - 0.5, 0, w - 1)
        y = np.clip(y01 * h - 0.5, 0, h - 1)
        x0, y0 = np.minimum(x.astype(int), max(w - 2, 0)), np.minimum(y.astype(int), max(h - 2, 0))
        x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
        fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
        top = self.maps[image, y0, x0] * (1 - fx) + self.maps[image, y0, x1] * fx
        bottom = self.maps[image, y1, x0] * (1 - fx) + self.maps[image, y1, x1] * fx
        return (top * (1 - fy) + bottom * fy).astype(np.float32)


def build_set(
    cache: FeatureCache,
    images: Sequence[Callable[[], np.ndarray]],
    rank: int,
    basis: np.ndarray | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> FeatureSet:
    """Coefficient maps of images, in one basis fitted to all of them (or the one given).

    Args:
        images: functions that read one image each, (H, W, 3) uint8 RGB.
        progress: wraps the loop that may have to encode (e.g. rich.progress.track).
    """
    keys, parts = [], []
    for read in progress(images):
        image = read()
        keys.append(image_key(image))
        parts.append(cache.semantic_map(image))
    digest = hashlib.sha256(("\n".join(keys) + f"\n{rank}").encode())
    digest.update(b"" if basis is None else basis.tobytes())
    path = cache.folder / f"set-{digest.hexdigest()[:24]}.npy"
    basis_path = path.with_suffix(".basis.npy")
    cached = _read_set(path, basis_path, parts)
    if cached is None:
        basis = _common_basis(parts, rank) if basis is None else basis
        _save(basis_path, basis.astype(np.float32))
        _save(path, _coefficient_maps(parts, basis))
        cached = _read_set(path, basis_path, parts)
    if cached is None:
        raise FieldError(f"The feature cache {cache.folder} cannot be read back: check the disk.")
    maps, basis = cached
    return FeatureSet(maps, basis, maps.mean(axis=(0, 1, 2), dtype=np.float32))


def _read_map(maps_path: Path, vectors_path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """A picture's files; None where they are missing or damaged: a cache heals itself."""
    vectors = read_npy(vectors_path, Array("Q D", "float32"))
    maps = read_npy(
        maps_path, Array("Q h w", "float16"), {} if vectors is None else {"Q": len(vectors)}
    )
    return None if maps is None or vectors is None or not maps.size else (maps, np.array(vectors))


def _read_set(
    path: Path, basis_path: Path, parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray] | None:
    """A set's files; None where they are missing, damaged or not of these pictures' sizes."""
    (_, h, w), width = parts[0][0].shape, parts[0][1].shape[1]
    basis = read_npy(basis_path, Array("D k", "float32"), {"D": width})
    if basis is None:
        return None
    sizes = {"n": len(parts), "h": h, "w": w, "k": basis.shape[1]}
    maps = read_npy(path, Array("n h w k", "float16"), sizes)
    return None if maps is None else (maps, np.array(basis))


def _common_basis(parts: Sequence[tuple[np.ndarray, np.ndarray]], rank: int) -> np.ndarray:
    rows = []
    for maps, vectors in parts:
        area = maps.reshape(len(maps), -1).mean(axis=1, dtype=np.float32)
        rows.append(vectors * np.sqrt(area + 1e-4)[:, None])
    return fit_basis(np.concatenate(rows), rank)


def _coefficient_maps(
    parts: Sequence[tuple[np.ndarray, np.ndarray]], basis: np.ndarray
) -> np.ndarray:
    """(n, h, w, k) float16; maps of other sizes are resized to the first one's."""
    h, w = parts[0][0].shape[1:]
    out = np.empty((len(parts), h, w, basis.shape[1]), np.float16)
    for i, (maps, vectors) in enumerate(parts):
        q, own_h, own_w = maps.shape
        flat = maps.reshape(q, -1).astype(np.float32).T @ (vectors @ basis)
        full = flat.reshape(own_h, own_w, -1)
        if (own_h, own_w) != (h, w):
            full = cv2.resize(full, (w, h), interpolation=cv2.INTER_AREA)
        out[i] = full
    return out


def _save(path: Path, array: np.ndarray) -> None:
    replace_file(path, lambda file: _write(file, array), FieldError)


def _write(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
