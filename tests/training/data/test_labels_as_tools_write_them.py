"""COCO files and label masks as people's tools write them: read as meant, or refused in a sentence."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from find_core.errors import ImageError
from find_core.masks import mask_to_rle
from training.data.formats.coco import instance_records, panoptic_records
from training.data.formats.user import read_names, user_records

H, W = 96, 128
SQUARE = np.zeros((H, W), np.uint8)
SQUARE[20:30, 90:120] = 1
POLYGON = [90, 20, 119, 20, 119, 29, 90, 29]
ANNOTATION = {
    "id": 1, "image_id": 1, "category_id": 7, "iscrowd": 0, "area": 400, "segmentation": [POLYGON],
}  # fmt: skip
IMAGE = {"id": 1, "file_name": "1.jpg", "width": W, "height": H}
UPRIGHT_OF_6 = {"width": H, "height": W}


def photo(path, orientation=None):
    """Grey with a red square, stored; EXIF may turn it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.full((H, W, 3), 120, np.uint8)
    rgb[SQUARE > 0] = (230, 20, 20)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    kind = "JPEG" if path.suffix == ".jpg" else None
    extra = {"quality": 95, "subsampling": 0, "exif": exif.tobytes()} if kind else {}
    Image.fromarray(rgb).save(path, kind, **extra)


def world(
    root, annotation, image=IMAGE, orientation=None, categories=({"id": 7, "name": "square"},)
):
    photo(root / "val/1.jpg", orientation)
    (root / "annotations").mkdir()
    data = {"images": [image], "annotations": [annotation], "categories": list(categories)}
    (root / "annotations/instances_val.json").write_text("\ufeff" + json.dumps(data))
    return root


def labels_of_the_square(record):
    """(labels on the red pixels, pixels labelled)."""
    image, numbers = record.read()
    assert image.shape[:2] == numbers.shape
    red = (image[..., 0] > 200) & (image[..., 1] < 60)
    return set(numbers[red].tolist()), int((numbers > 0).sum())


def without(*keys):
    return {k: v for k, v in ANNOTATION.items() if k not in keys}


def changed(**changes):
    return ANNOTATION | changes


READ = {
    "plain": ANNOTATION,
    "no iscrowd": without("iscrowd"),
    "no area": without("area"),
    "area null": changed(area=None),
    "no id": without("id"),
    "flat polygon": changed(segmentation=POLYGON),
    "points as pairs": changed(segmentation=[[[90, 20], [119, 20], [119, 29], [90, 29]]]),
    "an empty polygon beside": changed(segmentation=[[], POLYGON, [1, 2]]),
    "compressed RLE": changed(segmentation=mask_to_rle(SQUARE > 0)),
    "runs": changed(segmentation={"size": [H, W], "counts": [H * 90 + 20, *[10, H - 10] * 29, 10, H * 8 + 66]}),
}  # fmt: skip


@pytest.mark.parametrize("what", READ)
def test_coco_is_read_as_meant(tmp_path, what):
    (record,) = instance_records(world(tmp_path, READ[what]), "val")
    assert labels_of_the_square(record) == ({1}, 300)


@pytest.mark.parametrize("segmentation", [None, [], [[]], [[90, 20, 119, 29]]])
def test_instances_without_a_mask_are_left_out(tmp_path, segmentation):
    (record,) = instance_records(world(tmp_path, changed(segmentation=segmentation)), "val")
    assert not record.instances and record.read()[1].max() == 0


