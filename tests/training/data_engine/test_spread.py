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

from training.data_engine.__main__ import main
from training.engine.spread import Spread, SpreadError, each_done, open_workers

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs the extra [ray]"
)
WORKERS = Spread(processes=2)


class Squares:
    """Squares; ends its own process at 3, once for each file that it finds there no more."""

    def __init__(self, folder: Path, deaths: int) -> None:
        self.folder, self.deaths = folder, deaths

    def __call__(self, number: int) -> int:
        if number == 3 and len(list(self.folder.iterdir())) < self.deaths:
            (self.folder / f"{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 99:
            raise ValueError("no square of 99")
        return number * number


def squares(spread: Spread, numbers, folder: Path, deaths: int = 0, progress=lambda d, t: None):
    make = functools.partial(Squares, folder, deaths)
    with open_workers(make, spread) as workers:
        return dict(each_done(workers, [(n,) for n in numbers], progress))


@pytest.mark.parametrize(
    "spread", [Spread(), Spread(threads=3), pytest.param(WORKERS, marks=needs_ray)]
)
def test_results_progress_and_errors(spread, tmp_path) -> None:
    told = []
    found = squares(spread, range(7), tmp_path, progress=lambda d, t: told.append((d, t)))
    assert found == {n: n * n for n in range(7)}
    assert told == [(n, 7) for n in range(1, 8)]
    with pytest.raises(ValueError, match="no square of 99"):
        squares(spread, [1, 99], tmp_path)


@needs_ray
def test_a_killed_worker_s_item_is_done_again(tmp_path) -> None:
    assert squares(WORKERS, range(6), tmp_path, deaths=2) == {n: n * n for n in range(6)}
    assert len(list(tmp_path.iterdir())) == 2


@needs_ray
def test_an_item_that_kills_every_worker_is_named(tmp_path) -> None:
    with pytest.raises(SpreadError, match="Item 3 ended 3 workers"):
        squares(WORKERS, range(6), tmp_path, deaths=99)


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


@needs_ray
def test_a_worker_that_cannot_start_says_why(root, tmp_path, capsys) -> None:
    command = ["sentences", "--data", str(root), "--out", str(tmp_path), "--writer", "transformers",
               "--name", str(tmp_path / "nothing"), "--workers", "1"]  # fmt: skip
    assert main(command) == 2
    assert "cannot be loaded" in capsys.readouterr().err


@pytest.fixture
def cluster(tmp_path):
    """Address of a Ray cluster of one CPU, whose processes form a group of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block",
               f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats",
               "--node-ip-address=127.0.0.1"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)  # fmt: skip
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
    with pytest.raises(SpreadError, match="Ray cannot be started"), open_workers(list, Spread(cluster="127.0.0.1:9")):  # fmt: skip
        pass
