"""Labels as common tools write them: COCO files with keys left out, masks of many kinds, sizes that
do not agree, images with a stored rotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from find_core.errors import ImageError
from training.data.formats import coco
from training.data.formats.coco_masks import decode_segmentation
from training.data.formats.oriented import read_as_labelled
from training.data.formats.user import read_names, user_records

Image = pytest.importorskip("PIL.Image", reason="masks are read with pillow")

HEIGHT, WIDTH = 48, 64
SQUARE = [40, 10, 59, 10, 59, 29, 40, 29]
"""20 x 20 pixels right of the middle, on a grey ground."""
MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[10:30, 40:60] = 1


def write_image(path: Path, orientation: int | None = None) -> None:
    """A red square on grey as stored, with an EXIF orientation."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[MASK > 0] = (200, 20, 20)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95, exif=exif)


def on_the_square(image: np.ndarray, numbers: np.ndarray) -> set[int]:
    """Which numbers the red pixels have; JPEG's soft edges left out."""
    red = (image[..., 0].astype(int) - image[..., 1] > 100).astype(np.uint8)
    assert red.sum() > 300 and image.shape[:2] == numbers.shape
    return set(numbers[cv2.erode(red, np.ones((3, 3))) > 0].tolist())


# -- COCO -------------------------------------------------------------------------------------


def coco_folder(root: Path, annotation: dict[str, Any], orientation: int | None = None,
                **image: Any) -> Path:  # fmt: skip
    write_image(root / "val" / "1.jpg", orientation)
    (root / "annotations").mkdir(exist_ok=True)
    data = {"images": [{"id": 1, "file_name": "1.jpg"} | image], "annotations": [annotation],
            "categories": [{"id": 7, "name": "square"}]}  # fmt: skip
    (root / "annotations" / "instances_val.json").write_text(json.dumps(data))
    return root


def annotation(segmentation: Any = (SQUARE,), **other: Any) -> dict[str, Any]:
    shape = list(segmentation) if isinstance(segmentation, tuple) else segmentation
    return {"id": 12, "image_id": 1, "category_id": 7, "segmentation": shape} | other


def squares(root: Path) -> tuple[int, set[int]]:
    """Labelled pixels, and the numbers on the square."""
    (record,) = coco.instance_records(root, "val")
    image, numbers = record.read()
    return int((numbers > 0).sum()), on_the_square(image, numbers)


RLE = {
    "size": [HEIGHT, WIDTH],
    "counts": [40 * HEIGHT + 10] + [20, 28] * 19 + [20, 18 + 4 * HEIGHT],
}


@pytest.mark.parametrize(
    "segmentation",
    [(SQUARE,), SQUARE, [[[40, 10], [59, 10], [59, 29], [40, 29]]], [SQUARE, [1, 1, 2, 2]], RLE],
    ids=["plain", "flat", "pairs", "with two points", "run lengths"],
)
def test_polygons_in_every_form_give_one_mask(tmp_path: Path, segmentation: Any) -> None:
    """No iscrowd, no area, no width, no height: all have defaults."""
    assert squares(coco_folder(tmp_path, annotation(segmentation))) == (400, {1})


@pytest.mark.parametrize("segmentation", [None, [], [[]], [[40, 10, 59, 29]]])
def test_what_covers_nothing_is_left_out(tmp_path: Path, segmentation: Any) -> None:
    (record,) = coco.instance_records(coco_folder(tmp_path, annotation(segmentation)), "val")
    assert record.instances == () and not record.read()[1].any()


