"""A small nerf model, an exact sequence on disk and a datamanager on it."""

from __future__ import annotations

import pytest
import torch

from tests.find_field.folders import write_sequence


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    from find_field.nerf.config import find_field_lite

    config = find_field_lite.config.pipeline.model
    from nerfstudio.data.scene_box import SceneBox

    box = SceneBox(torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))
    metadata = {"find_basis": torch.eye(12)[:, :8], "find_mean": torch.zeros(8)}
    return config.setup(scene_box=box, num_train_data=3, metadata=metadata, device="cpu",
                        grad_scaler=None, seed_points=None)  # fmt: skip


@pytest.fixture(scope="module")
def sequence(frames, tmp_path_factory):
    return write_sequence(tmp_path_factory.mktemp("seq"), frames)


@pytest.fixture
def manager(sequence, frames, world, oracle, tmp_path, monkeypatch):
    from find_field.nerf import datamanager as module
    from find_field.nerf.dataparser import PosedRGBDDataParserConfig

    monkeypatch.setitem(module.OTHER_MODELS, "exact", lambda data, device: oracle)
    config = module.FindFieldDataManagerConfig(
        find="exact", dataparser=PosedRGBDDataParserConfig(data=sequence), data=sequence, feature_rank=12,
        feature_cache=tmp_path, train_num_rays_per_batch=32, eval_num_rays_per_batch=32,
    )  # fmt: skip
    return config.setup(device="cpu", test_mode="val")
