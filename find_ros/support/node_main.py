"""Running a node as a process: profile, sentences instead of tracebacks, a clean and quick end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from find_core.errors import FindError
from find_core.support.json_text import json_text
from find_ros.support.parameters import Param
from find_ros.support.resources import use_fastdds_profile
from find_ros.support.text import SENTENCE_LIMIT, printable, sentence_of

# A model in the midst of a frame cannot be interrupted; it is waited for so long.
GRACE_S = 1.0
# From the signal on: then the process ends, whatever hangs.
END_S = 1.7
# How often the end is looked for. `Executor.spin` sleeps until something wakes it; that a signal
# always does was found not to be so.
POLL_S = 0.1


class _Ending:
    """The process' end: the first SIGINT or SIGTERM raises KeyboardInterrupt in the main thread, and
    `END_S` later the process ends, however busy it is."""

    def __init__(self) -> None:
        self.signalled = False
        self.status = 0
        self.node: Any = None
        self._ok: Callable[[], bool] = lambda: True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._watch, name="end of process", daemon=True).start()

    def follow(self, context: Any) -> None:
        """A shutdown of this context is the process' end too."""
        self._ok = context.ok

    @property
    def begun(self) -> bool:
        return self.signalled or not self._ok()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.signalled:  # the next ones must not disturb the tidying up
            self.signalled = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        while not self.begun:
            time.sleep(POLL_S / 2)
        time.sleep(END_S)
        os._exit(self.status or int(getattr(self.node, "exit_status", 0)))


def run_node(
    create: Callable[[], Any],
    table: Sequence[Param],
    args: Sequence[str] | None = None,
) -> int:
    """Spin a node until SIGINT, SIGTERM or `rclpy.shutdown`, then end the process.

    Args:
        create: makes the node; its `close()` is called at the end if it has one, and an
            `exit_status` attribute is the process's.
        table: its parameters, for --help.

    Returns:
        0 after --help; otherwise not at all. The process ends with 2 after a sentence about wrong
        parameters, 0 after a signal, also while starting.
    """
    given = sys.argv[1:] if args is None else list(args)
    if "-h" in given or "--help" in given:
        print(help_text(sys.modules[create.__module__].__doc__ or "", table))
        return 0
    ending = _Ending()
    try:
        use_fastdds_profile()
        _spin(create, args, ending)
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if not ending.begun:  # else the ground went from under its feet
            print(f"find_ros: {_told(error)}", file=sys.stderr)
            ending.status = 2
    ending.signalled = True  # from here on the clock runs
    _close(ending.node)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    # The node has left the network and its threads have stopped (or hang in a model). Python's own
    # tear-down, with torch loaded, takes seconds that a launch file would wait for.
    os._exit(ending.status or int(getattr(ending.node, "exit_status", 0)))


def _spin(create: Callable[[], Any], args: Sequence[str] | None, ending: _Ending) -> None:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.utilities import get_default_context

    rclpy.init(args=list(args) if args is not None else None)
    context = get_default_context()
    ending.follow(context)
    ending.node = node = create()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not ending.begun:
        try:
            executor.spin_once(timeout_sec=POLL_S)
        except Exception as error:  # a message that cannot be taken apart, say
            if ending.begun:
                return
            node.net.caught("executor", error)


def help_text(about: str, table: Sequence[Param]) -> str:
    """The module's own words and its parameters."""
    lines = [about.strip(), "", "Parameters (--ros-args -p name:=value):"]
    for param in table:
        default = json_text(param.default)
        lines += [f"  {param.name} (default {default})", f"      {param.meaning}"]
    return "\n".join(lines)


def _told(error: Exception) -> str:
    """A sentence; for errors of the program itself also where it arose."""
    if isinstance(error, FindError | ValueError) or type(error).__module__.startswith("rclpy"):
        return sentence_of(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return printable(f"{type(error).__name__}: {error} ({where}).", SENTENCE_LIMIT)


def _close(node: Any) -> None:
    """Let the node end its threads, as far as they do, and leave the network."""
    import rclpy

    with contextlib.suppress(Exception, KeyboardInterrupt):
        if node is not None:
            node.close()
            node.destroy_node()
    with contextlib.suppress(Exception, KeyboardInterrupt):
        rclpy.try_shutdown()