def test_small_objects_and_crowds_are_left_out(tmp_path: Path) -> None:
    tiny = annotation(([40, 10, 49, 10, 49, 19, 40, 19],))
    for left_out in (tiny, annotation(iscrowd=1), annotation(area=20)):
        (record,) = coco.instance_records(coco_folder(tmp_path, left_out), "val")
        assert record.instances == ()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (annotation([[40, 10, 59]]), "annotation 12.*odd number"),
        (annotation([[40, 10, float("nan"), 10, 59, 29]]), "annotation 12.*not finite"),
        (annotation(category_id=3), "annotation 12.*category 3"),
        ({"id": 12, "image_id": 1}, "annotation 12 has no 'category_id'"),
        (annotation("x"), "annotation 12.*polygons or run lengths"),
        (annotation(RLE | {"size": [24, 32]}), "annotation 12.*24x32"),
        (annotation(RLE | {"counts": [5, 5]}), "annotation 12.*do not cover"),
    ],
)
def test_the_rest_is_one_sentence_with_the_annotations_id(
    tmp_path: Path, wrong: dict, sentence: str
) -> None:
    with pytest.raises(ImageError, match=sentence):
        (record,) = coco.instance_records(
            coco_folder(tmp_path, wrong, width=WIDTH, height=HEIGHT), "val"
        )
        record.read()


def test_a_compressed_string_that_was_cut_is_noticed() -> None:
    from pycocotools import mask as packer

    packed = packer.encode(np.asfortranarray(MASK))["counts"]
    whole = {"size": [HEIGHT, WIDTH], "counts": packed.decode()}
    assert np.array_equal(decode_segmentation(whole, HEIGHT, WIDTH), MASK > 0)
    with pytest.raises(ImageError, match="cover"):
        decode_segmentation(whole | {"counts": packed.decode()[:6]}, HEIGHT, WIDTH)


def panoptic_folder(root: Path, segments: list[dict], isthing: dict | None = None) -> Path:
    write_image(root / "val" / "1.jpg")
    folder = root / "annotations" / "panoptic_val"
    folder.mkdir(parents=True)
    ids = np.where(MASK > 0, 9, 5).astype(np.uint8)
    cv2.imwrite(str(folder / "1.png"), np.dstack([0 * ids, 0 * ids, ids]))  # BGR: red is the lowest
    data = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": 1, "name": "wall", "isthing": 0}, {"id": 2, "name": "square"}],
        "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": segments}],
    }
    (root / "annotations" / "panoptic_val.json").write_text(json.dumps(data))
    return root


def test_panoptic_keys_have_defaults(tmp_path: Path) -> None:
    root = panoptic_folder(tmp_path, [{"id": 5, "category_id": 1}, {"id": 9, "category_id": 2}])
    (record,) = coco.panoptic_records(root, "val")
    assert [(i.name, i.stuff) for i in record.instances] == [("wall", True), ("square", False)]
    image, numbers = record.read()
    assert on_the_square(image, numbers) == {2} and (numbers == 2).sum() == 400


def test_a_segment_of_no_category_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="image 1: category 8"):
        coco.panoptic_records(panoptic_folder(tmp_path, [{"id": 5, "category_id": 8}]), "val")


# -- sizes and rotation -----------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [None, 6, 8])
def test_labels_as_stored_meet_the_image_as_stored(tmp_path: Path, orientation: int | None) -> None:
    root = coco_folder(tmp_path, annotation(), orientation, width=WIDTH, height=HEIGHT)
    assert squares(root) == (400, {1})


def test_labels_of_the_upright_image_meet_it_upright(tmp_path: Path) -> None:
    """Orientation 6: turned right by 90 degrees, (x, y) stored is (HEIGHT - 1 - y, x) upright."""
    turned = [
        c for x, y in zip(SQUARE[::2], SQUARE[1::2], strict=True) for c in (HEIGHT - 1 - y, x)
    ]
    root = coco_folder(tmp_path, annotation((turned,)), 6, width=HEIGHT, height=WIDTH)
    assert squares(root) == (400, {1})


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (2 * WIDTH, 2 * HEIGHT)])
def test_sizes_that_fit_neither_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    root = coco_folder(tmp_path, annotation(), width=size[0], height=size[1])
    with pytest.raises(ImageError, match=rf"val/1.jpg is 64x48, its annotations are {size[0]}x"):
        squares(root)
    assert read_as_labelled(root / "val" / "1.jpg", HEIGHT, WIDTH).shape == (HEIGHT, WIDTH, 3)


