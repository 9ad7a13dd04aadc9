"""Two photographs in one, cut and pasted in the frozen features (CutMix, arXiv 1905.04899).

Where photographs are few, a network learns each by heart and names its objects by the company they
keep. A pasted window breaks the company up and leaves every name true.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from torch import Tensor

from training.data.formats.records import IGNORED, LabelKind, PhraseLabel, Record
from training.data.store import STRIDES

CELL_PX = max(STRIDES)
"""Windows lie on the grid of the coarsest map, so that no cell of any map belongs to both."""
MOST_INSTANCES = 254
"""Instance numbers are one byte."""


@dataclasses.dataclass(frozen=True)
class Window:
    """Cells of the coarsest map: rows top..bottom, columns left..right (ends excluded)."""

    top: int
    bottom: int
    left: int
    right: int

    def at(self, stride: int) -> tuple[slice, slice]:
        """Rows and columns of the map with that stride (1: pixels)."""
        scale = CELL_PX // stride
        rows = slice(self.top * scale, self.bottom * scale)
        return rows, slice(self.left * scale, self.right * scale)


def draw_window(height_px: int, width_px: int, rng: np.random.Generator) -> Window:
    """A window of 40 to 75 % of each side, anywhere."""
    sides = []
    for length in (height_px // CELL_PX, width_px // CELL_PX):
        size = max(1, round(length * rng.uniform(0.4, 0.75)))
        start = int(rng.integers(length - size + 1))
        sides += [start, start + size]
    return Window(*sides)


def may_mix(record: Record) -> bool:
    """Photographs whose labels say of every pixel what they say of the image.

    A window would cut a box, whose object's extent nobody would know, and hide what a label of the
    whole image speaks of.
    """
    if not record.is_photograph or record.image_labels or not record.instances:
        return False
    if any(i.label_kind is LabelKind.BOX for i in record.instances):
        return False
    return record.source == "photos" or record.exhaustive


def mix_records(host: Record, guest: Record) -> Record:
    """Labels of the mixed image: both records' instances, names of either, no caption.

    Places and captions speak of whole images and are left out.
    """
    shift = len(host.instances)
    named: dict[str, tuple[int, ...]] = {}
    for record, first in ((host, 0), (guest, shift)):
        for phrase in record.phrases:
            if phrase.kind not in ("relation", "instruction"):
                members = tuple(k + first for k in phrase.instances)
                named[phrase.text] = named.get(phrase.text, ()) + members
    return dataclasses.replace(
        host,
        key=f"{host.key}+{guest.key}",
        instances=host.instances + guest.instances,
        phrases=tuple(PhraseLabel(text, members) for text, members in named.items()),
        sentences=(),
        captions=(),
        absent=tuple(sorted(set(host.absent) & set(guest.absent))),
        caption_names=(),
        exhaustive=host.exhaustive and guest.exhaustive,
        names_exhaustive=_knows_names_of(host, guest) and _knows_names_of(guest, host),
        false_relations=(),
        source_ids=host.source_ids + guest.source_ids,
    )


def _knows_names_of(one: Record, other: Record) -> bool:
    """Is every object of the other's names labelled in the one, or known to be absent?"""
    known = {instance.name for instance in one.instances} | set(one.absent)
    return one.names_exhaustive and {instance.name for instance in other.instances} <= known


def mix(
    host: tuple[Record, np.ndarray, list[Tensor]],
    guest: tuple[Record, np.ndarray, list[Tensor]],
    rng: np.random.Generator,
) -> tuple[Record, np.ndarray, list[Tensor]]:
    """The host with a window of the guest in its place; itself where both hold too many objects.

    Args:
        host, guest: record, (H, W) uint8 instance numbers, feature maps (C, h, w); sizes agree.
    """
    if len(host[0].instances) + len(guest[0].instances) > MOST_INSTANCES:
        return host
    record = mix_records(host[0], guest[0])
    numbers, maps = host[1].copy(), [m.clone() for m in host[2]]
    height_px, width_px = numbers.shape
    window = draw_window(height_px, width_px, rng)
    inside = window.at(1)
    pasted = guest[1][inside].astype(np.int64)
    moved = np.where(pasted == IGNORED, IGNORED, pasted + len(host[0].instances))
    numbers[inside] = np.where(pasted > 0, moved, 0)
    for mine, other in zip(maps, guest[2], strict=True):
        rows, columns = window.at(height_px // mine.shape[1])
        mine[:, rows, columns] = other[:, rows, columns]
    return record, numbers, maps