REFUSED = {
    "RLE of another size": changed(segmentation=mask_to_rle(SQUARE[::2, ::2] > 0)),
    "RLE cut short": changed(segmentation={"size": [H, W], "counts": "0"}),
    "RLE of gigabytes": changed(segmentation={"size": [65536, 65536], "counts": "P"}),
    "odd number of values": changed(segmentation=[[*POLYGON, 5]]),
    "NaN": changed(segmentation=[[float("nan"), *POLYGON[1:]]]),
    "words": changed(segmentation=[["a"] * 8]),
    "unknown category": changed(category_id=3),
    "a list as category": changed(category_id="7"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_exception_names_the_annotation(tmp_path, what):
    with pytest.raises(ImageError, match="annotation 1") as caught:
        instance_records(world(tmp_path, REFUSED[what]), "val")[0].read()
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("size", [{}, {"width": -1, "height": -1}, {"width": None}])
def test_sizes_come_from_the_image_where_the_file_has_none(tmp_path, size):
    image = {"id": 1, "file_name": "1.jpg", **size}
    (record,) = instance_records(world(tmp_path, ANNOTATION, image), "val")
    assert labels_of_the_square(record) == ({1}, 300)


@pytest.mark.parametrize("orientation", [None, 6, 8])
def test_labels_of_stored_pixels_meet_the_stored_image(tmp_path, orientation):
    (record,) = instance_records(world(tmp_path, ANNOTATION, orientation=orientation), "val")
    assert labels_of_the_square(record) == ({1}, 300)


def test_labels_of_the_upright_image_meet_that(tmp_path):
    turned = changed(segmentation=mask_to_rle(np.rot90(SQUARE, -1) > 0))
    image = IMAGE | UPRIGHT_OF_6
    (record,) = instance_records(world(tmp_path, turned, image, orientation=6), "val")
    assert labels_of_the_square(record) == ({1}, 300)


def test_exception_of_labels_of_another_size(tmp_path):
    with pytest.raises(ImageError, match=r"128x96, its annotations are 256x192"):
        image = IMAGE | {"width": 256, "height": 192}
        instance_records(world(tmp_path, ANNOTATION, image), "val")[0].read()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 90_000, '{"images": 3, "annotations": []}',
     '{"images": [3], "annotations": []}', '{"images": [{"id": 1}], "annotations": []}',
     '{"images": [], "annotations": [{}]}', '{"images": [], "annotations": [{"image_id": []}]}',
     "\udcff"],
)  # fmt: skip
def test_exception_of_files_that_are_no_coco(tmp_path, text):
    (tmp_path / "annotations").mkdir()
    for kind in ("instances", "panoptic"):
        path = tmp_path / f"annotations/{kind}_val.json"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for read in (instance_records, panoptic_records):
        with pytest.raises(ImageError):
            read(tmp_path, "val")


@pytest.mark.parametrize(
    "change",
    [{"segments_info": None}, {"segments_info": [{}]}, {"segments_info": [3]}, {"file_name": None},
     {"segments_info": [{"id": 1, "category_id": 99}]}],
)  # fmt: skip
def test_exception_of_damaged_panoptic_annotations(tmp_path, change):
    (tmp_path / "annotations").mkdir()
    annotation = {"image_id": 1, "file_name": "1.png", "segments_info": []} | change
    data = {"images": [IMAGE], "annotations": [annotation], "categories": []}
    (tmp_path / "annotations/panoptic_val.json").write_text(json.dumps(data))
    with pytest.raises(ImageError, match="image 1"):
        panoptic_records(tmp_path, "val")


def test_panoptic_segments_without_optional_keys(tmp_path):
    photo(tmp_path / "val/1.jpg", 6)
    folder = tmp_path / "annotations/panoptic_val"
    folder.mkdir(parents=True)
    rgb = np.dstack([SQUARE * 5, SQUARE * 0, SQUARE * 0])
    cv2.imwrite(str(folder / "1.png"), rgb[..., ::-1])
    segments = [{"id": 5, "category_id": 7}]
    data = {"images": [IMAGE], "categories": [{"id": 7, "name": "square"}],
            "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": segments}]}  # fmt: skip
    (tmp_path / "annotations/panoptic_val.json").write_text(json.dumps(data))
    (record,) = panoptic_records(tmp_path, "val")
    assert labels_of_the_square(record) == ({1}, 300)


# -- a user's masks ---------------------------------------------------------------------------


def palette(mask):
    image = Image.fromarray(mask).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0] + [224] * 762)
    return image


def rimmed():
    mask = SQUARE.copy()
    mask[18:20, 90:120] = 255
    return mask


MASKS = {
    "0 and 1": Image.fromarray(SQUARE),
    "0 and 255": Image.fromarray(SQUARE * 255),
    "one bit": Image.fromarray(SQUARE * 255).convert("1"),
    "palette": palette(SQUARE),
    "palette with a rim of 255": palette(rimmed()),
    "grey as colour": Image.fromarray(np.dstack([SQUARE] * 3)),
    "16 bits": Image.fromarray(SQUARE.astype(np.uint16)),
}


