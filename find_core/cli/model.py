"""find-core info and import: what a model is, and published checkpoints into our format."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.cli.common import Formatter, add_model_arguments, load_model
from find_core.support.json_text import json_text

if TYPE_CHECKING:
    from find_core.predictor import Find

PACKAGES = ("torch", "numpy", "opencv-python-headless", "transformers", "av", "rosbags")


def add_parser(subparsers: Any) -> None:
    info = subparsers.add_parser(
        "info",
        help="what a model is and what it runs on",
        description="What a model is, and what this installation has.",
        epilog="Example:\n  find-core info --model find-tabletop --json",
        formatter_class=Formatter,
    )
    add_model_arguments(info)
    info.add_argument("--json", action="store_true", help="print JSON")
    info.set_defaults(run=run_info)
    take = subparsers.add_parser(
        "import",
        help="convert a published .pt checkpoint",
        description="Convert a published checkpoint, verified, without running code in it.",
        epilog="Example:\n  find-core import find_focalt_llama_x640.pt --out find-focalt/",
        formatter_class=Formatter,
    )
    take.add_argument("checkpoint", type=Path, help="a published .pt file")
    take.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    take.add_argument(
        "--allow-altered", action="store_true", help="accept a released name with another content"
    )
    take.set_defaults(run=run_import)


def describe(find: Find) -> dict[str, Any]:
    """Name, sizes, space and surroundings of a loaded model, as plain JSON."""
    trainable = sum(p.numel() for p in find.model.parameters())
    return {
        "name": find.name,
        "fingerprint": find.fingerprint,
        "device": str(find.device),
        "embedding_dim": find.embedding_dim,
        "pixel_dim": find.pixel_dim,
        "interface_parameters": trainable,
        "vision": find.config.vision.name,
        "language": find.config.language.name,
        "threshold": find.config.threshold,
        "packages": {name: installed_version(name) for name in PACKAGES},
    }


def installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def run_info(args: argparse.Namespace) -> int:
    facts = describe(load_model(args))
    if args.json:
        print(json_text(facts))
        return 0
    packages = facts.pop("packages")
    width = max(map(len, facts))
    for key, value in facts.items():
        print(f"{key:<{width}}  {value}")
    print("packages".ljust(width), "", ", ".join(f"{k} {v or '-'}" for k, v in packages.items()))
    return 0


def run_import(args: argparse.Namespace) -> int:
    from find_core.checkpoint.published import import_published

    out = import_published(args.checkpoint, args.out, allow_altered=args.allow_altered)
    print(f"Wrote {out}: use it with --model {out}.", file=sys.stderr)
    return 0
