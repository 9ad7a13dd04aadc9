"""Records, facts, strokes, views, the feature store, what is asked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.errors import CheckpointError, ImageError
from tests.training.worlds import write_world
from training.config import TrainConfig
from training.data.augment import View, ViewConfig, make_view
from training.data.batches import BatchConfig, Batches
from training.data.formats import coco, tabletop
from training.data.formats.records import InstanceLabel, mirror_text
from training.data.queries.label_knowledge import LabelKnowledge, same_object
from training.data.queries.sampling import has_lookalike, mirrored_text, visible_phrases
from training.data.queries.strokes import STROKES, click, draw_stroke
from training.data.sources import open_sources
from training.data.store import FeatureStore, RowShape, StoreWriter
from training.truth import FALSE, TRUE, UNKNOWN


def thing(
    name: str, asset: str | None = None, source: str = "tabletop", kind: str = ""
) -> InstanceLabel:
    return InstanceLabel(name, frozenset([name]), asset, kind or name, source)


# -- records ----------------------------------------------------------------------------------


def test_rendered_records_number_what_is_there(world: Path) -> None:
    record = tabletop.record_of(tabletop.read_split(world, "train")[0])
    image, numbers = record.read()
    assert image.shape == (64, 96, 3) and numbers.max() == len(record.instances) == 4
    for k, instance in enumerate(record.instances):
        color = image[numbers == k + 1].mean(axis=0)
        if instance.name.startswith("red"):
            assert color[0] > color[1] + 50
    assert all(
        p.text in record.instances[p.instances[0]].names for p in record.phrases if p.kind == "name"
    )


def test_small_instances_leave_every_label(tmp_path: Path) -> None:
    scene = tabletop.read_split(write_world(tmp_path, count=1), "train")[0]
    gone = scene["instances"][1]
    gone["visible_px"] = 3
    record = tabletop.record_of(scene)
    assert all(gone["name"] != i.name for i in record.instances)
    assert all(not p.text.startswith(gone["name"]) for p in record.phrases)
    assert record.sentences == ()


def test_half_written_lines_and_ungathered_scenes(tmp_path: Path) -> None:
    world = write_world(tmp_path, count=3)
    path = world / "train" / "scenes.jsonl"
    lines = path.read_text().splitlines()
    (world / "train" / ".scenes").mkdir()
    (world / "train" / ".scenes" / "000002.json").write_text(lines[2])
    path.write_text(lines[0] + "\n" + lines[1][:40])
    assert [s["index"] for s in tabletop.read_split(world, "train")] == [0, 2]
    with pytest.raises(ImageError, match="render them"):
        tabletop.read_split(tmp_path / "nowhere", "train")


def test_mirroring_swaps_left_and_right() -> None:
    assert mirror_text("Left of the right one") == "Right of the left one"


# -- facts ------------------------------------------------------------------------------------


def test_truth_is_three_valued() -> None:
    facts = LabelKnowledge({"mug": frozenset(["a", "b"])}, frozenset(["cup", "giraffe"]))
    assert facts.truth("mug", thing("white mug", "a")) == TRUE
    assert facts.truth("mug", thing("bowl", "c")) == FALSE
    assert facts.truth("mug left of the bowl", thing("bowl", "c")) == UNKNOWN
    assert facts.truth("giraffe", thing("bowl", "c")) == FALSE
    assert facts.truth("cup", thing("white mug", "a")) == UNKNOWN
    assert facts.truth("mug", thing("cup", None, "coco")) == UNKNOWN
    assert facts.truth("mug", thing("giraffe", None, "coco")) == FALSE
    assert facts.truth("giraffe", thing("cup", None, "coco")) == FALSE
    assert facts.truth("the thing", thing("giraffe", None, "coco")) == UNKNOWN


def test_variants_of_a_kind_are_not_negatives_for_a_reference() -> None:
    mug, other, bowl = (
        thing("mug", "a", kind="mug"),
        thing("mug", "b", kind="mug"),
        thing("bowl", "c"),
    )
    assert same_object(mug, mug) == TRUE
    assert same_object(mug, other) == UNKNOWN
    assert same_object(mug, bowl) == FALSE
    assert same_object(mug, thing("giraffe", None, "coco")) == FALSE


# -- asks -------------------------------------------------------------------------------------


def test_only_a_relation_among_things_of_one_kind_tells_look_alikes_apart() -> None:
    row = [thing("red ball", kind="ball"), thing("box"), thing("blue ball", kind="ball")]
    assert has_lookalike(row, (0,)) and has_lookalike(row, (2,))
    assert not has_lookalike(row, (1,)) and not has_lookalike(row, (0, 2))


@pytest.mark.parametrize("visual", [0.0, 1.0])
def test_phrases_among_look_alikes_come_first_and_are_never_shown(
    config: TrainConfig, visual: float
) -> None:
    """A picture of the mug cannot say which of two mugs: only the words about places can."""
    sources = open_sources(config.data, config.model.vision)
    asks = replace_asks(config, alike=1.0, visual=visual)
    batches = Batches(sources.records, sources.store, sources.knowledge, asks)
    seen = 0
    for step in range(4):
        batch = batches.batch(step)
        for picture, ask in zip(batch.images, batch.queries, strict=True):
            alike = {p.text: p.targets for p in visible_phrases(picture) if p.ambiguous}
            if alike:
                seen += 1
                assert ask.phrases[0].text in alike
                asked = [e for e in ask.entities if e.text in alike]
                assert any(e.targets == alike[e.text] for e in asked)
                assert not any(e.is_visual for e in asked)
    assert seen


def test_relations_that_do_not_hold_are_asked_as_absent(config: TrainConfig) -> None:
    sources = open_sources(config.data, config.model.vision)
    asks = dataclasses.replace(config.data.batch.asks, absent=1.0, untrue=1.0)
    batches = Batches(
        sources.records, sources.store, sources.knowledge,
        dataclasses.replace(config.data.batch, asks=asks),
    )  # fmt: skip
    asked = 0
    for step in range(4):
        batch = batches.batch(step)
        for picture, ask in zip(batch.images, batch.queries, strict=True):
            untrue = {mirrored_text(t, picture) for t in picture.record.false_relations}
            if untrue and picture.complete:
                mine = [e for e in ask.entities if e.text in untrue]
                asked += len(mine)
                assert all(e.targets == () and not e.is_visual for e in mine)
    assert asked


def replace_asks(config: TrainConfig, **changes: float) -> BatchConfig:
    batch = config.data.batch
    asks = dataclasses.replace(batch.asks, absent=0.0, **changes)
    return dataclasses.replace(batch, asks=asks)


# -- strokes ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([*STROKES, "mask", "box", None]))
def test_strokes_lie_inside_and_are_never_empty(seed: int, kind: str | None) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 60), np.uint8)
    cv2.ellipse(mask, tuple(int(v) for v in rng.integers(10, 30, 2)),
                tuple(int(v) for v in rng.integers(1, 12, 2)), 30, 0, 360, 1, -1)  # fmt: skip
    mask = mask.astype(bool)
    stroke = draw_stroke(mask, rng, kind)
    assert stroke.any() and stroke.shape == mask.shape
    if kind == "box":
        assert (stroke & mask).sum() == mask.sum()
    else:
        assert not (stroke & ~mask).any()


def test_click_is_where_the_mask_is_deepest() -> None:
    mask = np.zeros((21, 31), bool)
    mask[5:16, 10:21] = True
    rows, cols = np.nonzero(click(mask))
    assert (rows.mean(), cols.mean()) == (10, 15) and len(rows) == 9


# -- views ------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(50, 200), st.integers(50, 200))
def test_views_keep_pixels_and_labels_together(seed: int, height: int, width: int) -> None:
    """Red where labelled 1, green elsewhere: still so in any view without photometric changes."""
    numbers = np.zeros((height, width), np.uint8)
    numbers[height // 4 : height // 2, width // 4 : width // 2] = 1
    image = np.where(numbers[..., None] > 0, (250, 0, 0), (0, 250, 0)).astype(np.uint8)
    config = ViewConfig(48, 64, photometric=0.0)
    view = make_view(image, numbers, config, np.random.default_rng(seed))
    assert view.image.shape == (48, 64, 3) and view.numbers.shape == (48, 64)
    red = view.image[..., 0] > 125
    inside = cv2.erode(view.numbers, np.ones((5, 5))) > 0
    outside = cv2.dilate(view.numbers, np.ones((5, 5))) == 0
    assert red[inside].all() and not red[outside].any()


def test_plain_view_is_the_centred_crop() -> None:
    image = np.arange(100 * 200 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 200, 3)
    view = make_view(image, np.zeros((100, 200), np.uint8), ViewConfig(100, 100), None)
    assert np.array_equal(view.image, image[:, 50:150]) and view.cropped and not view.mirrored


# -- store ------------------------------------------------------------------------------------


SHAPE = RowShape((2, 3, 4, 5), 32, 64)


def a_view(value: int) -> tuple[View, list[torch.Tensor]]:
    numbers = np.full((32, 64), value, np.uint8)
    maps = [torch.full(m, value / 7) for m in SHAPE.maps]
    return View(np.zeros((32, 64, 3), np.uint8), numbers, mirrored=value % 2 == 1), maps


def test_store_gives_back_what_was_put_in(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, "a", SHAPE, "enc")
    for value in range(3):
        writer.append(f"r{value}", 0, *a_view(value))
    store = FeatureStore(tmp_path)
    for value in range(3):
        (view,) = store.views[f"r{value}"]
        maps, numbers, _ = store.load(view)
        assert view.mirrored == (value % 2 == 1) and (numbers == value).all()
        assert [m.shape for m in maps] == SHAPE.maps
        np.testing.assert_allclose(maps[3], value / 7, rtol=1e-3)
    other = StoreWriter(tmp_path, "b", SHAPE, "enc")
    other.append("r0", 1, *a_view(5))
    assert store.refresh() == 4 and len(store.views["r0"]) == 2


@pytest.mark.parametrize("part", ["../a", "a/b", "", ".", "a.b", "a\n"])
def test_a_part_is_a_plain_name(tmp_path, part):
    with pytest.raises(CheckpointError, match="A part is named by letters"):
        StoreWriter(tmp_path / "store", part, SHAPE, "enc")
    assert list(tmp_path.iterdir()) == []


def test_store_survives_a_crash_between_row_and_line(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, "a", SHAPE, "enc")
    writer.append("r1", 0, *a_view(1))
    writer.close()
    with (tmp_path / "a.bin").open("ab") as file:
        file.write(b"half a row")
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"record": "r2", "var')
    again = StoreWriter(tmp_path, "a", SHAPE, "enc")
    assert again.has("r1", 0) and not again.has("r2", 0)
    again.append("r2", 0, *a_view(2))
    store = FeatureStore(tmp_path)
    assert (store.load(store.views["r2"][0])[1] == 2).all()


def test_store_refuses_another_encoder_or_size(tmp_path: Path) -> None:
    StoreWriter(tmp_path, "a", SHAPE, "enc")
    with pytest.raises(CheckpointError, match="another encoder"):
        StoreWriter(tmp_path, "b", SHAPE, "other")


# -- coco -------------------------------------------------------------------------------------


@pytest.fixture
def mini_coco(tmp_path: Path) -> Path:
    """One picture in COCO's panoptic, instance and caption formats."""
    (tmp_path / "annotations" / "panoptic_train2017").mkdir(parents=True)
    (tmp_path / "train2017").mkdir()
    cv2.imwrite(
        str(tmp_path / "train2017" / "000000000007.jpg"), np.full((60, 80, 3), 99, np.uint8)
    )
    ids = np.full((60, 80), 300, np.int64)  # 300 = 44 + 1 * 256
    ids[10:40, 20:60] = 5
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "annotations/panoptic_train2017/000000000007.png"), rgb[..., ::-1])
    images = [{"id": 7, "file_name": "000000000007.jpg", "height": 60, "width": 80}]
    categories = [
        {"id": 1, "name": "cup", "isthing": 1},
        {"id": 2, "name": "wall-other-merged", "isthing": 0},
        {"id": 3, "name": "giraffe", "isthing": 1},
        {"id": 4, "name": "sand", "isthing": 0},
    ]
    segments = [{"id": 5, "category_id": 1, "iscrowd": 0, "area": 1200},
                {"id": 300, "category_id": 2, "iscrowd": 0, "area": 3600},
                {"id": 6, "category_id": 4, "iscrowd": 0, "area": 9}]  # fmt: skip
    write = {
        "panoptic": [{"image_id": 7, "file_name": "000000000007.png", "segments_info": segments}],
        "captions": [{"image_id": 7, "caption": "A cup on a wall. "}],
        "instances": [{"id": 9, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 1200,
                       "segmentation": [[20, 10, 59, 10, 59, 39, 20, 39]]}],
    }  # fmt: skip
    for kind, rows in write.items():
        data = {"images": images, "categories": categories, "annotations": rows}
        (tmp_path / "annotations" / f"{kind}_train2017.json").write_text(json.dumps(data))
    return tmp_path


