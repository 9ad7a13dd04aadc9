"""Teach a model your own objects from about twenty labelled pictures.

    python -m training.teach --images photos/ --masks labels/ --names names.json --out my-find
    find-core localize video.mp4 --model my-find --prompt "the <my mug>" --out out/

A mask is a PNG of its picture's name and size: 0 nothing, k = object k; names.json says
{"1": "my mug", "2": ["the blue tin", "tea tin"]}. Against forgetting, the pixel decoder stays
frozen, the learning rate is small, and the result is a mixture of the old and the taught weights
(`--keep`). Measure what was forgotten with training.evaluate on both.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from find_core import checkpoint
from find_core.checkpoint import resolve
from find_core.encoders import build_language, build_vision
from find_core.errors import ImageError
from find_core.loading import load
from find_core.model.find import FindModel
from find_core.places.store import carry_places
from find_core.recognition.store import RECOGNIZER_FILE, load_recognizer, save_recognizer
from find_core.support.command_line import fraction, whole
from training.cache import CacheJob, fill, open_writer
from training.config import TrainConfig
from training.data.batches import BatchConfig, Batches
from training.data.formats.records import Record
from training.data.formats.user import read_names, user_knowledge, user_records
from training.data.queries.label_knowledge import LabelKnowledge
from training.data.store import FeatureStore
from training.engine.build import build_module
from training.engine.checkpoints import mix
from training.engine.command import ends_in_a_sentence
from training.engine.trainer import Report, Trainer
from training.recipes import recipe
from training.recognition.examples import photo_regions

VIEWS = 10


@dataclasses.dataclass(frozen=True)
class TeachConfig:
    """How to teach."""

    steps: int = 150
    lr: float = 1.5e-4
    keep: float = 0.65
    """Share of the old weights in the result."""
    batch: int = 6


def teach(
    model: str,
    records: list[Record],
    knowledge: LabelKnowledge,
    out: Path,
    config: TeachConfig,
    report: Report = print,
) -> Path:
    """Adapt `model` to the records and write the new checkpoint; returns its folder."""
    source = Path(resolve(model))
    old = checkpoint.read(source)
    with tempfile.TemporaryDirectory() as folder:
        run = teach_recipe(old, source, config, Path(folder) / "store")
        cache_views(run, records, report)
        vision = build_vision(run.model.vision)
        names = sorted({i.name for r in records for i in r.instances})
        module = build_module(run, knowledge, names, vision.channels)
        store = FeatureStore(run.data.store)
        batches = Batches({r.key: r for r in records}, store, knowledge, run.data.batch)
        trainer = Trainer(run, Path(folder) / "run", module, batches, [], report)
        trainer.run()
        mixed = mix(old.tensors, module.model.state_dict(), config.keep)
    taught = FindModel(old.config, vision.channels, build_language(old.config.language).width)
    taught.load_state_dict(mixed)
    notes = {**old.notes, "taught": names, "teach": dataclasses.asdict(config)}
    written = checkpoint.save(out, taught, vision, dtype=torch.float16, notes=notes)
    if source.is_dir():
        carry_places(source, written, old.config.language)
        if (source / RECOGNIZER_FILE).is_file():
            teach_recognizer(source, written, records)
    return written


def teach_recognizer(source: Path, written: Path, records: Sequence[Record]) -> None:
    """Put the recogniser of `source` beside the taught weights, with the taught names' looks.

    Raises:
        CheckpointError: it is damaged, or cannot be written.
    """
    find = load(written, device="cpu", recognition=False)
    encoders = find.config.vision, find.config.language
    looks: dict[str, list[Tensor]] = {}
    for region in photo_regions(find, readable(records)):
        looks.setdefault(region.name, []).append(region.features)
    recognizer = load_recognizer(source / RECOGNIZER_FILE, *encoders)
    taught = recognizer.with_names({name: torch.stack(rows) for name, rows in looks.items()})
    save_recognizer(written / RECOGNIZER_FILE, taught, *encoders, {"taught": sorted(looks)})


def readable(records: Iterable[Record]) -> Iterator[Record]:
    """Those whose images can be read; the others were named when their views were made."""
    for record in records:
        with contextlib.suppress(ImageError):
            record.read()
            yield record


def teach_recipe(
    old: checkpoint.Checkpoint, source: Path, config: TeachConfig, store: Path
) -> TrainConfig:
    """The default's recipe, small steps, decoder frozen, starting from the old weights."""
    base = recipe("find_tabletop")
    optim = dataclasses.replace(
        base.optim, lr=config.lr, muon=0.0, steps=config.steps, warmup=20, ema=0.98
    )
    vision = old.config.vision
    # Views of the store are whole cells of the coarsest map; sizes of use need not be.
    height, width = (
        side // vision.size_divisibility * vision.size_divisibility
        for side in (vision.short_side_px, vision.max_side_px)
    )
    size = dataclasses.replace(base.data.view, height=height, width=width)
    data = dataclasses.replace(
        base.data, store=str(store), view=size,
        batch=BatchConfig(size=config.batch, partners=config.batch // 2, real=0),
    )  # fmt: skip
    return dataclasses.replace(
        base, name=f"{old.config.name}-taught", model=old.config, optim=optim, data=data,
        losses=dataclasses.replace(base.losses, objects_first=0, instances=0.0),
        frozen=("pixel_decoder.",), init=str(source / checkpoint.WEIGHTS_FILE), log_every=10,
        save_every=config.steps,
    )  # fmt: skip


def cache_views(run: TrainConfig, records: list[Record], report: Report = print) -> None:
    """Encode several views of every picture; those that cannot be read are left out by name.

    Raises:
        ImageError: none can be read.
    """
    encoder = build_vision(run.model.vision)
    writer = open_writer(run.data.store, "user", encoder, run.model.vision, run.data.view)
    job, left_out = CacheJob(records, range(VIEWS), run.data.view), dict[str, str]()
    count = fill(writer, encoder, run.model.vision, job, left_out=left_out)
    writer.close()
    for why in left_out.values():
        report(f"Left out: {why}")
    if not count:
        raise ImageError("None of the pictures can be read: there is nothing to teach from.")
    report(f"{count} views of {len(records) - len(left_out)} pictures")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", required=True, help="folder of pictures")
    parser.add_argument("--masks", required=True, help="folder of label PNGs")
    parser.add_argument("--names", required=True, help="JSON: label -> name or names")
    parser.add_argument("--out", required=True, type=Path, help="folder of the new checkpoint")
    parser.add_argument("--model", default="find-tabletop", help="checkpoint folder to start from")
    parser.add_argument("--steps", type=whole(1), default=TeachConfig.steps)
    parser.add_argument(
        "--keep", type=fraction, default=TeachConfig.keep, help="share of old weights"
    )
    parser.add_argument("--threads", type=whole(1, 1024), default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with ends_in_a_sentence("training.teach"):
        names = read_names(args.names)
        records = user_records(args.images, args.masks, names)
        config = TeachConfig(steps=args.steps, keep=args.keep)
        folder = teach(args.model, records, user_knowledge(names), args.out, config)
        print(f"Taught {len(names)} objects: find_core.load({str(folder)!r})")


if __name__ == "__main__":
    main()
