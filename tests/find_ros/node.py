"""Starts a node whose process has the models of the tests.

python -m tests.find_ros.node localizer --ros-args -p model:=color
"""

from __future__ import annotations

import sys

from find_ros import start
from find_ros.pipeline.model_loader import register_model
from tests.find_ros.fakes import MODELS


def main() -> int:
    for name, factory in MODELS.items():
        register_model(name, factory)
    return start.main()


if __name__ == "__main__":
    sys.exit(main())
