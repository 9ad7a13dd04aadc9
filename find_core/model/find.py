"""FindModel: the trainable interface between a frozen vision and a frozen language model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from find_core.model.attention_table import (
    ATTENTION_TABLE,
    AttentionRule,
    TokenGroup,
    TokensByGroup,
)
from find_core.model.config import FindConfig
from find_core.model.heads import Heads, Outputs
from find_core.model.image_state import ImageState, mask_logits
from find_core.model.interface import Interface, LayerStates
from find_core.model.pixel_decoder import PixelDecoder, Places
from find_core.model.sampler import Sampler


class FindModel(nn.Module):
    """Pixel decoder, sampler, interface and heads (the paper's figure 4).

    Args:
        config: sizes.
        vision_channels: of res2..res5 (strides 4, 8, 16, 32).
        language_width: of token states.
    """

    def __init__(
        self, config: FindConfig, vision_channels: Sequence[int], language_width: int
    ) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        self.pixel_decoder = PixelDecoder(
            vision_channels,
            dim,
            config.mask_dim,
            config.stride4_dim,
            config.num_heads,
            config.ffn_dim,
            config.encoder_layers,
            config.norm_groups,
            config.mask_coordinates,
            config.level_coordinates,
        )
        self.lang_proj = nn.Linear(language_width, dim, bias=False)
        self.level_embed = nn.Embedding(3, dim)
        self.sampler = Sampler(
            dim, config.num_queries, config.num_memories, config.max_spatial_points
        )
        self.interface = Interface(dim, config.num_heads, config.ffn_dim, config.num_layers)
        self.heads = Heads(dim, config.mask_dim)

    def image_state(self, features: Sequence[Tensor], places: Places | None = None) -> ImageState:
        """[res2, res3, res4, res5] (strides 4 to 32) -> what prompts work on.

        Args:
            places: the pixel decoder's for these sizes, where they were made before.
        """
        mask_features, levels = self.pixel_decoder(features, places)
        return self.state_of_maps(mask_features, levels, places, features[2:])

    def state_of_maps(
        self,
        mask_features: Tensor,
        levels: list[Tensor],
        places: Places | None = None,
        frozen: Sequence[Tensor] = (),
    ) -> ImageState:
        """What `image_state` makes of the pixel decoder's maps and the encoder's last two."""
        if mask_features.device.type == "cpu":  # autocast helps the convolutions only
            mask_features, levels = mask_features.float(), [level.float() for level in levels]
        positions = None if places is None else places.positions
        return ImageState.build(mask_features, levels, self.level_embed.weight, positions, frozen)

    def forward(
        self,
        image: ImageState | None,
        groups: TokensByGroup,
        *,
        previous_BNhw: Tensor | None = None,
        rules: Mapping[TokenGroup, AttentionRule] = ATTENTION_TABLE,
    ) -> list[Outputs]:
        """All predictions (initial first, final last) of the groups present.

        TokensByGroup may be those of several tasks merged (`a | b`): tasks do not disturb one another.
        """
        return self.interface(self.heads, image, groups, previous_BNhw=previous_BNhw, rules=rules)[
            0
        ]

    def record(
        self, groups: TokensByGroup, which: Iterable[TokenGroup]
    ) -> tuple[Outputs, dict[TokenGroup, LayerStates]]:
        """Run image-independent groups once; final outputs and per-layer states of `which`."""
        outputs, states = self.interface(self.heads, None, groups, record=which)
        return outputs[-1], states

    def resume(
        self,
        image: ImageState,
        groups: TokensByGroup,
        cached_groups: Mapping[TokenGroup, LayerStates],
    ) -> Outputs:
        """Run image-side groups that see recorded ones; the final outputs."""
        return self.interface(self.heads, image, groups, cached_groups=cached_groups)[0][-1]

    def masks(self, pixel_BNP: Tensor, image: ImageState) -> Tensor:
        """Mask logits (B, N, H/4, W/4)."""
        return mask_logits(pixel_BNP, image.mask_features)

    @property
    def device(self) -> torch.device:
        return self.level_embed.weight.device
