"""One image that cannot be read costs itself: in batches, in the feature store, when teaching."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path

import pytest

from find_core.errors import ImageError
from find_core.images import read_image
from tests.training.worlds import write_world
from training import cache
from training.config import TrainConfig, override
from training.data.batches import Batches
from training.data.sources import Sources, open_sources
from training.data.store import FeatureStore
from training.engine.trainer import Trainer
from training.recipes import recipe


@pytest.fixture
def damaged(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A world of 8 scenes, two of whose images are cut short, without a store."""
    write_world(tmp_path / "world", count=8)
    for number in (2, 5):
        path = tmp_path / f"world/train/{number:06d}.jpg"
        path.write_bytes(path.read_bytes()[:40])
    return override(config, [f"data.tabletop={tmp_path / 'world'}", "data.store="])


def opened(config: TrainConfig) -> tuple[Sources, Batches]:
    sources = open_sources(config.data, config.model.vision)
    stream = Batches(sources.records, sources.store, sources.knowledge, config.data.batch, 0)
    return sources, stream


def test_batches_stay_full_and_the_same(
    damaged: TrainConfig, caplog: pytest.LogCaptureFixture
) -> None:
    sources, stream = opened(damaged)
    bad = {list(sources.records)[n] for n in (2, 5)}
    with caplog.at_level(logging.WARNING, "training"):
        batches = [stream.batch(step) for step in range(12)]
    assert {len(b) for b in batches} == {damaged.data.batch.size}
    assert set(stream.left_out) == bad
    assert not bad & {i.record.key for b in batches for i in b.images}
    assert len(caplog.records) == 1 and "cut short" in caplog.text
    assert stream.what_was_left_out().startswith("2 images were left out, the first: Cannot decode")
    late = opened(damaged)[1].batch(11)  # whatever came before
    assert [i.record.key for i in late.images] == [i.record.key for i in batches[11].images]


def test_a_run_says_how_many_at_its_end(damaged: TrainConfig, tmp_path: Path) -> None:
    from training.engine.build import build_module

    config = override(damaged, ["optim.steps=6", "save_every=6"])
    sources, stream = opened(config)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    said: list[str] = []
    Trainer(config, tmp_path / "run", module, stream, [], said.append).run()
    assert said[-1].startswith("2 images were left out, the first: ")


def test_exception_when_no_image_can_be_read(damaged: TrainConfig) -> None:
    folder = Path(damaged.data.tabletop) / "train"
    for path in folder.glob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"in a row cannot be read, the last: .*empty"):
        opened(damaged)[1].batch(0)


def _cache(monkeypatch: pytest.MonkeyPatch, *argv: object) -> None:
    monkeypatch.setattr(sys, "argv", ["cache", *map(str, argv)])
    cache.main()


def test_a_feature_store_is_filled_with_the_rest(
    damaged: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    argv = ["--tabletop", damaged.data.tabletop, "--store", tmp_path / "store", "--recipe", "tiny",
            "--variants", 2, "--height", 64, "--width", 96]  # fmt: skip
    _cache(monkeypatch, *argv)
    said = capsys.readouterr().out
    assert "12 views" in said and "2 images left out" in said and said.count("Left out: ") == 2
    assert len(FeatureStore(tmp_path / "store").views) == 6

    scene = Path(damaged.data.tabletop) / "train/000002.jpg"
    scene.write_bytes((scene.parent / "000001.jpg").read_bytes())  # mended: it is taken next time
    _cache(monkeypatch, *argv)
    assert "2 views" in capsys.readouterr().out
    assert len(FeatureStore(tmp_path / "store").views) == 7

    for path in scene.parent.glob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(SystemExit) as done:
        _cache(monkeypatch, *argv[:3], tmp_path / "other", *argv[4:])
    assert done.value.code == 2 and "No image could be read" in capsys.readouterr().err


def test_teaching_leaves_out_what_cannot_be_read(config: TrainConfig, tmp_path: Path) -> None:
    from training.teach import cache_views

    run = dataclasses.replace(
        recipe("tiny"), data=dataclasses.replace(config.data, store=str(tmp_path / "store"))
    )
    records = list(open_sources(config.data).records.values())[:3]

    def unreadable() -> None:
        read_image(tmp_path / "gone.jpg")

    bad = dataclasses.replace(records[0], key="user/bad", read=unreadable)
    said: list[str] = []
    cache_views(run, [bad, *records], said.append)
    assert "gone.jpg" in said[0] and said[1].endswith("of 3 pictures")
    with pytest.raises(ImageError, match="nothing to teach"):
        cache_views(
            dataclasses.replace(run, data=dataclasses.replace(run.data, store=str(tmp_path / "b"))),
            [bad],
        )
