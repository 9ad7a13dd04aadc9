"""Reading maps between pixels and shrinking them: the fast ways against the plain ones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.model.image_state import ImageState, resize
from find_core.model.sampler import Sampler, VisualPrompt


@settings(deadline=None)
@given(
    step=st.integers(1, 9), height=st.integers(1, 6), width=st.integers(1, 6),
    more=st.integers(0, 2),
)  # fmt: skip
def test_resize_is_plain_bilinear(step: int, height: int, width: int, more: int) -> None:
    """Whether or not the factor is one whole even number on both sides."""
    maps = torch.randn(2, 3, step * height, step * width + more)
    want = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize(maps, (height, width)), want)


def state(batch: int = 2, dim: int = 4) -> ImageState:
    generator = torch.manual_seed(3)
    levels = [torch.randn(batch, dim, h, 2 * h, generator=generator) for h in (1, 2, 4)]
    return ImageState.build(
        torch.randn(batch, dim, 8, 16, generator=generator), levels, torch.zeros(3, dim)
    )


@pytest.mark.parametrize("level", [0, 1, 2])
def test_sample_is_grid_sample(level: int) -> None:
    image = state()
    points_yx, which = torch.rand(50, 2), torch.arange(50) % 2
    height, width = image.sizes[level]
    maps = image.sources[level].transpose(1, 2).unflatten(2, (height, width))
    grid = 2 * points_yx.flip(1).view(1, 1, 50, 2) - 1
    both = F.grid_sample(maps, grid.expand(2, -1, -1, -1), align_corners=True)[:, :, 0]
    torch.testing.assert_close(image.sample(level, which, points_yx), both[which, :, range(50)])


def test_prompts_of_several_pictures_are_sampled_as_if_alone() -> None:
    """Tokens keep the order of entries, signs and prompts, whatever picture each one lies in."""
    torch.manual_seed(0)
    sampler, here, there = Sampler(4, 3, 1, 64), state(), state()
    there.sources = [s + 1 for s in there.sources]

    def prompt(image: ImageState, which: int, row: int, positive: bool) -> VisualPrompt:
        mask = torch.zeros(32, 64, dtype=torch.bool)
        mask[row, 3:7] = True
        return VisualPrompt(image, which, mask, row, positive)

    entry = [prompt(here, 0, 5, False), prompt(there, 1, 9, True), prompt(here, 1, 20, True)]
    for group, level in zip(sampler.visual_tokens([entry, []]), range(3), strict=True):
        alone = [
            sampler.visual_tokens([[p]])[level].content[0] for p in (entry[1], entry[2], entry[0])
        ]
        torch.testing.assert_close(group.content[0], torch.cat(alone))
        assert group.index[0].tolist() == 4 * [9] + 4 * [20] + 4 * [5]
        assert not group.valid[1].any()
