"""Pack a recipe for a machine without a network.

    python -m training.pack --tabletop DATA/tabletop --photos PHOTOS --out PACK --limit-mib 60
    python PACK/run.py --minutes 10 --out OUT          # there: torch, numpy, scipy, safetensors

PACK/run.py goes with PACK/part-00 (code and encoders) and any number of the other parts (images).
OUT then holds weights and curves; `python -m training.export --run OUT` makes a model of it here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from find_core.support.command_line import number
from training.engine.command import ends_in_a_sentence
from training.pack.build import MIB, build_pack, size_of
from training.recipes import open_recipe


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.pack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--recipe", default="find_base")
    parser.add_argument("--tabletop", required=True, help="folder of rendered scenes")
    parser.add_argument("--photos", required=True, help="folder of photograph sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit-mib", type=number(above=0), default=60.0, help="of one folder")
    parser.add_argument(
        "--webp", action="store_true", help="smaller images, which need OpenCV on that machine"
    )
    args = parser.parse_args()
    with ends_in_a_sentence("training.pack"):
        recipe, _ = open_recipe(args.recipe)
        settings = {"data.tabletop": args.tabletop, "data.photos": args.photos}
        for part in build_pack(recipe, settings, args.out, args.limit_mib, args.webp):
            print(f"{part}: {size_of(part) / MIB:.1f} MiB")


if __name__ == "__main__":
    main()
