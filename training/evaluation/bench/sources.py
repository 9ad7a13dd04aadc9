"""Questions of the published files, streamed: an image is read when it is asked about, and dropped.

Annotation files are read whole (COCO val's take tens of megabytes), images and masks one at a time.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import ImageError
from find_core.images import read_image
from find_core.prompts.prompt import Prompt
from training.data.formats import coco, references, voc
from training.data.formats.coco_masks import decode_segmentation, usable_segmentation
from training.data.formats.oriented import read_as_labelled
from training.evaluation.bench.quality import PanopticTruth

ENTITY_FILES = {"entity": "entity_{split}.json", "paragraph": "entity_{split}_long.json"}
"""COCO-Entity and COCO-Paragraph as FIND-Bench publishes them (docs/spec.md 1)."""


@dataclass(frozen=True, eq=False)
class PanopticImage:
    """One labelled image. `segments` are COCO's, `classes` their places in the list of classes."""

    image_id: int
    file: Path
    png: Path
    segments: tuple[dict[str, Any], ...]
    classes: tuple[int, ...]

    @property
    def key(self) -> str:
        return self.file.name

    def read(self) -> tuple[np.ndarray, PanopticTruth]:
        """(H, W, 3) uint8 RGB and its labels."""
        id_map = self.read_ids()
        crowd = tuple(bool(s.get("iscrowd", 0)) for s in self.segments)
        truth = PanopticTruth(
            id_map, tuple(int(s["id"]) for s in self.segments), self.classes, crowd
        )
        return read_as_labelled(self.file, *id_map.shape), truth

    def read_ids(self) -> np.ndarray:
        """(H, W) int32 segment ids, 0 where nothing is labelled."""
        color = read_image(self.png).astype(np.int32)
        return color[..., 0] + 256 * color[..., 1] + 65536 * color[..., 2]


@dataclass(frozen=True, eq=False)
class PanopticSet:
    """COCO panoptic: images in the file's order, and its classes."""

    root: Path
    split: str
    names: tuple[str, ...]
    stuff: tuple[bool, ...]
    images: tuple[PanopticImage, ...]


@functools.lru_cache(maxsize=4)
def panoptic_set(root: Path, split: str) -> PanopticSet:
    """
    Raises:
        ImageError: a file is missing or not in COCO's form.
    """
    path = root / "annotations" / f"panoptic_{split}.json"
    data = coco.read_json(path)
    try:
        categories = data["categories"]
        place = {c["id"]: k for k, c in enumerate(categories)}
        files = {i["id"]: root / split / i["file_name"] for i in data["images"]}
        folder = root / "annotations" / f"panoptic_{split}"
        images = tuple(
            PanopticImage(
                int(a["image_id"]), files[a["image_id"]], folder / a["file_name"],
                tuple(a["segments_info"]), tuple(place[s["category_id"]] for s in a["segments_info"]),
            )
            for a in data["annotations"]
        )  # fmt: skip
        stuff = tuple(not c.get("isthing", 1) for c in categories)
        return PanopticSet(root, split, tuple(coco.class_names(categories)), stuff, images)
    except (KeyError, TypeError) as error:
        raise ImageError(f"{path} is not in COCO's panoptic form ({error!r}).") from None


@dataclass(frozen=True, eq=False)
class Sentence:
    """A sentence about an image: its markup and the annotation that each entity names."""

    markup: str
    ids: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SpokenImage:
    """An image with sentences; `read` gives it and a function from annotation ids to masks."""

    key: str
    image_id: int
    sentences: tuple[Sentence, ...]
    read: Callable[[], tuple[np.ndarray, Callable[[int], np.ndarray]]]


def referring_images(root: Path, split: str, every_sentence: bool = False) -> list[SpokenImage]:
    """RefCOCO, RefCOCO+ or RefCOCOg: `refs.json` and `instances.json`, images below ROOT or beside.

    The first sentence of each object is asked, as published (docs/spec.md 3.5), or all of them.

    Raises:
        ImageError: missing files, another form, or no such split.
    """
    spoken = references.referring_sentences(root, split)
    data = coco.read_json(root / "instances.json")
    files = {i["id"]: i for i in data["images"]}
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        if spoken.get(annotation["id"]):
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    if not by_image:
        raise ImageError(f"{root}/refs.json has no object of split {split!r}: try --split val.")
    out = []
    for image_id, members in by_image.items():
        about = files[image_id]
        shapes = {a["id"]: usable_segmentation(a["segmentation"]) for a in members}
        sentences = [
            Sentence(_as_one_entity(text), (a["id"],))
            for a in members
            for text in spoken[a["id"]][: None if every_sentence else 1]
        ]
        read = functools.partial(_read_shapes, _find_image(root, about["file_name"]),
                                 (about["height"], about["width"]), shapes)  # fmt: skip
        out.append(SpokenImage(about["file_name"], image_id, tuple(sentences), read))
    return out


def _as_one_entity(text: str) -> str:
    return "<" + text.replace("<", " ").replace(">", " ").strip() + ">"


