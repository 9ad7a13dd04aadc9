"""Running a node as a process: profile, sentences instead of tracebacks, a clean and quick end."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from find_core.errors import FindError
from find_ros.support.parameters import Param
from find_ros.support.resources import use_fastdds_profile

# A model in the midst of a frame cannot be interrupted; after this long the process ends anyway.
GRACE_S = 1.0


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
        parameters, 0 after a signal.
    """
    given = sys.argv[1:] if args is None else list(args)
    if "-h" in given or "--help" in given:
        print(help_text(sys.modules[create.__module__].__doc__ or "", table))
        return 0
    use_fastdds_profile()
    import rclpy
    from rclpy.exceptions import (
        InvalidParameterTypeException,
        InvalidParameterValueException,
        ParameterException,
    )
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    rclpy.init(args=list(args) if args is not None else None)
    node, status = None, 1  # 1: whatever was not foreseen below
    try:
        node = create()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        status = int(getattr(node, "exit_status", 0))
    except (
        FindError,
        ValueError,
        InvalidParameterTypeException,
        InvalidParameterValueException,
        ParameterException,
    ) as error:
        print(f"find_ros: {error}", file=sys.stderr)
        status = 2
    finally:
        # What follows a signal must not be stopped by the next one, nor by a thread that hangs.
        watchdog = threading.Timer(2 * GRACE_S, os._exit, [status])
        watchdog.daemon = True
        watchdog.start()
        _close(node)
        rclpy.try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # The node has left the network and its threads have stopped (or hang in a model). Python's own
    # tear-down, with torch loaded, takes seconds that a launch file would wait for.
    os._exit(status)


def help_text(about: str, table: Sequence[Param]) -> str:
    """The module's own words and its parameters."""
    lines = [about.strip(), "", "Parameters (--ros-args -p name:=value):"]
    for param in table:
        default = json.dumps(param.default)
        lines += [f"  {param.name} (default {default})", f"      {param.meaning}"]
    return "\n".join(lines)


def _close(node: Any) -> None:
    """Let the node end its threads, as far as they do, and leave the network."""
    if node is None:
        return
    with contextlib.suppress(KeyboardInterrupt):
        node.close()
        node.destroy_node()
