"""Several folders of rendered scenes: only one needs scenes to test on, and their numbers differ."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from find_core.errors import ImageError
from training.config import DataConfig, TrainConfig
from training.data.formats import tabletop
from training.data.sources import open_sources


@pytest.fixture
def two_folders(config: TrainConfig, world: Path, tmp_path: Path) -> DataConfig:
    """The miniature world with scenes to test on, and a folder with one more training scene."""
    whole = tmp_path / "whole"
    shutil.copytree(world, whole)
    shutil.copytree(world / "train", whole / "val")
    more = tmp_path / "more" / "train"
    more.mkdir(parents=True)
    first, *_ = (world / "train" / "scenes.jsonl").read_text().splitlines()
    number = tabletop.read_split(world, "train")[0]["index"]
    for suffix in (".jpg", ".png"):
        source = world / "train" / f"{number:06d}{suffix}"
        shutil.copy(source, more / f"{number + 5000:06d}{suffix}")
    moved = first.replace(f'"index": {number}', f'"index": {number + 5000}')
    moved = moved.replace(f'"index":{number}', f'"index":{number + 5000}')
    (more / "scenes.jsonl").write_text(moved + "\n")
    folders = os.pathsep.join([str(whole), str(more.parent)])
    return dataclasses.replace(config.data, tabletop=folders, store="")


def test_all_folders_train_and_those_with_other_scenes_validate(
    config: TrainConfig, two_folders: DataConfig
) -> None:
    alone = dataclasses.replace(config.data, store="")
    vision = config.model.vision
    assert len(open_sources(two_folders, vision).records) == (
        len(open_sources(alone, vision).records) + 1
    )
    tested = open_sources(two_folders, vision, split="val").records
    assert {key.split("/")[1] for key in tested} == {"val"}
    assert len(tested) == len(open_sources(alone, vision).records)


def test_the_same_numbers_in_two_folders_are_refused(
    config: TrainConfig, world: Path, tmp_path: Path
) -> None:
    shutil.copytree(world, tmp_path / "again")
    folders = os.pathsep.join([str(world), str(tmp_path / "again")])
    twice = dataclasses.replace(config.data, tabletop=folders, store="")
    with pytest.raises(ImageError, match="--start"):
        open_sources(twice, config.model.vision)


def test_a_split_that_no_folder_holds_is_named(
    two_folders: DataConfig, config: TrainConfig
) -> None:
    with pytest.raises(ImageError, match="held"):
        open_sources(two_folders, config.model.vision, split="held")