def _find_image(root: Path, name: str) -> Path:
    """An image beside the annotations, in one of COCO's folders."""
    for folder in ("images", "train2014", "train2017", "val2017", "."):
        if (path := root / folder / name).is_file():
            return path
    return root / "images" / name  # reading it says that it is missing


def _read_shapes(
    path: Path, size: tuple[int, int], shapes: dict[int, Any]
) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    image = read_as_labelled(path, *size)
    return image, lambda number: decode_segmentation(shapes[number], *size)


def entity_images(
    root: Path, split: str, which: str, file: Path | None = None
) -> list[SpokenImage]:
    """COCO-Entity ("entity") or COCO-Paragraph ("paragraph"): each image's first sentence.

    Args:
        file: instead of the published name below ROOT/annotations.

    Raises:
        ImageError: missing files, another form, or sentences about segments that are not there.
    """
    file = file or root / "annotations" / ENTITY_FILES[which].format(split=split)
    labelled = panoptic_set(root, split)
    by_id = {i.image_id: i for i in labelled.images}
    out = []
    for image_id, sentences in references.entity_sentences(file).items():
        markup, ids = sentences[0]
        image = by_id.get(image_id)
        known = {int(s["id"]) for s in image.segments} if image else set()
        if image is None or not set(ids) <= known:
            raise ImageError(
                f"{file} names segments of image {image_id} that {root} does not have."
            )
        if ids:
            read = functools.partial(_read_segments, image)
            out.append(SpokenImage(image.key, image_id, (Sentence(markup, tuple(ids)),), read))
    return out


def _read_segments(image: PanopticImage) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    pixels, truth = image.read()
    return pixels, lambda number: truth.id_map == number


@dataclass(frozen=True, eq=False)
class ObjectImage:
    """An image with objects to be clicked; `read` gives it, their masks, and void."""

    key: str
    read: Callable[[], tuple[np.ndarray, list[np.ndarray], np.ndarray]]


def object_images(root: Path, split: str | None, least_px: int = 1) -> Iterator[ObjectImage]:
    """Pascal VOC where the folder has it, else the countable segments of COCO panoptic."""
    if voc.is_voc(root):
        for name in voc.voc_names(root, split or "val"):
            yield ObjectImage(name, functools.partial(voc.read_voc, root, name))
        return
    labelled = panoptic_set(root, split or "val2017")
    for image in labelled.images:
        if any(not labelled.stuff[k] for k in image.classes):
            yield ObjectImage(image.key, functools.partial(_read_objects, image, labelled.stuff, least_px))  # fmt: skip


def _read_objects(
    image: PanopticImage, stuff: Sequence[bool], least_px: int
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    pixels, truth = image.read()
    masks = [
        truth.id_map == number
        for number, kind, crowd in zip(truth.ids, truth.classes, truth.crowd, strict=True)
        if not crowd and not stuff[kind]
    ]
    return pixels, [m for m in masks if np.count_nonzero(m) >= least_px], truth.id_map == 0


@dataclass(frozen=True, eq=False)
class CaptionedImage:
    """An image and its texts; `read` gives (H, W, 3) uint8 RGB."""

    key: str
    read: Callable[[], np.ndarray]
    texts: tuple[str, ...]


def captioned_images(root: Path, split: str | None) -> list[CaptionedImage]:
    """Karpathy's `dataset_coco.json`, or COCO captions, below ROOT or ROOT/annotations.

    Raises:
        ImageError: neither is there, or not in its form.
    """
    for path in (root / "dataset_coco.json", root / "annotations" / "dataset_coco.json"):
        if path.is_file():
            return _karpathy_images(root, path, split or "test")
    split = split or ("val2017" if (root / "annotations" / "captions_val2017.json").is_file() else "train2017")  # fmt: skip
    data = coco.read_json(root / "annotations" / f"captions_{split}.json")
    texts = coco.captions_by_image(root, split)
    return [
        CaptionedImage(i["file_name"], _reader(root / split / i["file_name"]), texts[i["id"]])
        for i in data["images"]
        if texts.get(i["id"])
    ]


def _karpathy_images(root: Path, path: Path, split: str) -> list[CaptionedImage]:
    try:
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
        return [
            CaptionedImage(
                i["filename"], _reader(root / i.get("filepath", ".") / i["filename"]),
                tuple(s["raw"].strip() for s in i["sentences"]),
            )
            for i in images if i["split"] == split
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError(f"{path} is not in Karpathy's form ({error!r}).") from None


def _reader(path: Path) -> Callable[[], np.ndarray]:
    return functools.partial(read_image, path)


def spoken_texts(images: Sequence[SpokenImage]) -> list[CaptionedImage]:
    """FIND-Bench's sentences as captions."""
    return [
        CaptionedImage(
            image.key, functools.partial(_pixels, image),
            tuple(Prompt.parse(s.markup).text for s in image.sentences),
        )
        for image in images
    ]  # fmt: skip


def _pixels(image: SpokenImage) -> np.ndarray:
    return image.read()[0]
