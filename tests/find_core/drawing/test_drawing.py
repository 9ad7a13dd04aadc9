"""Drawing: what is coloured where, labels that stay inside, files that can be read."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.drawing import (
    PALETTE,
    TimelineCurve,
    contact_sheet,
    draw_label,
    draw_localization,
    timeline_png,
    write_image,
)
from find_core.errors import ImageError
from find_core.results import Entity, Instance, Localization, box_of_mask
from find_core.video.timeline import Interval

H, W = 240, 320


def instance(x, y, w, h, score=0.9, track_id=None):
    mask = np.zeros((H, W), bool)
    mask[y : y + h, x : x + w] = True
    return Instance(score, mask, box_of_mask(mask), np.zeros(4), track_id)


def localization(*instances, found=True, label="mug"):
    i = instances[0]
    entity = Entity(
        i.score, i.mask, i.box_xyxy, i.embedding, i.track_id,
        label=label, found=found, instances=instances if found else (),
    )  # fmt: skip
    return Localization(i.score, (entity,), H, W)


GREY = np.full((H, W, 3), 100, np.uint8)


def test_smoke_mask_is_tinted_and_the_rest_is_not():
    thing = instance(100, 120, 60, 50)
    out = draw_localization(GREY, localization(thing))
    assert out.shape == GREY.shape and out.dtype == np.uint8
    expected = 0.55 * 100 + 0.45 * np.array(PALETTE[0])
    np.testing.assert_allclose(out[145, 130], expected, atol=1)
    np.testing.assert_array_equal(out[230, 10], [100, 100, 100])
    assert (GREY == 100).all(), "the input stays as it is"


def test_entity_without_instances_is_drawn_and_a_missing_one_is_not():
    thing = instance(100, 120, 60, 50)
    assert np.array_equal(draw_localization(GREY, localization(thing, found=False)), GREY)
    bare = localization(thing)
    entity = bare.entities[0]
    alone = Entity(entity.score, entity.mask, entity.box_xyxy, entity.embedding, None,
                   label="mug", found=True)  # fmt: skip
    drawn = draw_localization(GREY, Localization(0.9, (alone,), H, W))
    assert not np.array_equal(drawn, GREY)


def test_labels_do_not_cover_each_other():
    """Two things at the same place: the pictures of both labels are whole."""
    a, b = instance(100, 100, 40, 40, 0.9, 1), instance(104, 102, 40, 40, 0.8, 2)
    out = draw_localization(GREY, localization(a, b))
    plate = (out == np.array(PALETTE[0])).all(-1)
    count, _, stats, _ = cv2.connectedComponentsWithStats(
        cv2.morphologyEx(plate.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    )
    wide = [s for s in stats[1:count] if s[cv2.CC_STAT_WIDTH] > 60]
    assert sum(s[cv2.CC_STAT_HEIGHT] for s in wide) >= 2 * 15


@given(st.integers(-50, 400), st.integers(-50, 300), st.text(min_size=1, max_size=80))
@settings(max_examples=40, deadline=None)
def test_feature_labels_stay_inside(x, y, text):
    canvas = np.zeros((60, 90, 3), np.uint8)
    x1, y1, x2, y2 = draw_label(canvas, text, (x, y), PALETTE[1])
    assert 0 <= x1 <= x2 <= 90 and 0 <= y1 <= y2 <= 60


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (8, 8), (2000, 30)])
def test_cardinality_any_size(size):
    mask = np.ones(size, bool)
    entity = Entity(0.9, mask, box_of_mask(mask), np.zeros(4), 1, label="x", found=True)
    image = np.zeros((*size, 3), np.uint8)
    out = draw_localization(image, Localization(0.9, (entity,), *size), header="t 0.5")
    assert out.shape == image.shape


def test_empty_mask_is_harmless():
    mask = np.zeros((H, W), bool)
    entity = Entity(0.9, mask, np.zeros(4), np.zeros(4), label="x", found=True)
    draw_localization(GREY, Localization(0.9, (entity,), H, W))


def test_palette_is_distinguishable_for_red_green_blind():
    """Deuteranopia (Machado et al. 2009, severity 1): pairs stay apart in CIELAB."""
    simulate = np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    )  # fmt: skip
    rgb = np.array(PALETTE, np.float32) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ simulate.T, 0, 1)
    srgb = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(srgb.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)]
    assert min(distances) > 10


def test_exceptions_say_what_to_do():
    with pytest.raises(ImageError, match="320x240"):
        draw_localization(GREY[:100], localization(instance(1, 1, 5, 5)))
    with pytest.raises(ImageError, match="one caption each"):
        contact_sheet([GREY], [])
    with pytest.raises(ImageError, match="one caption each"):
        contact_sheet([], [])


def test_contact_sheet_layout():
    images = [np.full((60, 80, 3), v, np.uint8) for v in (10, 20, 30)]
    sheet = contact_sheet(images, ["a", "b", "c"], columns=2, cell_width_px=80)
    assert sheet.shape[1] == 2 * 80 + 3 * 6
    assert (sheet[10, 20] == 10).all() and (sheet[10, 106] == 20).all()
    assert (sheet == 30).all(-1).sum() >= 60 * 80
    assert sheet[60:84, 6:86].min() < 100, "the caption is written below"


def test_files_are_whole_and_leave_nothing_behind(tmp_path):
    write_image(tmp_path / "x.png", GREY)
    assert np.array_equal(cv2.imread(str(tmp_path / "x.png")), GREY)
    times = np.arange(20) / 10
    curve = TimelineCurve("the <mug>", times / 2, times / 2, [Interval(0.5, 1.5, 0.6, 1.4, 0.7)])
    timeline_png(tmp_path / "t.png", times, [curve, curve], thumbnails=[(0.5, GREY)], title="t")
    timeline_png(tmp_path / "e.png", [], [TimelineCurve("x", times[:0], times[:0], [])])
    assert cv2.imread(str(tmp_path / "t.png")).shape[1] == 1200
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.png", "t.png", "x.png"]
