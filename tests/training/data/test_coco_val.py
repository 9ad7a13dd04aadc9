"""Images of COCO's val split are for evaluation, also where a set of photographs holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.photo_worlds import write_photos
from training.data.formats import photos
from training.data.sources import photographs


def test_images_of_cocos_val_split_train_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_photos(tmp_path)
    coco = next(
        p for p in photos.read_photos(root) if p.set.name == "coco_things" and not p.held_out
    )
    monkeypatch.setattr(photos, "coco_val_names", lambda: frozenset({coco.file_name}))
    again = next(p for p in photos.read_photos(root) if p.file_name == coco.file_name)
    assert again.held_out and photos.is_for_evaluation(again)
    assert coco.record.key not in {r.key for r in photographs(str(root))[0]}
    assert coco.record.key not in {r.key for r in photographs(str(root), "calibration")[0]}
