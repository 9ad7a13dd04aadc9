"""Textures: photographs that packages ship, and patterns drawn from a seed.

All textures are (512, 512, 3) uint8 RGB. Photographs are split by name: every fifth is reserved
for the validation and held-out worlds, and so are the seeds of drawn ones.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from training.tabletop.assets.colors import WORDS, sample_shade
from training.tabletop.assets.meshes import TEXTURE_SIZE, load_texture
from training.tabletop.assets.packages import libero_assets, robosuite_assets

PATTERNS = ("striped", "checkered", "dotted", "wooden", "marble", "stone")
_RESERVED_EVERY = 5
_WOOD = ("wood", "mahogany", "plank")


@lru_cache(maxsize=4)
def photograph_paths(split: str) -> tuple[Path, ...]:
    """Surface photographs that a split may use; `train` and the others share none."""
    folders = [libero_assets() / "textures", robosuite_assets() / "textures"]
    paths = sorted(
        (p for f in folders if f.is_dir() for p in f.glob("*.png")), key=lambda p: (p.name, str(p))
    )
    stems = sorted({_stem(p) for p in paths})
    reserved = {s for i, s in enumerate(stems) if i % _RESERVED_EVERY == 2}
    packaging = {"bread", "can", "cereal", "lemon", "soda"}
    return tuple(
        p
        for p in paths
        if ((_stem(p) in reserved) != (split == "train")) and p.stem not in packaging
    )


def _stem(path: Path) -> str:
    """Names that the packages use for one image in several spellings become equal."""
    stem = path.stem.replace("_", "-").replace("grey", "gray")
    for prefix in ("new-", "smooth-", "tile-"):
        stem = stem.removeprefix(prefix)
    return stem


@lru_cache(maxsize=128)
def _photograph(path: Path) -> np.ndarray:
    return load_texture(path)


def surface_texture(rng: np.random.Generator, split: str) -> tuple[np.ndarray, str]:
    """A texture for a table, floor or wall, and its material word ("" when unclear)."""
    paths = photograph_paths(split)
    if paths and rng.random() < 0.65:
        path = paths[rng.integers(len(paths))]
        image, name = _photograph(path), path.stem
        word = "wooden" if any(w in name for w in _WOOD) else "marble" if "marble" in name else ""
        return _varied(image, rng), word
    kind = str(rng.choice(["plain", "plain", "wooden", "stone", "marble", "checkered", "striped"]))
    shade = sample_shade(str(rng.choice(WORDS)), rng)
    shade = shade * rng.uniform(0.4, 0.9) + rng.uniform(0.1, 0.4)
    image = pattern(kind, np.clip(shade, 0, 1), rng, contrast=rng.uniform(0.2, 0.7))
    return image, kind if kind in ("wooden", "marble") else ""


def _varied(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn, tile, crop and tone a photograph."""
    image = np.rot90(image, int(rng.integers(4)))
    tiles = int(rng.choice([1, 1, 2, 3]))
    if tiles > 1:
        small = cv2.resize(image, (TEXTURE_SIZE // tiles + 1,) * 2, interpolation=cv2.INTER_AREA)
        image = np.tile(small, (tiles, tiles, 1))[:TEXTURE_SIZE, :TEXTURE_SIZE]
    tone = rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
    gamma = rng.uniform(0.8, 1.3)
    out = 255 * np.clip((image / 255.0) ** gamma * tone, 0, 1)
    return np.ascontiguousarray(out.astype(np.uint8))


def pattern(
    kind: str, shade: np.ndarray, rng: np.random.Generator, contrast: float = 0.6
) -> np.ndarray:
    """Draw a pattern whose main colour is `shade` ((3,) sRGB in [0, 1])."""
    yy, xx = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE] / TEXTURE_SIZE
    second = shade * (1 - contrast) if shade.mean() > 0.35 else shade + contrast * (1 - shade)
    period = rng.integers(4, 10)
    if kind == "striped":
        across = (xx, yy, xx + yy)[rng.integers(3)]
        mix = ((across * period) % 1 < rng.uniform(0.3, 0.45)).astype(float)
    elif kind == "checkered":
        mix = (np.floor(xx * period) + np.floor(yy * period)) % 2
        second = shade * 0.5 + second * 0.5
    elif kind == "dotted":
        u, v = (xx * period) % 1 - 0.5, (yy * period) % 1 - 0.5
        mix = (u * u + v * v < rng.uniform(0.04, 0.09)).astype(float)
    elif kind == "wooden":
        rings = xx * period * 2 + 0.8 * _noise(rng, 5) + 0.2 * _noise(rng, 40)
        mix = 0.5 * (0.5 + 0.5 * np.sin(2 * np.pi * rings))
    elif kind == "marble":
        mix = np.exp(-6 * np.abs(np.sin(3 * (xx + yy) + 4 * _noise(rng, 6))))
    elif kind == "stone":
        mix = np.clip(0.5 + 0.6 * _noise(rng, 60) + 0.3 * _noise(rng, 12), 0, 1)
    else:
        mix = np.clip(0.15 + 0.25 * _noise(rng, 4), 0, 1)
    image = shade * (1 - mix[..., None]) + second * mix[..., None]
    grain = rng.normal(0, 0.012, (TEXTURE_SIZE, TEXTURE_SIZE, 1))
    return np.clip(255 * (image + grain), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise in [-1, 1] with about `cells` bumps a side."""
    coarse = rng.uniform(-1, 1, (cells + 3, cells + 3)).astype(np.float32)
    return cv2.resize(coarse, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_CUBIC)
