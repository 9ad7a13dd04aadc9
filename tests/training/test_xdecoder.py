"""The frozen vision side of an X-Decoder file, into a folder that `init` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from find_core import checkpoint
from find_core.checkpoint.key_mapping import to_published
from find_core.encoders import VisionConfig, build_vision
from find_core.errors import CheckpointError
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.testing import tiny_config
from training.engine.build import initial_weights
from training.xdecoder import FROZEN, convert

WIDTH = 48


@pytest.fixture
def config() -> FindConfig:
    options = {"embed_dim": 8, "depths": [1, 1, 1, 1], "focal_levels": 2}
    return tiny_config(vision=VisionConfig("focal_dw", options, short_side_px=64, max_side_px=96))


def released(config: FindConfig) -> dict[str, torch.Tensor]:
    """A file as X-Decoder writes it: its names for the vision side, and parts of its own."""
    shapes = checkpoint.expected_shapes(config, WIDTH)
    state = {
        str(to_published(name)): torch.randn(shape)
        for name, shape in shapes.items()
        if name.startswith(FROZEN)
    }
    own = ("sem_seg_head.predictor.query_feat.weight", "backbone_proj", "logit_scale")
    return state | {name: torch.randn(3, 4) for name in own}


def test_vision_is_taken_over_and_the_interface_is_fresh(
    config: FindConfig, tmp_path: Path
) -> None:
    state = released(config)
    torch.save(state, tmp_path / "xdecoder.pt")
    folder = convert(tmp_path / "xdecoder.pt", tmp_path / "init", config, WIDTH, seed=3)
    written = checkpoint.read(folder)
    for name, tensor in written.tensors.items():
        if name.startswith(FROZEN):
            torch.testing.assert_close(tensor, state[str(to_published(name))])
    torch.manual_seed(3)
    fresh = FindModel(config, build_vision(config.vision).channels, WIDTH)
    query = "sampler.query_feat.weight"
    torch.testing.assert_close(written.tensors[query], fresh.state_dict()[query])
    assert json.loads((folder / "config.json").read_text())["notes"]["vision_from"] == "xdecoder.pt"
    fresh.load_state_dict(initial_weights(folder))


def test_a_missing_vision_tensor_is_named(config: FindConfig, tmp_path: Path) -> None:
    state = released(config)
    del state["sem_seg_head.pixel_decoder.mask_features.weight"]
    torch.save(state, tmp_path / "xdecoder.pt")
    with pytest.raises(CheckpointError, match=r"mask_features\.weight is missing"):
        convert(tmp_path / "xdecoder.pt", tmp_path / "init", config, WIDTH, seed=0)
    assert not (tmp_path / "init").exists()


def test_a_file_that_wants_to_run_code_is_refused(config: FindConfig, tmp_path: Path) -> None:
    torch.save({"weights": Path("x")}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="never loaded"):
        convert(tmp_path / "bad.pt", tmp_path / "init", config, WIDTH, seed=0)
