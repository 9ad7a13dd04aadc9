"""kill -9 and a full disk at random moments, in every job that writes files.

    python -m tools.interrupts --trials 20 --json benchmarks/results/interrupts.json
    python -m tools.interrupts --trials 3 --job album

`--json` keeps the rows of jobs and ways that were not asked for this time.

Each trial interrupts a job, looks at what it left, and gives the same command again. What was there
is whole (old, new, or a stage that the job goes on from), and the result is that of a run which was
never interrupted. Three ways: kill -9 at a random moment, kill in the midst of writing a file, and a
disk that is full (a limit on the size of files): then the command says so in one sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from find_core.support.files import write_text
from find_core.support.json_text import json_text
from tools.interrupts.answer_jobs import Album, Features, FieldNpz, FieldPly, Lift, Localize
from tools.interrupts.field_jobs import NsTrain
from tools.interrupts.job import DamagedError, Job
from tools.interrupts.training_jobs import Cache, Export, Teach, Train

WAYS = ("kill", "kill_writing", "full_disk")
# Imported once, in the parent.
SLOW_IMPORTS = (
    "accelerate",
    "matplotlib.pyplot",
    "torch.utils.tensorboard",
    "av",
    "find_core.cli.main",
)
LIMIT_S = 900.0  # a busy machine is no hang
JOBS: tuple[type[Job], ...] = (
    Train, Teach, Cache, Export, Album, Localize, Lift, FieldPly, FieldNpz, Features, NsTrain
)  # fmt: skip
NEEDS = {NsTrain: "nerfstudio"}  # jobs that are left out where it is not installed
BEYOND = 1 << 40  # bytes; no file is so large


@dataclass(frozen=True)
class Ending:
    """How a child ended: `status` as of the shell, negative for a signal; `said` on stderr."""

    status: int
    said: str
    seconds: float


def run(job: Job, out: Path, kill_after_s: float | None = None, file_bytes: int = BEYOND,
        writing_kills: bool = False) -> Ending:  # fmt: skip
    """The job's command in a child of its own, forked: Python's imports are behind it already.

    Args:
        kill_after_s: SIGKILL then. file_bytes: no file may become larger.
        writing_kills: a write beyond `file_bytes` kills; else it fails as on a full disk.
    """
    began_s = time.monotonic()
    reading, writing = os.pipe()  # no file, which the limit would be for too
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(job, out, writing, file_bytes, writing_kills)
    os.close(writing)
    end_s = began_s + (LIMIT_S if kill_after_s is None else kill_after_s)
    said = b""
    while (left_s := end_s - time.monotonic()) > 0:
        if select.select([reading], [], [], left_s)[0]:
            if not (some := os.read(reading, 65536)):
                break  # it ended
            said = (said + some)[-100_000:]
    if left_s <= 0:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(reading)
    return Ending(status, said.decode(errors="replace"), time.monotonic() - began_s)


def _child(job: Job, out: Path, stderr: int, file_bytes: int, writing_kills: bool) -> None:
    """Never returns."""
    status = 70
    try:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        # Objects of their own: the parent's know whether theirs was a file.
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        temporary = out.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        tempfile.tempdir = str(temporary)
        if writing_kills:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        status = job.run(out)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


@dataclass
class Reference:
    """A run that nobody interrupted: its result, seconds, files, and the size of the largest."""

    result: Any
    seconds: float
    files: set[str]
    largest: int


def refer(job: Job, folder: Path) -> Reference:
    """Run the job twice, so that a result that differs by itself shows.

    Raises:
        RuntimeError: it fails, or differs.
    """
    found = []
    for name in ("first", "second"):
        out = folder / f"reference-{name}"
        out.mkdir(parents=True)
        job.begin(out)
        ending = run(job, out)
        if ending.status != 0:
            raise RuntimeError(f"{job.name} fails by itself:\n{ending.said}")
        found.append((job.result(out), ending.seconds))
    if found[0][0] != found[1][0]:
        raise RuntimeError(f"{job.name} gives another result each time.")
    files = [p for p in out.rglob("*") if p.is_file()]
    largest = max(p.stat().st_size for p in files)
    return Reference(found[0][0], found[1][1], {str(p.relative_to(out)) for p in files}, largest)


def trial(job: Job, way: str, reference: Reference, out: Path, rng: random.Random) -> Counter[str]:
    """Interrupt, look, go on, compare; counts of what was seen. Keys that begin with "bad" are faults."""
    seen: Counter[str] = Counter(trials=1)
    out.mkdir(parents=True)
    job.begin(out)
    if way == "kill":
        ending = run(job, out, kill_after_s=rng.uniform(0, 1.05 * reference.seconds))
    else:
        # Half of the limits are small: small files are written often.
        top = reference.largest * 1.05
        size = int(rng.uniform(0, top) if rng.random() < 0.5 else top ** rng.random())
        ending = run(job, out, file_bytes=size, writing_kills=way == "kill_writing")
    interrupted = ending.status < 0 if way != "full_disk" else ending.status != 0
    seen["interrupted"] += interrupted
    if way == "full_disk" and job.SPEAKS and ending.status not in (0, 2):
        seen["bad: no sentence"] += 1
        _tell(job, way, f"status {ending.status}", ending.said)
    if job.SPEAKS and "Traceback" in ending.said:
        seen["bad: traceback"] += 1
        _tell(job, way, "traceback", ending.said)
    try:
        seen[f"left {job.look(out)}"] += 1
    except DamagedError as error:
        seen["bad: damaged"] += 1
        _tell(job, way, "damaged", str(error))
    if way == "full_disk" and _strangers(out, reference, job.STAGES):
        seen["bad: litter on a full disk"] += 1
        _tell(job, way, "litter", str(_strangers(out, reference, job.STAGES)))
    again = run(job, out)
    if again.status != 0:
        seen["bad: does not go on"] += 1
        _tell(job, way, f"status {again.status} of the next run", again.said)
        return seen
    reference.seconds = (reference.seconds + ending.seconds + again.seconds) / 2  # the load changes
    try:
        same = job.result(out) == reference.result
    except DamagedError as error:
        same = False
        _tell(job, way, "damaged after the next run", str(error))
    seen["same result"] += same
    if not same:
        seen["bad: another result"] += 1
        _tell(job, way, "another result", "")
    seen["temporary files left by a kill"] += bool(_strangers(out, reference, job.STAGES))
    return seen


def _strangers(out: Path, reference: Reference, stages: tuple[str, ...]) -> set[str]:
    """Files that an undisturbed run does not leave; stages it goes on from are none of them."""
    found = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    return {name for name in found - reference.files if not any(stage in name for stage in stages)}


def _tell(job: Job, way: str, what: str, more: str) -> None:
    print(
        f"  {job.name}, {way}: {what}\n    " + "\n    ".join(more.strip().splitlines()[-12:]),
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--trials", type=int, default=20, help="of each way, for each job")
    parser.add_argument("--job", action="append", help="only these")
    parser.add_argument("--way", action="append", choices=WAYS, help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds = [kind for kind in JOBS if not options.job or kind.name in options.job]
    for kind in [k for k in kinds if k in NEEDS and not find_spec(NEEDS[k])]:
        print(f"{kind.name} is left out: {NEEDS[kind]} is not installed", flush=True)
        kinds.remove(kind)
    for name in (*SLOW_IMPORTS, *(NEEDS[k] for k in kinds if k in NEEDS)):
        if find_spec(name.partition(".")[0]):
            import_module(name)
    with tempfile.TemporaryDirectory(prefix="interrupts-") as made:
        inputs, work = Path(made) / "inputs", Path(made) / "work"
        table = {kind.name: _trials(kind(inputs), options, work) for kind in kinds}
    if options.json:
        merge(options.json, table)
    return int(
        any(
            key.startswith("bad") for ways in table.values() for row in ways.values() for key in row
        )
    )


def merge(path: Path, table: dict[str, dict[str, dict[str, int]]]) -> None:
    """Put a table's rows into a file; rows of other jobs and ways there stay."""
    jobs = json.loads(path.read_text())["jobs"] if path.exists() else {}
    for name, ways in table.items():
        jobs[name] = jobs.get(name, {}) | ways
    every = [row for ways in jobs.values() for row in ways.values()]
    total = {key: sum(row.get(key, 0) for row in every) for key in ("trials", "interrupted")}
    total["damaged"] = sum(n for row in every for key, n in row.items() if key.startswith("bad"))
    write_text(path, json_text({"total": total, "jobs": jobs}, indent=1) + "\n")


def _trials(job: Job, options: argparse.Namespace, folder: Path) -> dict[str, dict[str, int]]:
    reference = refer(job, folder / job.name)
    print(f"{job.name}: {job.command} ({reference.seconds:.1f} s undisturbed)", flush=True)
    rows: dict[str, dict[str, int]] = {}
    for way in options.way or WAYS:
        rng, counts = random.Random(f"{options.seed} {job.name} {way}"), Counter[str]()
        for n in range(options.trials):
            out = folder / job.name / f"{way}-{n}"
            counts += trial(job, way, reference, out, rng)
            shutil.rmtree(out)
        rows[way] = dict(sorted(counts.items()))
        print(f"  {way:13s} {', '.join(f'{k} {v}' for k, v in rows[way].items())}", flush=True)
    shutil.rmtree(folder / job.name)
    return rows


if __name__ == "__main__":
    sys.exit(main())