# -- a user's masks ---------------------------------------------------------------------------


def palette(mask: np.ndarray) -> Any:
    image = Image.fromarray(mask).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0] + [200] * 762)
    return image


def with_rim() -> np.ndarray:
    mask = MASK.copy()
    mask[9:31, 39:61][mask[9:31, 39:61] == 0] = 255
    return mask


def teach(root: Path, mask: Any, names: str = '{"1": "my square"}', orientation: int | None = None,
          suffix: str = ".png") -> set[int]:  # fmt: skip
    write_image(root / "images" / "a.jpg", orientation)
    (root / "masks").mkdir()
    mask.save(root / "masks" / f"a{suffix}")
    (root / "names.json").write_text(names)
    (record,) = user_records(root / "images", root / "masks", read_names(root / "names.json"))
    image, numbers = record.read()
    found = on_the_square(image, numbers)
    assert set(np.unique(numbers).tolist()) == found | {0}
    return found


FORMS = {
    "0 and 1": Image.fromarray(MASK),
    "0 and 255": Image.fromarray(MASK * 255),
    "1 bit": Image.fromarray(MASK * 255).convert("1"),
    "palette": palette(MASK),
    "palette with a rim": palette(with_rim()),
    "grey as RGB": Image.fromarray(np.dstack([MASK] * 3)),
    "grey as RGBA": Image.fromarray(np.dstack([MASK * 255] * 4)),
    "16 bit": Image.fromarray(MASK.astype(np.uint16)),
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_as_tools_write_them(tmp_path: Path, form: str) -> None:
    assert teach(tmp_path, FORMS[form]) == {1}


def test_a_mask_of_the_stored_image_a_bom_and_an_upper_case_suffix(tmp_path: Path) -> None:
    names = "\ufeff" + '{"1": ["my square", "that"]}'
    assert teach(tmp_path, Image.fromarray(MASK), names, orientation=6, suffix=".PNG") == {1}


COLOURED = Image.fromarray(np.dstack([MASK * 200, MASK, MASK]))
TWO = '{"1": "my square", "2": "other"}'


@pytest.mark.parametrize(
    ("mask", "names", "sentence"),
    [
        (FORMS["0 and 255"], TWO, "255, which is white"),
        (FORMS["0 and 255"], '{"255": "my square"}', "255 is white: call it 1"),
        (Image.fromarray(MASK * 3), TWO, "label 3, which has no name"),
        (COLOURED, TWO, "coloured mask"),
        (Image.fromarray(MASK[:20]), TWO, "images/a.jpg is 64x48, its annotations are 64x20"),
        (FORMS["0 and 1"], '{"1": "my <square>"}', "without < and >"),
        (FORMS["0 and 1"], '{"1": {"name": "x"}}', "neither a name nor a list"),
        (FORMS["0 and 1"], '{"1": ""}', "has the name ''"),
        (FORMS["0 and 1"], '["square"]', "must be JSON"),
    ],
)
def test_other_masks_and_names_are_refused_in_a_sentence(
    tmp_path: Path, mask: Any, names: str, sentence: str
) -> None:
    with pytest.raises(ImageError, match=sentence):
        teach(tmp_path, mask, names)


def test_folders_that_do_not_fit(tmp_path: Path) -> None:
    teach(tmp_path, FORMS["0 and 1"])
    with pytest.raises(ImageError, match="There is no folder"):
        user_records(tmp_path / "images", tmp_path / "labels", {1: ("x",)})
    write_image(tmp_path / "images" / "a.jpeg")
    with pytest.raises(ImageError, match="Two images"):
        user_records(tmp_path / "images", tmp_path / "masks", {1: ("x",)})
