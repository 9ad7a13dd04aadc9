"""One process and several workers give the same; a worker that dies costs nothing but time.

Ray is an extra: without it the tests of workers are skipped.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from find_core.errors import FindError
from training.data_engine.__main__ import main
from training.engine.spread import Spread, SpreadError, Workers, each_done, open_workers

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs the extra [ray]"
)
WORKERS = Spread(processes=2)


class Squares:
    """Squares of numbers, by a worker that may end itself."""

    def __init__(self, trouble: str = "") -> None:
        if trouble:
            raise FindError(trouble)

    def __call__(self, number: int, graves: Path | None = None, deaths: int = 0) -> int:
        """Args: deaths: so many workers end at this number, each leaves a file in `graves`."""
        if graves and len(list(graves.iterdir())) < deaths:
            (graves / f"{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 99:
            raise ValueError("no square of 99")
        return number * number


def check_squares(workers: Workers) -> None:
    """Results, progress and errors, which are the same for one process and for workers."""
    told = []
    items = [(n,) for n in range(7)]
    found = dict(each_done(workers, items, lambda done, total: told.append((done, total))))
    assert found == {n: n * n for n in range(7)}
    assert told == [(n, 7) for n in range(1, 8)]
    with pytest.raises(ValueError, match="no square of 99"):
        list(each_done(workers, [(1,), (99,)]))


@pytest.mark.parametrize("spread", [Spread(), Spread(threads=3)], ids=["process", "threads"])
def test_squares_in_this_process(spread) -> None:
    with open_workers(Squares, spread) as workers:
        check_squares(workers)


@needs_ray
def test_workers_give_the_same_and_one_that_is_killed_is_replaced(tmp_path) -> None:
    """One start of Ray for all of it: a start takes seconds, on a busy machine many."""
    with open_workers(Squares, WORKERS) as workers:
        check_squares(workers)
        told = []
        items = [(n, tmp_path, 2) if n == 3 else (n,) for n in range(6)]
        found = dict(each_done(workers, items, lambda done, total: told.append(done)))
        assert found == {n: n * n for n in range(6)} and told == [1, 2, 3, 4, 5, 6]
        assert len(list(tmp_path.iterdir())) == 2
        with pytest.raises(SpreadError, match="Item 0 ended 3 workers"):
            list(each_done(workers, [(3, tmp_path, 99)]))


@needs_ray
def test_a_worker_that_cannot_be_made_says_why() -> None:
    make = functools.partial(Squares, "The model is not there.")
    with open_workers(make, Spread(processes=1)) as workers, pytest.raises(SpreadError, match="The model is not there"):  # fmt: skip
        list(each_done(workers, [(1,)]))


def test_without_ray_a_sentence_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpreadError, match=r"find_ros\[ray\]"), open_workers(list, WORKERS):
        pass


def engine(command: str, root: Path, out: Path, *more: str) -> None:
    arguments = [command, "--data", str(root), "--out", str(out), *more]
    assert main(arguments) == 0


@needs_ray
def test_the_engine_gives_the_same_bytes_with_workers(root, tmp_path) -> None:
    for name, more in (("one", ()), ("many", ("--workers", "2"))):
        engine("sentences", root, tmp_path / name, *more)
        engine("stand-ins", root, tmp_path / name, "--model", "blind", *more)
    for file in ("entity_val2017.json", "interleave_val2017.json", "report_val2017.md"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "many" / file).read_bytes(), (
            file
        )


@pytest.fixture
def cluster(tmp_path):
    """Address of a Ray cluster of one CPU, whose processes form a group of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block",
               f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats",
               "--node-ip-address=127.0.0.1"]  # fmt: skip
    busy_machine = {"RAY_worker_niceness": "0", "RAY_worker_register_timeout_seconds": "600"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True, env=os.environ | busy_machine)  # fmt: skip
    assert process.stdout is not None
    assert any("Ray runtime started" in line for line in process.stdout), (
        "the cluster did not start"
    )
    yield f"127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


@needs_ray
def test_a_cluster_by_its_address(root, tmp_path, cluster) -> None:
    engine("sentences", root, tmp_path / "there", "--cluster", cluster)
    engine("sentences", root, tmp_path / "here")
    files = [tmp_path / n / "entity_val2017.json" for n in ("there", "here")]
    assert files[0].read_bytes() == files[1].read_bytes()


@needs_ray
def test_no_cluster_there() -> None:
    with pytest.raises(SpreadError, match="nothing answers at"), open_workers(list, Spread(cluster="127.0.0.1:9")):  # fmt: skip
        pass
