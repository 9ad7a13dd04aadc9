from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.data_engine.fake_server import FakeServer
from tests.training.evaluation.bench import miniature
from training.data_engine.images import Item, LabelledImage, Segment, read_items
from training.data_engine.nouns import Lexicon
from training.evaluation.bench import sources


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COCO panoptic of five images; captions that people might give."""
    folder = tmp_path_factory.mktemp("coco")
    miniature.write_panoptic(folder, "val2017", range(5))
    images = [{"id": n + 1, "file_name": f"{n + 1:012d}.png"} for n in range(5)]
    captions = [
        {"id": n, "image_id": n + 1, "caption": f"A young man stands on the grass, number {n}"}
        for n in range(3)
    ]
    path = folder / "annotations" / "captions_val2017.json"
    path.write_text(json.dumps({"images": images, "annotations": captions}))
    return folder


@pytest.fixture
def items(root: Path) -> list[Item]:
    return read_items(root, "val2017")


@pytest.fixture(scope="session")
def lexicon(root: Path) -> Lexicon:
    return Lexicon(sources.panoptic_set(root, "val2017").names)


@pytest.fixture
def server():
    with FakeServer() as fake:
        yield fake


def segment(number: int, name: str, box: tuple[int, int, int, int] = (0, 0, 40, 40), **more) -> Segment:  # fmt: skip
    x1, y1, x2, y2 = box
    area = more.pop("area_px", (x2 - x1) * (y2 - y1))
    values = {"thing": True, "crowd": False, "merged": False, **more}
    return Segment(number, name, area_px=area, box_xyxy=box, **values)


def image(*segments: Segment, captions: tuple[str, ...] = ()) -> LabelledImage:
    return LabelledImage(1, "1.jpg", 480, 640, segments, captions)