def test_coco_panoptic_and_instances_agree(mini_coco: Path) -> None:
    (segments,), (instances,) = coco.panoptic_records(mini_coco), coco.instance_records(mini_coco)
    assert [i.name for i in segments.instances] == ["cup", "wall"]
    assert [i.stuff for i in segments.instances] == [False, True]
    assert (
        segments.captions == ("A cup on a wall.",)
        and segments.exhaustive
        and not instances.exhaustive
    )
    _, a = segments.read()
    _, b = instances.read()
    assert np.array_equal(a == 1, b == 1) and (a == 2).sum() == 60 * 80 - 1200


def test_classes_that_coco_did_not_label_are_known_to_be_absent(mini_coco: Path) -> None:
    (segments,) = coco.panoptic_records(mini_coco)
    assert segments.absent == ("giraffe",)  # sand is there, only too small to be asked for
    (instances,) = coco.instance_records(mini_coco)
    assert instances.absent == ()  # not everything is labelled there


def test_coco_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="download"):
        coco.panoptic_records(tmp_path)


def test_run_length_and_polygon_masks_agree() -> None:
    polygon = coco.decode_segmentation([[2, 1, 7, 1, 7, 4, 2, 4]], 8, 10)
    counts, flat = [], polygon.ravel(order="F")
    value, run = False, 0
    for pixel in flat:
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    counts.append(run)
    rle = coco.decode_segmentation({"size": [8, 10], "counts": counts}, 8, 10)
    assert np.array_equal(polygon, rle) and polygon.sum() == 24
