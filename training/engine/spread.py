"""Work on many items: in this process, or on Ray (extra `[ray]`), with the same results.

    with open_workers(make, Spread(processes=4)) as workers:      # make() -> function, in each worker
        for place, result in each_done(workers, [(item,) for item in items]):
            ...

One process is the default. Ray runs local workers, or those of a cluster by its address; the data must
then lie at the same paths on every machine. Results come as they are ready: order them by their place.
A worker that dies is replaced and its item done again.
"""

from __future__ import annotations

import importlib.util
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from find_core.errors import FindError
from find_core.support.printable import shown

Work = Callable[..., Any]
Make = Callable[[], Work]
MOST_LOSSES = 3
"""Times that one item may lose its worker: then it is the item that ends workers."""
ANSWERS_WITHIN_S = 20.0
STORE_BYTES = 256 * 2**20
"""Of Ray's shared memory: results are small, and more goes to its files."""
LOCAL: dict[str, Any] = {
    "worker_niceness": 0, "enable_worker_prestart": False, "worker_register_timeout_seconds": 600,
    "agent_register_timeout_ms": 600_000, "health_check_timeout_ms": 60_000,
}  # fmt: skip
"""Of local workers: they do the work, so they are as important as this process (Ray's own niceness
of 15 starves them on a busy machine), none starts that is not needed, and slowness is no fault."""
ROOT = Path(__file__).parents[2]


class SpreadError(FindError):
    """Workers cannot be started."""


class WorkerLostError(FindError):
    """The worker of this item died before it was done."""


@dataclass(frozen=True)
class Spread:
    """
    Attributes:
        processes: workers of Ray; 0 is this process. cluster: address of a running Ray cluster.
        threads: in this process: so many items at once, for work that waits for others.
        gpus: of each worker, as Ray counts them.
    """

    processes: int = 0
    cluster: str = ""
    threads: int = 1
    gpus: float = 0.0


HERE = Spread()
"""This process, one item after the other."""


class Workers(Protocol):
    """`submit` starts one item; at most `capacity` at a time."""

    capacity: int

    def submit(self, *arguments: Any) -> Future[Any]: ...


@contextmanager
def open_workers(make: Make, spread: Spread = HERE) -> Iterator[Workers]:
    """Workers that each called `make` once, and call what it gave for every item.

    Raises:
        SpreadError: Ray is wanted and is not installed, or the cluster does not answer.
    """
    if spread.processes or spread.cluster:
        with _ray_workers(make, spread) as workers:
            yield workers
        return
    work = make()
    with ExitStack() as stack:
        pool = None
        if spread.threads > 1:
            pool = stack.enter_context(ThreadPoolExecutor(spread.threads))
        yield _Here(work, pool, spread.threads)


class _Here:
    """This process: an item is done when it is submitted, or by a thread."""

    def __init__(self, work: Work, pool: ThreadPoolExecutor | None, threads: int) -> None:
        self._work, self._pool, self.capacity = work, pool, max(1, threads)

    def submit(self, *arguments: Any) -> Future[Any]:
        if self._pool is not None:
            return self._pool.submit(self._work, *arguments)
        future: Future[Any] = Future()
        try:
            future.set_result(self._work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def _ray_workers(make: Make, spread: Spread) -> Iterator[_OnRay]:
    if importlib.util.find_spec("ray") is None:
        raise SpreadError("Ray is not installed: pip install 'find_ros[ray]', or use one process.")
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if spread.cluster:
        _check_answers(spread.cluster)
        packages = [str(ROOT / name) for name in ("training", "find_core")]
        options |= {"address": spread.cluster, "runtime_env": {"py_modules": packages}}
        advice = "check the address"
    else:
        options |= {"address": "local", "num_cpus": spread.processes, "include_dashboard": False,
                    "object_store_memory": STORE_BYTES, "_system_config": LOCAL}  # fmt: skip
        advice = "use one process"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises many kinds
        ray.shutdown()
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise SpreadError(f"Ray cannot be started ({said[0]:.140}): {advice}.") from None
    try:
        yield _OnRay(make, spread)
    finally:
        ray.shutdown()


def _check_answers(cluster: str) -> None:
    """Somebody listens there; Ray itself asks for minutes before it gives up.

    Raises:
        SpreadError: nobody does.
    """
    host, _, port = cluster.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal()):
        return  # "auto", which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError, ValueError) as error:
        raise SpreadError(f"Ray cannot be started (nothing answers at {shown(cluster)}: {error}): check the address.") from None  # fmt: skip


class _OnRay:
    """Actors of Ray, one item each at a time; one that dies is replaced."""

    def __init__(self, make: Make, spread: Spread) -> None:
        import ray

        remote = ray.remote(num_cpus=1, num_gpus=spread.gpus)(_Actor)
        self._start = lambda: remote.remote(make)
        count = spread.processes or int(ray.cluster_resources().get("CPU", 1))
        self._idle: deque[Any] = deque(self._start() for _ in range(count))
        """None stands for one that died: another is started when it is needed."""
        self.capacity = count

    def submit(self, *arguments: Any) -> Future[Any]:
        from ray.exceptions import RayActorError, RayTaskError

        actor = self._idle.popleft() or self._start()
        ready: Future[Any] = Future()

        def settle(done: Future[Any]) -> None:
            error = done.exception()
            lost = isinstance(error, RayActorError)
            self._idle.append(None if lost else actor)
            if lost and getattr(error, "actor_init_failed", False):  # nor would the next one start
                said = [line for line in str(error).splitlines() if line.strip()]
                ready.set_exception(SpreadError(f"No worker can be made ({said[-1]:.300})."))
            elif lost:
                ready.set_exception(WorkerLostError("The worker of this item died."))
            elif error is not None:
                cause = getattr(error, "cause", None) if isinstance(error, RayTaskError) else None
                ready.set_exception(cause or error)
            else:
                ready.set_result(done.result())

        actor.call.remote(*arguments).future().add_done_callback(settle)
        return ready


class _Actor:
    """One worker: what `make` gives, kept."""

    def __init__(self, make: Make) -> None:
        self._work = make()

    def call(self, *arguments: Any) -> Any:
        return self._work(*arguments)


def each_done(
    workers: Workers, items: Sequence[tuple[Any, ...]] | Iterable[tuple[Any, ...]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """(place, result) of every item, as they are ready.

    Args:
        items: the arguments of each. progress: told how many of how many are done.

    Raises:
        SpreadError: an item lost its worker `MOST_LOSSES` times. What an item raises is raised here.
    """
    running: dict[Future[Any], tuple[int, tuple[Any, ...]]] = {}
    try:
        yield from _each_done(workers, deque(enumerate(items)), running, progress)
    except Exception:
        wait(running)  # so that the workers are free for other items
        raise


def _each_done(
    workers: Workers, waiting: deque[tuple[int, tuple[Any, ...]]],
    running: dict[Future[Any], tuple[int, tuple[Any, ...]]], progress: Callable[[int, int], None],
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    total, done = len(waiting), 0
    losses: dict[int, int] = {}
    while waiting or running:
        while waiting and len(running) < workers.capacity:
            place, arguments = waiting.popleft()
            running[workers.submit(*arguments)] = place, arguments
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            place, arguments = running.pop(future)
            try:
                result = future.result()
            except WorkerLostError:
                losses[place] = losses.get(place, 0) + 1
                if losses[place] >= MOST_LOSSES:
                    raise SpreadError(f"Item {place} ended {MOST_LOSSES} workers: look at it alone.") from None  # fmt: skip
                waiting.appendleft((place, arguments))
                continue
            done += 1
            progress(done, total)
            yield place, result
