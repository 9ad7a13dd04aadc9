from __future__ import annotations

from pathlib import Path

import pytest
import torch

from find_core.encoders import build_vision
from tests.training.worlds import write_world
from training.cache import CacheJob, fill, open_writer
from training.config import TrainConfig, override
from training.data.formats import tabletop
from training.recipes import recipe


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def config(world: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """The tiny recipe on the miniature world, its feature store filled."""
    store = tmp_path_factory.mktemp("store")
    config = override(
        recipe("tiny"), [f"data.tabletop={world}", f"data.store={store}", "data.batch.size=4"]
    )
    encoder = build_vision(config.model.vision)
    writer = open_writer(str(store), "a", encoder, config.model.vision, config.data.view)
    records = [tabletop.record_of(s) for s in tabletop.read_split(world, "train")]
    fill(writer, encoder, config.model.vision, CacheJob(records, [0], config.data.view))
    writer.close()
    return config
