"""An image as the interface sees it: three levels to read from, mask features to draw with.

Letters: B images, H hidden width, P mask width, M = h*w pixels of a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from find_core.model.attention import KeysValues
from find_core.model.pixel_decoder import sine_position


@dataclass(eq=False)
class ImageState:
    """Everything about images that prompts share; computed once per image.

    Attributes:
        mask_features: (B, P, H/4, W/4).
        sources: per level (1/32, 1/16, 1/8) the decoder input, feature + level_embed, (B, M, H).
        positions: per level the sine encoding, (1, M, H).
        sizes: per level (h, w).
        level_masks: per level the mask features resized to it, (B, P, M). Resizing commutes with
            the product over P, so a layer's attention mask costs one small product
            (docs/architecture.md, "The algebra").
        frozen: the vision encoder's own maps at strides 16 and 32, (B, C, h, w), for the recogniser.
        keys_values: per interface layer, filled by the interface on first use.
    """

    mask_features: Tensor
    sources: list[Tensor]
    positions: list[Tensor]
    sizes: list[tuple[int, int]]
    level_masks: list[Tensor]
    frozen: list[Tensor] = field(default_factory=list)
    keys_values: dict[int, KeysValues] = field(default_factory=dict)

    @staticmethod
    def build(
        mask_features: Tensor,
        levels: list[Tensor],
        level_embed: Tensor,
        positions_1Hhw: Sequence[Tensor] | None = None,
        frozen: Sequence[Tensor] = (),
    ) -> ImageState:
        """From the pixel decoder's output; `level_embed` is (3, H).

        Args:
            positions_1Hhw: sine encodings of the levels, where they were made before.
            frozen: see the attribute.
        """
        sizes = [(level.shape[-2], level.shape[-1]) for level in levels]
        sources = [
            level.flatten(2).transpose(1, 2) + level_embed[i] for i, level in enumerate(levels)
        ]
        dim, device = levels[0].shape[1], levels[0].device
        if positions_1Hhw is None:
            positions_1Hhw = [sine_position(h, w, dim, device) for h, w in sizes]
        positions = [p.to(levels[0].dtype).flatten(2).transpose(1, 2) for p in positions_1Hhw]
        masks = masks_of_levels(mask_features, sizes)
        return ImageState(mask_features, sources, positions, sizes, masks, list(frozen))

    @property
    def batch(self) -> int:
        return self.mask_features.shape[0]

    def __getitem__(self, i: int) -> ImageState:
        """The state of image `i` alone, as a batch of one."""
        part = slice(i, i + 1)
        return ImageState(
            self.mask_features[part],
            [s[part] for s in self.sources],
            self.positions,
            self.sizes,
            [m[part] for m in self.level_masks],
            [f[part] for f in self.frozen],
            {n: (k[part], v[part]) for n, (k, v) in self.keys_values.items()},
        )

    def sample(self, level: int, image_index: Tensor, points_yx: Tensor) -> Tensor:
        """Bilinear samples of a level's source.

        Args:
            image_index: (T,) int64 which image of the batch.
            points_yx: (T, 2) in [0, 1], `align_corners=True` convention (docs/spec.md 2.5).

        Returns:
            (T, H).
        """
        height, width = self.sizes[level]
        source = self.sources[level]
        y, x = points_yx[:, 0] * (height - 1), points_yx[:, 1] * (width - 1)
        y0, x0 = y.floor().long().clamp(0, height - 1), x.floor().long().clamp(0, width - 1)
        y1, x1 = (y0 + 1).clamp(max=height - 1), (x0 + 1).clamp(max=width - 1)
        fy, fx = (y - y0).unsqueeze(1).to(source.dtype), (x - x0).unsqueeze(1).to(source.dtype)

        first = image_index * (height * width)
        corners = [first + y * width + x for y in (y0, y1) for x in (x0, x1)]
        # One reading for all four corners: the gradient of each would fill a whole map.
        a, b, c, d = source.flatten(0, 1).index_select(0, torch.cat(corners)).chunk(4)
        top = a * (1 - fx) + b * fx
        bottom = c * (1 - fx) + d * fx
        return top * (1 - fy) + bottom * fy


def masks_of_levels(mask_features: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """`ImageState.level_masks`; attention masks carry no gradient (docs/spec.md 2.7)."""
    detached = mask_features.detach()
    return [resize(detached, size).flatten(2) for size in sizes]


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Plain bilinear, half-pixel centres, no antialiasing (docs/spec.md 8).

    Shrinking both sides by one even factor, that is the mean of the four cells around each centre;
    slices take a fraction of the general function's time on CPUs.
    """
    height, width = maps.shape[-2:]
    step = height // size[0]
    if step >= 2 and step % 2 == 0 and (height, width) == (step * size[0], step * size[1]):
        near = (slice(step // 2 - 1, None, step), slice(step // 2, None, step))
        rows = [maps[..., y, :] for y in near]
        (a, b), (c, d) = ([row[..., x] for x in near] for row in rows)
        return (a + b + c + d) / 4
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def mask_logits(pixel_BNP: Tensor, mask_features: Tensor) -> Tensor:
    """(B, N, P) x (B or 1, P, h, w) -> (B, N, h, w), unscaled (docs/spec.md 2.8)."""
    size = mask_features.shape[-2:]
    pixel_BNP = pixel_BNP.to(mask_features.dtype)  # half, where the image path was
    return torch.matmul(pixel_BNP, mask_features.flatten(2)).unflatten(2, size)
