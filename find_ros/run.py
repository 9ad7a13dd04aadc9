"""Running a node as a process: profile, sentences instead of tracebacks, a clean and quick end."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from find_core.errors import FindError
from find_ros.parameters import Param
from find_ros.share import use_fastdds_profile

# A model in the midst of a frame cannot be interrupted; after this long the process ends anyway.
GRACE_S = 1.0


def run_node(
    create: Callable[[], Any],
    table: Sequence[Param],
    args: Sequence[str] | None = None,
) -> int:
    """Spin a node until SIGINT, SIGTERM or `rclpy.shutdown`; returns the exit status.

    Args:
        create: makes the node; its `close()` is called at the end if it has one, and an
            `exit_status` attribute is handed back.
        table: its parameters, for --help.
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
    node = None
    try:
        node = create()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (
        FindError,
        ValueError,
        InvalidParameterTypeException,
        InvalidParameterValueException,
        ParameterException,
    ) as error:
        print(f"find_ros: {error}", file=sys.stderr)
        return 2
    finally:
        # What follows a signal must not be stopped by the next one, nor by a thread that hangs.
        watchdog = threading.Timer(2 * GRACE_S, os._exit, [0])
        watchdog.daemon = True
        watchdog.start()
        finished = _close(node)
        rclpy.try_shutdown()
    status = int(getattr(node, "exit_status", 0))
    sys.stdout.flush()
    sys.stderr.flush()
    if not finished:
        os._exit(status)
    watchdog.cancel()
    return status


def help_text(about: str, table: Sequence[Param]) -> str:
    """The module's own words and its parameters."""
    lines = [about.strip(), "", "Parameters (--ros-args -p name:=value):"]
    for param in table:
        default = json.dumps(param.default)
        lines += [f"  {param.name} (default {default})", f"      {param.meaning}"]
    return "\n".join(lines)


def _close(node: Any) -> bool:
    """Let the node end its threads; False when one is still at work."""
    if node is None:
        return True
    try:
        finished = bool(node.close()) if hasattr(node, "close") else True
        node.destroy_node()
        return finished
    except KeyboardInterrupt:
        return False
