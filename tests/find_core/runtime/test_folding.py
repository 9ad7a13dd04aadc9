"""The folded copy computes the same, has fewer passes, and leaves what it was given alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from find_core.runtime.folding import folded, twin
from tests.find_core.runtime.encoders import build
from tests.find_core.runtime.test_runtimes import images


def kinds_of(module: nn.Module) -> list[type]:
    return [type(m) for m in module.modules()]


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    pytest.importorskip("efficientnet_lite_pytorch")
    return build("efficientnet_lite2", tmp_path_factory.mktemp("lite"))


def test_smoke_default_encoder(lite):
    quick = folded(lite)
    assert nn.BatchNorm2d in kinds_of(lite) and nn.BatchNorm2d not in kinds_of(quick)
    activations = [m for m in quick.modules() if isinstance(m, nn.ReLU6)]
    assert activations and all(m.inplace for m in activations)
    pads = [m for m in quick.modules() if isinstance(m, nn.ZeroPad2d)]
    assert len(pads) == 5  # the stride-2 ones are padded on two sides only
    for size in ((1, 64, 96), (2, 224, 160)):
        for a, b in zip(lite(images(*size)), quick(images(*size)), strict=True):
            assert float((a - b).abs().max() / a.abs().max()) < 3e-6


def test_the_given_encoder_is_left_alone(lite):
    before = {k: v.clone() for k, v in lite.state_dict().items()}
    kinds, maps = kinds_of(lite), lite(images(1, 64, 96))
    folded(lite)
    assert kinds_of(lite) == kinds
    assert not any(getattr(m, "inplace", False) for m in lite.modules())
    for name, tensor in lite.state_dict().items():
        assert torch.equal(tensor, before[name]) and tensor.is_contiguous()
    for a, b in zip(maps, lite(images(1, 64, 96)), strict=True):
        assert torch.equal(a, b)


class Branching(nn.Module):
    """Reads a convolution's output before the BatchNorm too: no pair to fold."""

    def __init__(self, inplace_trap: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.norm.running_mean += 1.0
        self.inplace_trap = inplace_trap

    def forward(self, x):
        raw = self.conv(x)
        if self.inplace_trap:
            return [raw, self.act(raw)]
        return [raw + self.norm(raw)]


@pytest.mark.parametrize("trap", [False, True])
def test_what_cannot_be_folded_is_given_back(trap):
    encoder = Branching(trap).eval().requires_grad_(False)
    assert folded(encoder) is encoder


def test_an_encoder_that_is_no_module_or_fails_is_given_back():
    call = lambda x: [x]  # noqa: E731
    assert folded(call) is call

    class Picky(nn.Module):
        def forward(self, x):
            raise ValueError("only 224")

    picky = Picky()
    assert folded(picky) is picky


def test_twin_shares_tensors():
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    other = twin(module)
    assert other is not module and other[0] is not module[0]
    assert other[0].weight is module[0].weight
    assert other[1].running_mean is module[1].running_mean
