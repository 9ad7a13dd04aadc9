"""What searching an album costs beside looking at every picture again, in one run.

    python benchmarks/album.py --pictures 2000 --json out/album.json --check

The album holds random vectors of the model's sizes (searching does not care); a picture is encoded
and asked between the searches, so that both see the same neighbours.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import find_core as fc
from benchmarks.report import publish, verdict

LEAST_RATIO = 100.0
PROMPT = "the <white mug> next to the <plate>"


def seconds(call: Callable) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def unit_rows(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See the top.")
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="exit 1 when the target is missed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    find, rng = fc.load(args.model, device="cpu"), np.random.default_rng(0)
    album, size = fc.Album(find), (find.config.num_queries, find.embedding_dim)
    names = [f"{n}.jpg" for n in range(args.pictures)]
    images = unit_rows(rng, args.pictures, size[1])
    album.insert(names, images, unit_rows(rng, args.pictures, *size))
    query, picture = find.compile(PROMPT), rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    looks, searches = [], []
    for _ in range(args.rounds + 1):
        looks.append(seconds(lambda: find.encode(picture).relevance(query)))
        searches.append(seconds(lambda: album.search(query)))
    look_s, search_s = statistics.median(looks[1:]), statistics.median(searches[1:])
    report = {
        "pictures": args.pictures,
        "look_at_one_ms": round(1e3 * look_s, 1),
        "search_all_ms": round(1e3 * search_s, 1),
        "ratio": round(args.pictures * look_s / search_s, 1),
    }
    publish(report, args.json)
    too_little = report["ratio"] < LEAST_RATIO
    missed = [f"a search is less than {LEAST_RATIO:.0f}x cheaper than looking again"] * too_little
    return verdict(missed, args.check)


if __name__ == "__main__":
    sys.exit(main())