def taught(
    root, mask, names='{"1": "my square"}', suffix=".png", orientation=None, picture="a.jpg"
):
    photo(root / "images" / picture, orientation)
    (root / "masks").mkdir()
    mask.save(root / f"masks/a{suffix}", "PNG")
    (root / "names.json").write_text(names, encoding="utf-8")
    return user_records(root / "images", root / "masks", read_names(root / "names.json"))


@pytest.mark.parametrize("what", MASKS)
def test_masks_are_read_as_tools_write_them(tmp_path, what):
    (record,) = taught(tmp_path, MASKS[what], names='\ufeff{"1": "my square"}')
    assert [i.name for i in record.instances] == ["my square"]
    assert labels_of_the_square(record) == ({1}, 300)


@pytest.mark.parametrize("suffix", [".PNG", ".Png"])
def test_endings_in_capitals(tmp_path, suffix):
    (record,) = taught(tmp_path, MASKS["0 and 1"], suffix=suffix)
    assert labels_of_the_square(record) == ({1}, 300)


@pytest.mark.parametrize("picture", ["a.bmp", "a.webp", "a.png", "a.tiff"])
def test_images_of_every_format(tmp_path, picture):
    (record,) = taught(tmp_path, MASKS["0 and 1"], picture=picture)
    assert labels_of_the_square(record)[1] == 300


@pytest.mark.parametrize("orientation", [6, 8])
def test_masks_of_stored_pixels(tmp_path, orientation):
    (record,) = taught(tmp_path, MASKS["0 and 1"], orientation=orientation)
    assert labels_of_the_square(record) == ({1}, 300)


def test_masks_of_the_upright_image(tmp_path):
    mask = Image.fromarray(np.rot90(SQUARE, -1).copy())
    (record,) = taught(tmp_path, mask, orientation=6)
    assert labels_of_the_square(record) == ({1}, 300)


BAD_MASKS = {
    "white among several names": (MASKS["0 and 255"], '{"1": "a", "2": "b"}', "255"),
    "a label beyond the names": (Image.fromarray(SQUARE * 7), '{"1": "a"}', "has no name"),
    "16 bits, label 300": (Image.fromarray(SQUARE.astype(np.uint16) * 300), '{"1": "a"}', "300"),
    "colours": (Image.fromarray(np.dstack([SQUARE, SQUARE * 2, SQUARE])), '{"1": "a"}', "coloured mask|label"),
    "another size": (Image.fromarray(SQUARE[::2, ::2].copy()), '{"1": "a"}', "128x96, its annotations are 64x48"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_MASKS)
def test_exception_of_masks_that_are_none(tmp_path, what):
    mask, names, says = BAD_MASKS[what]
    with pytest.raises(ImageError, match=says):
        taught(tmp_path, mask, names)[0].read()


@pytest.mark.parametrize(
    "names", ['{"1": "a", "1": "b"}', '{"1": "a\\u0000b"}', '{"1": "\\ud800"}', '{"300": "a"}',
    '{"1": "%s"}' % ("x" * 1000), '{"1": ["a", NaN]}', '["a"]', '{"1": ""}', '{"1": null}', '{"0": "a"}', '{"x": "a"}', "{", "3", "[" * 90_000,
              '{"255": "a"}', '{"1": 3}', "{}"],
)  # fmt: skip
def test_exception_of_names_that_are_none(tmp_path, names):
    (tmp_path / "names.json").write_text(names)
    with pytest.raises(ImageError):
        read_names(tmp_path / "names.json")


def test_exception_of_damaged_masks_and_folders(tmp_path):
    names = {1: ("a",)}
    with pytest.raises(ImageError, match="no folder"):
        user_records(tmp_path / "gone", tmp_path, names)
    taught(tmp_path, MASKS["0 and 1"])
    mask = tmp_path / "masks/a.png"
    for data in (b"", mask.read_bytes()[:-20], os.urandom(99)):
        mask.write_bytes(data)
        with pytest.raises(ImageError, match=r"a\.png"):
            user_records(tmp_path / "images", tmp_path / "masks", names)


def test_exception_of_two_images_with_one_mask(tmp_path):
    taught(tmp_path, MASKS["0 and 1"])
    photo(tmp_path / "images/a.png")
    with pytest.raises(ImageError, match="called a: rename"):
        user_records(tmp_path / "images", tmp_path / "masks", {1: ("a",)})
