"""Fuzz every reader for a while, and print how many inputs each has seen.

    python -m tests.fuzz --seconds 600
    python -m tests.fuzz --only prompt_json image --seconds 60 --seed 7 --keep 12

Each target runs in a process of its own: a crash or a hang costs that target, is told with the input
that caused it, and that input is kept in tests/fuzz/corpus, which `make test` replays.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import queue
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fuzz.worker import work

# Each input is written before it is read: in memory where the system has a folder there.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
MAX_KEPT_BYTES = 4000


def _run(name: str, seconds: float, seed: int) -> tuple[str, Any, dict[str, bytes]]:
    from tests.fuzz.run import Tally

    context = mp.get_context("spawn")
    results = context.Queue()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY) as folder:
        process = context.Process(target=work, args=(name, seconds, seed, folder, results))
        process.start()
        tally, kind, examples = Tally(), "?", {}
        try:
            kind, tally, examples = _result(results, process, seconds + 60)
        except queue.Empty:  # it crashed, or hangs
            raw = (
                (Path(folder) / "current").read_bytes()
                if (Path(folder) / "current").exists()
                else b""
            )
            data = raw[8 : 8 + int.from_bytes(raw[:8], "little")]
            why = "hangs" if process.is_alive() else f"died with status {process.exitcode}"
            tally.broken.append((why, data))
            process.kill()
        process.join()
    return kind, tally, examples


def _result(results: Any, process: Any, seconds: float) -> Any:
    """What the worker has to say, waited for no longer than it lives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return results.get(timeout=1.0)
        except queue.Empty:
            if not process.is_alive():
                return results.get(timeout=1.0)
    raise queue.Empty


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600, help="for all targets (default: 600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], metavar="TARGET")
    parser.add_argument(
        "--share", action="append", default=[], metavar="TARGET=WEIGHT", help="of the time"
    )
    parser.add_argument(
        "--keep", type=int, default=0, help="inputs of each target to add to the corpus"
    )
    args = parser.parse_args()
    from tests.fuzz.run import keep
    from tests.fuzz.targets import all_targets

    shares = {name: 1.0 for name in all_targets() if not args.only or name in args.only}
    shares |= {name: float(weight) for name, _, weight in (s.partition("=") for s in args.share)}
    totals: dict[str, int] = {}
    failed = 0
    for name, share in shares.items():
        kind, tally, examples = _run(name, args.seconds * share / sum(shares.values()), args.seed)
        totals[kind] = totals.get(kind, 0) + tally.inputs
        print(f"{name:16} {kind:7} {tally.inputs:9,} inputs, {tally.accepted:8,} accepted, "
              f"{len(tally.endings):4} endings, {len(tally.broken)} broken", flush=True)  # fmt: skip
        for why, data in tally.broken[:3]:
            failed += 1
            print(f"    {why}\n    kept: {keep(name, data)}", flush=True)
        small = sorted((d for d in examples.values() if len(d) <= MAX_KEPT_BYTES), key=len)
        for data in small[: args.keep]:
            keep(name, data)
    for kind, count in totals.items():
        print(f"{count:,} {kind} inputs in all")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
