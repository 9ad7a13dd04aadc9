"""The image path as one module without hidden sizes: what a graph is exported from.

Everything that depends on the input's size alone (sine encodings, coordinate terms) is an input, so
that one graph serves every size. Letters: B images, H hidden width, P mask width, M pixels of a
level, L interface layers that read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from find_core.model.find import FindModel
from find_core.model.image_state import ImageState, masks_of_levels
from find_core.model.interface import InterfaceLayer
from find_core.model.pixel_decoder import ConvNorm, Places

LEVEL_STRIDES = (32, 16, 8)
FROZEN_STRIDES = (16, 32)
"""Of the encoder's own maps that leave the graph, for the recogniser."""


class ImagePath(nn.Module):
    """Vision encoder, pixel decoder and the interface's image keys and values.

    The interface's layers n, n + 3, ... read level n; the keys and values of all of them are one
    product each.
    """

    def __init__(self, vision: nn.Module, model: FindModel) -> None:
        super().__init__()
        self.vision, self.decoder = vision, model.pixel_decoder
        adapter = cast(ConvNorm, self.decoder.adapters["3"])
        self.frozen_channels = adapter.conv.in_channels, self.decoder.input_proj.in_channels
        self.level_embed = model.level_embed
        self.hidden_dim, self.mask_dim = model.config.hidden_dim, model.config.mask_dim
        self.num_heads = model.config.num_heads
        self.has_mask_term = self.decoder.coordinates is not None
        self.level_terms = len(self.decoder.level_coordinates)
        layers = [cast(InterfaceLayer, layer).content for layer in model.interface.layers]
        self.layers_of = [list(range(level, len(layers), 3)) for level in range(3)]
        for level, members in enumerate(self.layers_of):
            weights = [layers[n].in_proj_weight.detach().chunk(3) for n in members]
            biases = [layers[n].in_proj_bias.detach().chunk(3) for n in members]
            for i, kind in ((1, "keys"), (2, "values")):
                if members:
                    weight, bias = (torch.cat([p[i] for p in parts]) for parts in (weights, biases))
                    self.register_buffer(f"{kind}_weight_{level}", weight)
                    self.register_buffer(f"{kind}_bias_{level}", bias)

    @property
    def input_names(self) -> list[str]:
        terms = [f"level_term_{i}" for i in range(self.level_terms)]
        mask = ["mask_term"] if self.has_mask_term else []
        return ["images", *(f"position_{i}" for i in range(3)), *mask, *terms]

    @property
    def output_names(self) -> list[str]:
        names = ["mask_features", *(f"source_{i}" for i in range(3)), "frozen_16", "frozen_32"]
        for level, members in enumerate(self.layers_of):
            names += [f"keys_{level}", f"values_{level}"] if members else []
        return names

    def inputs(self, images_BCHW: Tensor, places: Places) -> list[Tensor]:
        """The arguments of `forward`, in the order of `input_names`."""
        mask = [] if places.mask_term is None else [places.mask_term]
        return [images_BCHW, *places.positions, *mask, *places.level_terms]

    def output_shapes(self, batch: int, height: int, width: int) -> list[tuple[int, ...]]:
        """For padded images of (height, width), in the order of `output_names`."""
        pixels = [(height // s) * (width // s) for s in LEVEL_STRIDES]
        shapes: list[tuple[int, ...]] = [(batch, self.mask_dim, height // 4, width // 4)]
        shapes += [(batch, m, self.hidden_dim) for m in pixels]
        shapes += [(batch, c, height // s, width // s)
                   for c, s in zip(self.frozen_channels, FROZEN_STRIDES, strict=True)]  # fmt: skip
        for m, members in zip(pixels, self.layers_of, strict=True):
            shapes += [(batch, m, len(members) * self.hidden_dim)] * (2 if members else 0)
        return shapes

    def forward(self, images_BCHW: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Mask features (B, P, h, w), sources (B, M, H), the encoder's last two maps (B, C, h, w), then
        keys and values (B, M, L * H)."""
        positions, rest = inputs[:3], inputs[3:]
        mask_term = rest[0] if self.has_mask_term else None
        terms = rest[1:] if self.has_mask_term else rest
        places = Places((positions[0], positions[1], positions[2]), mask_term, tuple(terms))
        features = self.vision(images_BCHW)
        mask_features, levels = self.decoder(features, places)
        embed = self.level_embed.weight
        sources = [x.flatten(2).transpose(1, 2) + embed[i] for i, x in enumerate(levels)]
        outputs = [mask_features, *sources, *features[2:]]
        for level, members in enumerate(self.layers_of):
            if members:
                keyed = sources[level] + positions[level].flatten(2).transpose(1, 2)
                outputs.append(self._project("keys", level, keyed))
                outputs.append(self._project("values", level, sources[level]))
        return tuple(outputs)

    def _project(self, kind: str, level: int, x_BMH: Tensor) -> Tensor:
        weight, bias = (getattr(self, f"{kind}_{part}_{level}") for part in ("weight", "bias"))
        return F.linear(x_BMH, weight, bias)

    def state(self, outputs: Sequence[Tensor], places: Places) -> ImageState:
        """`forward`'s outputs as the interface reads them; nothing is copied."""
        mask_features, sources, frozen = outputs[0], list(outputs[1:4]), list(outputs[4:6])
        height, width = (4 * side for side in mask_features.shape[-2:])
        sizes = [(height // s, width // s) for s in LEVEL_STRIDES]
        positions = [p.flatten(2).transpose(1, 2) for p in places.positions]
        state = ImageState(
            mask_features, sources, positions, sizes, masks_of_levels(mask_features, sizes), frozen
        )
        projected = iter(outputs[6:])
        for members in self.layers_of:
            if members:
                keys, values = (
                    next(projected).unflatten(-1, (len(members), self.num_heads, -1))
                    for _ in range(2)
                )
                for j, n in enumerate(members):
                    state.keys_values[n] = (
                        keys[:, :, j].transpose(1, 2),
                        values[:, :, j].transpose(1, 2),
                    )
        return state
