"""Fill a feature store: run the frozen vision encoder over views of labelled pictures, once.

    python -m training.cache --tabletop DATA/tabletop --split train --store STORE --variants 2
    python -m training.cache --photos DATA/photos --store STORE --variants 4
    python -m training.cache --coco-panoptic COCO --coco-captions COCO --store STORE --variants 8

Several processes may share one store (`--shard 0/2 --part a`, `--shard 1/2 --part b`); training may
already read it. `--follow` keeps looking for scenes that are still being rendered.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from find_core.encoders import VisionConfig, VisionEncoder
from find_core.errors import ImageError
from find_core.preprocess import normalise
from find_core.support.command_line import number, whole
from training.config import DataConfig
from training.data.augment import View, ViewConfig
from training.data.derived.references import is_reference
from training.data.encoding import caching_encoder
from training.data.formats import coco, tabletop
from training.data.formats.records import Record
from training.data.sources import derived, photographs
from training.data.store import RowShape, StoreWriter
from training.data.views import PLAIN, view_of
from training.engine.command import ends_in_a_sentence
from training.recipes import recipe

NAMED = 10  # images that are left out by name, the others by number


@dataclass(frozen=True)
class CacheJob:
    """Attributes:
    records: what to encode. variants: which views. view: their size and augmentation.
    """

    records: Sequence[Record]
    variants: Sequence[int]
    view: ViewConfig


def fill(
    writer: StoreWriter, encoder: VisionEncoder, vision: VisionConfig, job: CacheJob, batch: int = 8,
    left_out: dict[str, str] | None = None,
) -> int:  # fmt: skip
    """Encode every view that the part does not hold yet; returns how many were added.

    Args:
        left_out: gets the reason for each record whose image cannot be read; None: such a one stops.

    Raises:
        ImageError: an image cannot be read, and `left_out` is not given.
    """
    todo = [(r, v) for v in job.variants for r in job.records if not writer.has(r.key, v)]
    added = 0
    for start in range(0, len(todo), batch):
        made = _views(todo[start : start + batch], job.view, left_out)
        if not made:
            continue
        maps = encoder(normalise([view.image for *_, view in made], vision))
        for k, (record, variant, view) in enumerate(made):
            if is_reference(record.key) and not view.numbers.any():
                continue  # too small an object to be shown alone
            writer.append(record.key, variant, view, [m[k] for m in maps])
        added += len(made)
    return added


def _views(
    wanted: Sequence[tuple[Record, int]], view: ViewConfig, left_out: dict[str, str] | None
) -> list[tuple[Record, int, View]]:
    """The views of images that can be read."""
    made = []
    for record, variant in wanted:
        if left_out is not None and record.key in left_out:
            continue
        try:
            made.append((record, variant, view_of(record, variant, view)))
        except ImageError as error:
            if left_out is None:
                raise
            left_out[record.key] = str(error)
    return made


def open_writer(
    folder: str, part: str, encoder: VisionEncoder, vision: VisionConfig, view: ViewConfig
) -> StoreWriter:
    shape = RowShape(tuple(encoder.channels), view.height, view.width)
    return StoreWriter(folder, part, shape, vision.name)


def _records(args: argparse.Namespace) -> list[Record]:
    records: list[Record] = []
    if args.tabletop:
        scenes = tabletop.read_split(args.tabletop, args.split, args.limit)
        records += [tabletop.record_of(s) for s in scenes]
    if args.photos:
        pictured, _ = photographs(args.photos, args.split)
        made = derived(records, pictured, _asked(args), args.split)
        records = [] if args.derived_only else [*records, *pictured]
        records += made
    if args.coco_panoptic:
        records += coco.panoptic_records(args.coco_panoptic, args.coco_split)
    if args.coco_captions:
        records += coco.instance_records(args.coco_captions, args.coco_split)
    index, count = args.shard
    return [r for n, r in enumerate(records) if n % count == index]


def _asked(args: argparse.Namespace) -> DataConfig:
    view = ViewConfig(args.height, args.width)
    return DataConfig(composites=args.composites, references=args.references, view=view)


def _shard(text: str) -> tuple[int, int]:
    """`i/n` of the command line."""
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not i/n with i below n: e.g. 0/2")
    return int(index), int(count)


def _rounds(args: argparse.Namespace) -> Iterator[list[Record]]:
    """The records, again and again while following, until nothing new came for a while."""
    known, quiet = -1, 0.0
    while True:
        try:
            records = _records(args)
        except (FileNotFoundError, ImageError):
            if not args.follow:
                raise
            records = []
        if len(records) != known:
            known, quiet = len(records), 0.0
            yield records
        elif not args.follow or quiet > args.patience_s:
            return
        else:
            time.sleep(10)
            quiet += 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tabletop", help="folder of rendered scenes")
    parser.add_argument("--split", default="train")
    parser.add_argument("--limit", type=whole(1), help="only the first scenes")
    parser.add_argument(
        "--photos", help="folder of photograph sets; those that may feed shipped weights"
    )
    parser.add_argument(
        "--composites", type=whole(), default=0, help="rendered things in photographs"
    )
    parser.add_argument("--references", type=whole(), default=0, help="pictures of the thing alone")
    parser.add_argument(
        "--derived-only",
        action="store_true",
        help="composites and references, not what they are of",
    )
    parser.add_argument("--coco-panoptic", help="COCO folder with panoptic annotations")
    parser.add_argument("--coco-captions", help="COCO folder with instances and captions")
    parser.add_argument("--coco-split", default="train2017")
    parser.add_argument("--store", required=True, help="folder of the feature store")
    parser.add_argument("--part", default="a", help="name of this process's part")
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(0, 1),
        metavar="i/n",
        help="every n-th record from the i-th",
    )
    parser.add_argument("--variants", type=whole(1), default=1, help="views per picture")
    parser.add_argument("--first-variant", type=whole(), default=PLAIN)
    parser.add_argument("--min-crop", type=number(high=1, above=0), default=ViewConfig.min_crop)
    parser.add_argument(
        "--height", type=whole(16, 16384), default=ViewConfig.height, help="of a view, pixels"
    )
    parser.add_argument(
        "--width", type=whole(16, 16384), default=ViewConfig.width, help="of a view, pixels"
    )
    parser.add_argument("--recipe", help="whose vision encoder to run (default: the packaged one)")
    parser.add_argument("--follow", action="store_true", help="wait for more scenes")
    parser.add_argument("--patience-s", type=number(0), default=300.0)
    args = parser.parse_args()
    if not (args.tabletop or args.photos or args.coco_panoptic or args.coco_captions):
        parser.error(
            "name what to encode: --tabletop, --photos, --coco-panoptic or --coco-captions"
        )
    if (args.composites or args.references or args.derived_only) and not args.photos:
        parser.error("--composites, --references and --derived-only need --photos")
    torch.set_num_threads(1)
    with ends_in_a_sentence("training.cache"):
        run(args)


def run(args: argparse.Namespace) -> None:
    """Encode all views that the command line names, and report on the way."""
    vision = recipe(args.recipe).model.vision if args.recipe else VisionConfig()
    view = ViewConfig(args.height, args.width, args.min_crop)
    encoder = caching_encoder(vision, args.height, args.width)
    writer = open_writer(args.store, args.part, encoder, vision, view)
    variants = range(args.first_variant, args.first_variant + args.variants)
    start, added = time.monotonic(), 0
    left_out: dict[str, str] = {}
    for records in _rounds(args):
        for at in range(0, len(records), 64):
            job = CacheJob(records[at : at + 64], variants, view)
            added += fill(writer, encoder, vision, job, left_out=left_out)
            rate = added / max(1e-6, time.monotonic() - start)
            print(f"{at + 64:6d}/{len(records)} records, {added} views, {rate:.1f}/s", flush=True)
    writer.close()
    for why in list(left_out.values())[:NAMED]:
        print(f"Left out: {why}")
    print(f"{added} views in {Path(args.store)}, {len(left_out)} images left out")
    if left_out and not added:
        raise ImageError(f"No image could be read: {next(iter(left_out.values()))}")


if __name__ == "__main__":
    main()
