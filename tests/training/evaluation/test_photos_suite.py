"""The photographs suite: which questions are asked, and what a perfect and a blind model score."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from find_core.results import box_of_mask
from tests.training.data.test_photos import set_row
from training.data.formats.photos import coco_val_names, read_photos
from training.evaluation import photos_suite
from training.evaluation.photos_suite import chosen, iou_of_boxes, run_photos, targets_of

HEIGHT, WIDTH = 60, 80
COLORS = {"cat": (200, 30, 30), "dog": (30, 200, 30), "cow": (30, 30, 200)}


def write_photos(root: Path, count: int = 6) -> Path:
    """`mugs` (exhaustive, evaluation only): each image a cat at one of two places, every second one
    a dog too, and two cows that are no question. `epicure`: boxes. `grocery`: a bare name."""
    import json

    rows = []
    for n in range(count):
        image, ids = np.full((HEIGHT, WIDTH, 3), 120, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        drawn = [("cat", 5 + n, 5), ("cow", 5, 40), ("cow", 60, 40)]
        drawn += [("dog", 40, 5)] if n % 2 else []
        segments = []
        for k, (name, x, y) in enumerate(drawn, 1):
            image[y : y + 16, x : x + 16], ids[y : y + 16, x : x + 16] = COLORS[name], k
            segments.append({"id": k, "name": name, "box_xyxy": [x, y, x + 16, y + 16]})
        base = {"image": f"images/{n}.png", "size": [WIDTH, HEIGHT]}
        rows.append(base | {"set": "mugs", "segments": segments, "mask": f"masks/{n}.png"})
        for folder, data in (("images", image[..., ::-1]), ("masks", ids)):
            (root / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(root / folder / f"{n}.png"), data)
    box = [{"name": "cat", "box_xyxy": [5, 5, 21, 21]}]
    base = {"image": "images/0.png", "size": [WIDTH, HEIGHT], "segments": []}
    rows.append(base | {"set": "shelf", "boxes": box})
    rows.append(base | {"set": "shop", "image_label": "cat", "image_label_coarse": "animal"})
    classes = {"cat": 6, "dog": 3, "cow": 12}
    sets = [set_row("mugs", ships=False, classes=classes),
            set_row("shelf", ships=False, exhaustive=False), set_row("shop", False, exhaustive=False)]  # fmt: skip
    (root / "sets.json").write_text(json.dumps(sets))
    (root / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return root


class ColorFind:
    """Finds what has the colour that a name stands for, or that a reference's box shows.

    Args:
        blind: answers the other half of the image, with the scores turned round.
    """

    def __init__(self, blind: bool = False) -> None:
        self.blind = blind

    def encode(self, image: np.ndarray) -> ColorScene:
        return ColorScene(image, self.blind)


class ColorScene:
    def __init__(self, image: np.ndarray, blind: bool) -> None:
        self.image, self.blind = image, blind
        self.height, self.width = image.shape[:2]
        self.object_mask_logits = np.stack(
            [
                np.where(self._like(np.array(c)), 5.0, -5.0).astype(np.float32)
                for c in COLORS.values()
            ]
        )

    def _like(self, color: np.ndarray) -> np.ndarray:
        return np.abs(self.image.astype(int) - color).sum(2) < 40

    def localize(self, prompt):
        return self.localize_many([prompt])[0]

    def localize_many(self, prompts):
        out = []
        for prompt in prompts:
            (entity,) = prompt.entities
            color = np.array(COLORS.get(entity.label, (0, 0, 0)))
            if entity.reference is not None:
                shown = entity.reference.image[entity.reference.mask]
                color = np.median(shown, axis=0)
            mask = self._like(color)
            score = 0.9 if mask.any() else 0.1
            if self.blind:
                mask, score = ~mask, 1.0 - score
            box = box_of_mask(mask)
            out.append(
                SimpleNamespace(entities=[SimpleNamespace(mask=mask, score=score, box_xyxy=box)])
            )
        return out

    def interact(self, *prompts):
        masks = []
        for (region,) in prompts:
            row, column = np.argwhere(region.to_mask(self.height, self.width))[0]
            masks.append(self._like(self.image[row, column].astype(int)))
        return SimpleNamespace(masks=masks)


def quiet(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def test_a_perfect_model_is_right_everywhere(root: Path) -> None:
    metrics = run_photos(ColorFind(), root, None, quiet)
    mugs = metrics["by_set"]["mugs"]
    assert mugs["images"] == 6 and metrics["all"]["images"] == 8
    assert mugs["names"]["miou"]["value"] == 1.0 and mugs["names"]["oracle_miou"]["value"] == 1.0
    assert mugs["names"]["miou"]["n"] == 6 + 3, (
        "cats and dogs; two cows in one image are no question"
    )
    assert mugs["references"]["miou"]["value"] == 1.0 and mugs["references"]["miou"]["n"] == 9
    assert mugs["clicks"]["miou"]["value"] == 1.0
    presence = mugs["presence"]
    assert presence["auc"]["value"] == 1.0 and presence["auc"]["absent"] == 3
    assert presence["found_at_0.5"] == 1.0 and presence["false_alarms_at_0.5"] == 0.0
    assert metrics["by_set"]["shelf"]["name_boxes"]["miou"]["value"] == 1.0
    assert (
        "names" not in metrics["by_set"]["shelf"] and "presence" not in metrics["by_set"]["shelf"]
    )
    assert metrics["by_set"]["shop"]["image_label_found_at_0.5"]["value"] == 1.0


def test_a_blind_model_is_wrong_everywhere(root: Path) -> None:
    metrics = run_photos(ColorFind(blind=True), root, None, quiet)["by_set"]
    assert metrics["mugs"]["names"]["miou"]["value"] == 0.0
    assert metrics["mugs"]["names"]["oracle_miou"]["value"] == 1.0, "its proposals are right"
    assert metrics["mugs"]["references"]["miou"]["value"] == 0.0
    assert metrics["mugs"]["presence"]["auc"]["value"] == 0.0
    assert metrics["mugs"]["presence"]["false_alarms_at_0.5"] == 1.0
    assert metrics["shop"]["image_label_found_at_0.5"]["value"] == 0.0


def test_a_limit_takes_the_same_few_of_each_set(root: Path) -> None:
    photos = read_photos(root)
    few = chosen(photos, 2)
    assert few == chosen(list(reversed(photos)), 2) and len(few) == 2 + 1 + 1
    assert {p.file_name for p in few} <= {p.file_name for p in chosen(photos, 3)}


def test_merged_regions_count_only_in_one_piece(tmp_path: Path) -> None:
    import dataclasses

    from training.data.formats.records import LabelKind

    photo = read_photos(write_photos(tmp_path, 1))[0]
    cat, *rest = photo.record.instances
    merged = dataclasses.replace(cat, label_kind=LabelKind.MERGED)
    record = dataclasses.replace(photo.record, instances=(merged, *rest))
    photo = dataclasses.replace(photo, record=record)
    _, numbers = photo.record.read()
    assert [t.name for t in targets_of(photo, numbers)] == ["cat"]
    numbers[5:11, 40:56] = 1  # another animal of the class, in the same region
    assert targets_of(photo, numbers) == []
    assert targets_of(dataclasses.replace(photo, crowds=frozenset(["cat"])), numbers) == []


def test_box_iou_by_hand() -> None:
    assert iou_of_boxes((0, 0, 4, 4), (2, 0, 6, 4)) == pytest.approx(8 / 24)
    assert (
        iou_of_boxes((0, 0, 4, 4), (5, 5, 6, 6)) == 0.0 == iou_of_boxes((0, 0, 0, 0), (0, 0, 0, 0))
    )


def test_what_the_default_was_trained_on_is_known() -> None:
    seen = photos_suite.seen_images()
    assert len(seen) == 150 + 40 and "000000000009.jpg" in seen
    assert len(seen & coco_val_names()) == 40 and len(coco_val_names()) == 50
