"""The live page beside a running localizer, on any machine that reaches its topics.

    python -m find_ros.page --ros-args -r image:=/camera/color/image_raw

It draws what the localizer answers over the camera's own images, so that an open page costs the
localizer nothing but its messages.
"""

from __future__ import annotations


def main() -> int:
    from find_ros.page.main import main as run

    return run()
