"""Colour words and how they are put on objects, so that a colour word is true of what one sees.

Colours are sRGB in [0, 1]. A word covers a few anchor shades with a small jitter; pairs that
people confuse are listed, so that nothing is claimed absent that somebody might call present.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

SHADES: dict[str, list[tuple[int, int, int]]] = {
    "red": [(200, 28, 34), (172, 22, 30), (220, 40, 40)],
    "orange": [(240, 128, 20), (230, 108, 18)],
    "yellow": [(242, 208, 42), (232, 190, 30), (250, 224, 90)],
    "green": [(40, 140, 58), (30, 110, 48), (96, 170, 60), (20, 96, 60)],
    "blue": [(32, 78, 188), (24, 56, 140), (70, 130, 215)],
    "purple": [(120, 52, 160), (92, 44, 132)],
    "pink": [(240, 140, 176), (232, 108, 156)],
    "turquoise": [(48, 180, 176), (30, 150, 150)],
    "brown": [(112, 68, 38), (92, 56, 32), (136, 88, 52)],
    "black": [(24, 24, 27), (36, 35, 36)],
    "white": [(238, 238, 234), (226, 226, 222)],
    "gray": [(128, 129, 131), (108, 109, 112), (150, 151, 152)],
}
"""Colour word to anchor shades, 0 to 255."""

WORDS = tuple(SHADES)
SYNONYMS = {"gray": "grey", "turquoise": "teal"}

CONFUSABLE: dict[str, set[str]] = {
    "red": {"orange", "pink", "brown", "purple"},
    "orange": {"red", "yellow", "brown"},
    "yellow": {"orange", "white", "green"},
    "green": {"turquoise", "yellow"},
    "blue": {"turquoise", "purple", "black"},
    "purple": {"blue", "pink", "red"},
    "pink": {"red", "purple", "white"},
    "turquoise": {"green", "blue", "gray"},
    "brown": {"orange", "red", "black", "gray"},
    "black": {"gray", "brown", "blue"},
    "white": {"gray", "yellow", "pink"},
    "gray": {"white", "black", "turquoise", "brown"},
}


def sample_shade(word: str, rng: np.random.Generator) -> np.ndarray:
    """A shade of a colour word, (3,) float sRGB in [0, 1]."""
    anchor = np.array(SHADES[word][rng.integers(len(SHADES[word]))]) / 255
    hue, sat, val = colorsys.rgb_to_hsv(*anchor)
    hue = (hue + rng.uniform(-0.012, 0.012)) % 1
    sat = float(np.clip(sat * rng.uniform(0.92, 1.08), 0, 1))
    val = float(np.clip(val * rng.uniform(0.92, 1.08), 0, 1))
    return np.array(colorsys.hsv_to_rgb(hue, sat, val))


def tinted(
    texture: np.ndarray, shade: np.ndarray, uvs_T2: np.ndarray | None = None, strength: float = 0.55
) -> np.ndarray:
    """Repaint a texture in one shade, keeping `strength` of its light-dark detail.

    `texture` (H, W, 3) uint8; returns the same shape. Detail is kept as a factor around its mean
    over the texels that the mesh's `uvs_T2` use, so what one sees has the shade on average
    whatever the original colours were.
    """
    gray = cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    used = (
        gray
        if uvs_T2 is None
        else gray[_texels(uvs_T2[:, 1], gray.shape[0]), _texels(uvs_T2[:, 0], gray.shape[1])]
    )
    detail = gray - float(used.mean())
    spread = max(float(used.std()), 0.05)
    factor = np.clip(1 + strength * 0.45 * detail / max(spread, 0.12), 0.35, 1.5)
    return np.clip(factor[..., None] * shade * 255, 0, 255).astype(np.uint8)


def _texels(coordinate: np.ndarray, size: int) -> np.ndarray:
    return np.minimum((coordinate % 1 * size).astype(int), size - 1)
