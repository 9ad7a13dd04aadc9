"""Starts a node of this package by its name; what `ros2 run` and launch files call.

    python -m find_ros.start localizer --ros-args -p prompt:="the <mug>"

A node imports torch, which takes seconds: until it runs, Ctrl-C ends the process without a word.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module

NODES = ("localizer", "camera_player", "field_server", "page")


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in NODES:
        print(f"find_ros: no node {name!r}: choose one of {', '.join(NODES)}.", file=sys.stderr)
        return 2
    sys.argv = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from find_core.runtime import process  # takes seconds too, on a busy machine

    process.prepare()  # before the node imports torch
    module = import_module(f"find_ros.{name}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on nodes tidy up
    return int(module.main())


if __name__ == "__main__":
    sys.exit(main())
