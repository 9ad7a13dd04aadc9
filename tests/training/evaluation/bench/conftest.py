from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.evaluation.bench import miniature


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COCO panoptic of five val and three train images, entities, captions."""
    folder = tmp_path_factory.mktemp("coco")
    miniature.write_panoptic(folder, "val2017", range(5))
    miniature.write_panoptic(folder, "train2017", range(5, 8))
    miniature.write_entities(folder, range(5))
    miniature.write_entities(folder, range(5), "entity_val2017_long.json")
    miniature.write_captions(folder, "val2017", range(5))
    return folder


@pytest.fixture(scope="session")
def referring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refcoco")
    miniature.write_referring(folder, range(5))
    return folder


@pytest.fixture(scope="session")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.write_voc(tmp_path_factory.mktemp("voc") / "VOC2012")
