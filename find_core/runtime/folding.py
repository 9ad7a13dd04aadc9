"""A frozen encoder made ready for CPUs: the same function in fewer passes over memory.

BatchNorm goes into the convolution before it, activations write over their input, zeros around a map
are the convolution's own padding, and weights lie channels last. Nothing of the encoder that was
given is changed: the copy shares its weights, but for those that are folded.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish)
PROBE = (1, 3, 64, 96)
TOLERANCE = 2e-5
"""Of the comparison with the encoder that was given, relative to a map's largest value."""


def folded(encoder: Any) -> Any:
    """`encoder` for CPUs; itself where it is no module or the copy would compute something else."""
    if not isinstance(encoder, nn.Module):
        return encoder
    copied = twin(encoder)
    probe = torch.randn(PROBE, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            pairs, activations = _follow(copied, probe)
            for conv, norm in pairs:
                _fold(copied, conv, norm)
            for module in activations:
                module.inplace = True  # type: ignore[assignment]
            for name, module in list(copied.named_modules()):
                if _has_static_padding(module):
                    _replace(copied, name, _own_padding(module))
            channels_last(copied)
            same = _agree(encoder(probe), copied(probe))
    except Exception:  # an encoder of the user's own may do anything
        return encoder
    return copied if same else encoder


def twin(module: Any) -> Any:
    """A copy in eval mode that shares every tensor with `module`: modules may be exchanged in it."""
    shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, memo=shared).eval()


def channels_last(module: nn.Module) -> None:
    """Lay the weights of convolutions out channels last, in tensors of the module's own."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            weight = part.weight.detach().to(memory_format=torch.channels_last)
            part.weight = nn.Parameter(weight, requires_grad=False)


def _follow(
    module: nn.Module, probe: Tensor
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], list[nn.Module]]:
    """(convolution, BatchNorm on its output), and activations on the output of one of the two.

    Seen in a run: attribute names say nothing about who reads whose output.
    """
    made_by: dict[int, nn.Module] = {}
    kept: list[Tensor] = []  # so that no id is used twice
    uses: dict[nn.Module, int] = {}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    fresh: dict[nn.Module, bool] = {}

    def after(part: nn.Module, args: tuple, output: Any) -> None:
        uses[part] = uses.get(part, 0) + 1
        source = made_by.get(id(args[0]))
        if isinstance(part, nn.BatchNorm2d) and isinstance(source, nn.Conv2d):
            pairs.append((source, part))
        if isinstance(part, ACTIVATIONS):
            fresh[part] = fresh.get(part, True) and source is not None
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d):
            made_by[id(output)] = part
            kept.append(output)

    watched = (nn.Conv2d, nn.BatchNorm2d, *ACTIVATIONS)
    hooks = [m.register_forward_hook(after) for m in module.modules() if isinstance(m, watched)]
    try:
        module(probe)
    finally:
        for hook in hooks:
            hook.remove()
    once = [(c, n) for c, n in pairs if uses[c] == uses[n] == 1]
    return once, [part for part, alone in fresh.items() if alone]


def _fold(module: nn.Module, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    fused = fuse_conv_bn_eval(conv, norm).requires_grad_(False)
    conv.weight, conv.bias = fused.weight, fused.bias
    for name, part in list(module.named_modules()):
        if part is norm:
            _replace(module, name, nn.Identity())


def _has_static_padding(conv: nn.Module) -> bool:
    """EfficientNet's package: a ZeroPad2d of one input size's "same" padding before each one."""
    return isinstance(conv, nn.Conv2d) and isinstance(
        getattr(conv, "static_padding", None), nn.Module
    )


def _own_padding(padded: Any) -> nn.Module:
    """The convolution with padding of its own where it is the same on both sides, else a pad before."""
    pad = padded.static_padding
    left, right, top, bottom = getattr(pad, "padding", (0, 0, 0, 0))
    conv = nn.utils.skip_init(
        nn.Conv2d,
        padded.in_channels,
        padded.out_channels,
        padded.kernel_size,
        padded.stride,
        (top, left) if (left, top) == (right, bottom) else 0,
        padded.dilation,
        padded.groups,
        padded.bias is not None,
    )
    conv.weight, conv.bias = padded.weight, padded.bias
    return conv if (left, top) == (right, bottom) else nn.Sequential(pad, conv)


def _replace(module: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, new)


def _agree(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(
        x.shape == y.shape and float((x - y).abs().max()) <= TOLERANCE * float(x.abs().max() + 1e-6)
        for x, y in zip(a, b, strict=True)
    )
