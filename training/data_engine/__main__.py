"""FIND-Bench's data engine: from panoptic labels and captions to entity sentences and visual stand-ins.

    python -m training.data_engine sentences --data COCO --split val2017 --sentences 1 --out OUT
    python -m training.data_engine stand-ins --data COCO --split val2017 --model find --out OUT
    python -m training.data_engine sheet --data COCO --split val2017 --file OUT/entity_val2017.json --out OUT
    python -m training.data_engine sentences --data COCO --writer server --url http://localhost:8000/v1 \\
        --name some-model --requests 5000 --per-minute 120 --out OUT
    python -m training.data_engine captions --data COCO --name Salesforce/blip-image-captioning-base --out OUT
    python -m training.data_engine convert --photos PHOTOS --sets coco_things tools --out COCO_FORM

`sentences` writes OUT/entity_<split>.json (with --long entity_<split>_long.json) and OUT/report.md,
`stand-ins` OUT/interleave_<split>.json. The same command goes on where it was stopped, even by kill -9.
`--workers N` or `--cluster ADDRESS` spread the work by Ray (pip install 'find_ros[ray]').
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from find_core.errors import FindError
from find_core.support.command_line import Parser, run_command, whole
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from training.data_engine import convert, options
from training.data_engine.ask import asker
from training.data_engine.budget import Budget
from training.data_engine.images import read_items
from training.data_engine.journal import Journal
from training.data_engine.output import entity_file, report
from training.data_engine.run import Engine, Rules
from training.data_engine.vectors import embedded_by
from training.data_engine.writers.base import Wish
from training.engine.spread import open_workers
from training.evaluation.bench import sources


def main(argv: list[str] | None = None) -> int:
    return run_command("training.data_engine", parser(), argv, lambda args: args.run(args))


def parser() -> argparse.ArgumentParser:
    top = Parser("training.data_engine", description=__doc__,
                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    one = commands.add_parser("sentences", help="write entity sentences")
    options.add_data(one)
    options.add_writer(one)
    options.add_limits(one)
    options.add_spread(one)
    one.set_defaults(run=sentences)
    one = commands.add_parser("stand-ins", help="choose segments of other images for the phrases")
    options.add_data(one)
    options.add_spread(one)
    one.add_argument("--model", default="find", help="whose embeddings, as in training.evaluate")
    one.add_argument("--file", type=Path, help="sentences; default OUT/entity_<split>.json")
    one.add_argument("--long", action="store_true", help="the file of paragraphs")
    one.add_argument("--seed", type=whole(), default=0, help="of which phrases are shown")
    one.set_defaults(run=stand_ins)
    one = commands.add_parser("captions", help="pseudo-captions by a model of transformers")
    options.add_data(one)
    options.add_spread(one)
    one.add_argument("--name", required=True, help="folder or hub name, e.g. of BLIP or LLaVA")
    one.set_defaults(run=captions)
    one = commands.add_parser("convert", help="other labels as COCO panoptic")
    options.add_convert(one)
    options.add_spread(one)
    one.set_defaults(run=to_panoptic)
    one = commands.add_parser("sheet", help="a picture of some sentences")
    options.add_data(one)
    one.add_argument(
        "--file", type=Path, required=True, help="sentences, with or without stand-ins"
    )
    one.add_argument("--count", type=whole(1), default=20, help="how many, evenly over the file")
    one.set_defaults(run=draw)
    return top


def sentences(args: argparse.Namespace) -> int:
    """Ask, check, write; 0, or 3 where a limit ended it before all was asked."""
    items = read_items(args.data, args.split, args.captions, args.pseudo_captions, args.limit)
    source, limits = options.source_of(args), options.limits_of(args)
    names = sources.panoptic_set(args.data, args.split).names
    wish = Wish(1 if args.long else args.sentences, args.long)
    about = {
        "version": 1, "data": args.data.resolve().name, "split": args.split,
        "writer": source.identity, "sentences": wish.sentences, "long": args.long,
        "least": args.least, "captions": [p.name for p in (*args.captions, *args.pseudo_captions)],
    }  # fmt: skip
    end = "_long" if args.long else ""
    with Journal(args.out / f"journal_{args.split}{end}.jsonl", about) as journal:
        engine = Engine(source, Rules(wish, args.attempts, args.patience), journal, Budget(limits))
        make = asker(source, names, args.least)
        with open_workers(make, options.spread_of(args, source.paid)) as workers:
            run = engine.run(items, workers, _progress("images"))
    out = args.out / f"entity_{args.split}{end}.json"
    data = entity_file(run, items, source.identity, args.seed)
    write_text(out, json_text(data, indent=1) + "\n")
    told = report(run, items, source.identity, f"{args.data.resolve().name}, {args.split}")
    write_text(args.out / f"report_{args.split}{end}.md", told)
    print(f"wrote {out}: {len(data['annotations'])} sentences about {len(data['images'])} images")
    if run.stopped:
        print(
            f"stopped: {run.stopped}; the same command with wider limits goes on", file=sys.stderr
        )
    return 3 if run.stopped else 0


def stand_ins(args: argparse.Namespace) -> None:
    from training.evaluation.bench.interleave import FILES, build
    from training.evaluation.bench.models.open import open_model

    which = "paragraph" if args.long else "entity"
    file = args.file or args.out / sources.ENTITY_FILES[which].format(split=args.split)
    model = open_model(args.model)
    about = {"version": 1, "data": args.data.resolve().name, "split": args.split,
             "model": model.name, "fingerprint": model.fingerprint}  # fmt: skip
    embed = embedded_by(args.model, about, args.out / f"vectors_{args.split}.jsonl",
                        options.spread_of(args, False), _progress("images"))  # fmt: skip
    data = build(model, args.data, args.split, which, file, args.seed, args.limit, embed)
    out = args.out / FILES[which].format(split=args.split)
    write_text(out, json_text(data, indent=1) + "\n")
    print(f"wrote {out}: {data['provenance']['shown']} phrases are shown by other images")


def captions(args: argparse.Namespace) -> None:
    from training.data_engine.captioner import caption_items  # imports torch

    items = read_items(args.data, args.split, limit=args.limit)
    kept = args.out / f"pseudo_captions_{args.split}.jsonl"
    data = caption_items(
        args.name, items, kept, options.spread_of(args, False), _progress("images")
    )
    out = args.out / f"pseudo_captions_{args.split}.json"
    write_text(out, json_text(data, indent=1) + "\n")
    print(f"wrote {out}: {len(data['annotations'])} captions")


def to_panoptic(args: argparse.Namespace) -> None:
    if args.photos:
        members = convert.photographs(args.photos, args.sets, args.split)
    elif args.tabletop:
        members = convert.scenes(args.tabletop, args.split)
    elif args.instances:
        members = convert.instances(args.instances, args.split)
    else:
        raise FindError("Say what to convert: --photos, --tabletop or --instances FOLDER.")
    count = convert.convert(members[: args.limit], args.out, args.split,
                            options.spread_of(args, False), _progress("images"))  # fmt: skip
    print(f"wrote {args.out}: {count} images, split {args.split}")


def draw(args: argparse.Namespace) -> None:
    from training.data.formats.coco import read_json
    from training.data_engine.pictures import sheet, spread_out, write_sheet

    annotations: list[dict[str, Any]] = read_json(args.file)["annotations"]
    if not annotations:
        raise FindError(f"{args.file} has no sentences to draw.")
    labelled = sources.panoptic_set(args.data, args.split)
    out = args.out / f"sheet_{args.file.stem}.jpg"
    write_sheet(out, sheet(spread_out(annotations, args.count), labelled))
    print(f"wrote {out}")


def _progress(what: str) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            end = "\n" if done == total else ""
            print(f"\r{what} {done}/{total}", end=end, file=sys.stderr, flush=True)

    return progress


if __name__ == "__main__":
    sys.exit(main())
