"""All data sets of a recipe, opened: records, label knowledge, vocabulary, feature store."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from find_core.encoders.base import VisionConfig, VisionEncoder
from find_core.errors import ImageError
from training.data.derived.composites import composites
from training.data.derived.references import references
from training.data.formats import coco, photos, tabletop
from training.data.formats.records import Record
from training.data.formats.references import enrich, karpathy_split, without_images
from training.data.live import LiveStore
from training.data.queries.caption_phrases import with_caption_names
from training.data.queries.label_knowledge import LabelKnowledge, vocabulary
from training.data.store import FeatureStore

if TYPE_CHECKING:
    from training.config import DataConfig


@dataclass
class Sources:
    """Attributes:
    records: by key. knowledge: what is true of what. names: canonical names of all instances.
    """

    records: Mapping[str, Record]
    knowledge: LabelKnowledge
    names: list[str]
    store: FeatureStore | LiveStore
    config: DataConfig
    vision: VisionConfig | None = None

    def reload(self) -> tuple[Mapping[str, Record], LabelKnowledge]:
        """Labels as they are on disk now (scenes may still be rendered)."""
        again = open_sources(self.config, self.vision, known=self.knowledge)
        return again.records, again.knowledge

    def validation(self, store: str) -> Sources:
        """The val split of the rendered world, and COCO's val images."""
        config = dataclasses.replace(self.config, store=store, coco_split="val2017")
        return open_sources(config, self.vision, split="val", known=self.knowledge)


def derived(
    rendered: Sequence[Record], pictured: Sequence[Record], config: DataConfig, split: str = "train"
) -> list[Record]:
    """The composites and references that a recipe asks for; none to validate on."""
    if split != "train":
        return []
    canvas = (config.view.height, config.view.width)
    made = composites(rendered, pictured, config.composites)
    return made + references([*rendered, *pictured], config.references, canvas)


SPLITS = ("train", "calibration")


def _split_of(photo: photos.Photo) -> str:
    if photo.held_out:
        return "held"
    return "calibration" if photos.is_for_calibration(photo.file_name) else "train"


def photographs(root: str, split: str = "train") -> tuple[list[Record], list[frozenset[str]]]:
    """Photographs that may feed shipped weights, and what each of their sets looked for.

    Args:
        split: "train", "calibration", or anything else for the held-out tenth.
    """
    sets = [s for s in photos.read_sets(root).values() if s.shippable]
    every = photos.read_photos(root, [s.name for s in sets])
    names = sorted({n for s in sets for n in s.classes})
    chosen = [p.record for p in every if _split_of(p) == (split if split in SPLITS else "held")]
    records = [with_caption_names(record, names) for record in chosen]
    return records, [frozenset(s.classes) for s in sets]


def open_sources(
    config: DataConfig, vision: VisionConfig | None = None, split: str = "train",
    known: LabelKnowledge | None = None, encoder: VisionEncoder | None = None,
) -> Sources:  # fmt: skip
    """Read every label file the recipe names.

    Args:
        vision: needed where there is no feature store: images are then encoded as they come,
            by `encoder` where its weights come from a checkpoint.

    Raises:
        ImageError: nothing is named, or a file is missing.
    """
    roots = [root for root in config.tabletop.split(os.pathsep) if root]
    if split != "train":  # folders of more training scenes need no split of their own to test on
        roots = [r for r in roots if (Path(r) / split).is_dir()] or roots
    scenes = [s for root in roots for s in tabletop.read_split(root, split)]
    records = [tabletop.record_of(s) for s in scenes]
    classes: set[str] = set()
    for root, read in ((config.coco_panoptic, coco.panoptic_records),
                       (config.coco_captions, coco.instance_records)):  # fmt: skip
        if root and _has_split(root, config.coco_split, read is coco.panoptic_records):
            real = _extended(read(root, config.coco_split), config, read is coco.panoptic_records)
            records += real
            classes |= {i.name for r in real for i in r.instances}
    lists: list[frozenset[str]] = []
    pictured: list[Record] = []
    if config.photos:
        pictured, lists = photographs(config.photos, split)
        records += pictured
    rendered = [r for r in records if not r.is_photograph]
    records += derived(rendered, pictured, config, split)
    if not records:
        raise ImageError(
            "The recipe names no images: --set data.tabletop=DIR, data.photos=DIR or "
            "data.coco_panoptic=DIR."
        )
    knowledge = LabelKnowledge(
        tabletop.truths(scenes), frozenset(classes), class_lists=tuple(lists)
    )
    if known is not None:
        knowledge = LabelKnowledge(
            {**known.matches, **knowledge.matches}, known.coco | knowledge.coco,
            class_lists=tuple(dict.fromkeys((*known.class_lists, *lists))),
        )  # fmt: skip
    names = vocabulary(i for r in records for i in r.instances)
    table = {r.key: r for r in records}
    if len(table) < len(records):
        raise ImageError(
            "Two folders of data.tabletop hold scenes of the same numbers, which the feature store "
            "cannot tell apart: render one of them with another --start."
        )
    if config.store or vision is None:
        return Sources(table, knowledge, names, FeatureStore(config.store), config, vision)
    return Sources(
        table, knowledge, names, LiveStore(table, vision, config.view, encoder), config, vision
    )


def _extended(records: list[Record], config: DataConfig, panoptic: bool) -> list[Record]:
    """Referring and interleaved sentences added; images of other sets' tests left out."""
    if (
        panoptic
        and (config.coco_refs or config.coco_entities)
        and config.coco_split.startswith("train")
    ):
        records = enrich(
            records, config.coco_panoptic, config.coco_split, config.coco_refs, config.coco_entities
        )
    if config.karpathy and config.coco_split.startswith("train"):
        splits = karpathy_split(config.karpathy)
        records = without_images(records, set(splits.get("val", {})) | set(splits.get("test", {})))
    return records


def _has_split(root: str, split: str, panoptic: bool) -> bool:
    """Validation images are optional; training ones are not."""
    kind = "panoptic" if panoptic else "instances"
    return split.startswith("train") or (Path(root) / f"annotations/{kind}_{split}.json").is_file()
