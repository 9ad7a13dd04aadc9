"""All data sets of a recipe, opened: records, facts, vocabulary, feature store."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from find_core.errors import ImageError
from training.data import coco, tabletop
from training.data.facts import Facts, vocabulary
from training.data.records import Record
from training.data.store import FeatureStore

if TYPE_CHECKING:
    from training.config import DataConfig


@dataclass
class Sources:
    """Attributes:
    records: by key. facts: what is true of what. names: canonical names of all instances.
    """

    records: Mapping[str, Record]
    facts: Facts
    names: list[str]
    store: FeatureStore
    config: DataConfig

    def reload(self) -> tuple[Mapping[str, Record], Facts]:
        """Labels as they are on disk now (scenes may still be rendered)."""
        again = open_sources(self.config, known=self.facts)
        return again.records, again.facts

    def validation(self, store: str) -> Sources:
        """The val split of the rendered world, and COCO's val pictures."""
        config = dataclasses.replace(self.config, store=store, coco_split="val2017")
        return open_sources(config, split="val", known=self.facts)


def open_sources(config: DataConfig, split: str = "train", known: Facts | None = None) -> Sources:
    """Read every label file the recipe names.

    Raises:
        ImageError: nothing is named, or a file is missing.
    """
    roots = [root for root in config.tabletop.split(os.pathsep) if root]
    scenes = [s for root in roots for s in tabletop.read_split(root, split)]
    records = [tabletop.record_of(s) for s in scenes]
    classes: set[str] = set()
    for root, read in ((config.coco_panoptic, coco.panoptic_records),
                       (config.coco_captions, coco.instance_records)):  # fmt: skip
        if root and _has_split(root, config.coco_split, read is coco.panoptic_records):
            real = read(root, config.coco_split)
            records += real
            classes |= {i.name for r in real for i in r.instances}
    if not records:
        raise ImageError(
            "The recipe names no pictures: --set data.tabletop=DIR or data.coco_panoptic=DIR."
        )
    facts = Facts(tabletop.truths(scenes), frozenset(classes))
    if known is not None:
        facts = Facts({**known.matches, **facts.matches}, known.coco | facts.coco)
    names = vocabulary(i for r in records for i in r.instances)
    table = {r.key: r for r in records}
    return Sources(table, facts, names, FeatureStore(config.store), config)


def _has_split(root: str, split: str, panoptic: bool) -> bool:
    """Validation pictures are optional; training ones are not."""
    kind = "panoptic" if panoptic else "instances"
    return split.startswith("train") or (Path(root) / f"annotations/{kind}_{split}.json").is_file()
