"""Files shipped beside the code: found after colcon, after pip, and in a clone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

PROFILE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
# Its name up to Fast DDS 2; newer ones complain about it.
OLD_PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
OLD_DISTRIBUTIONS = ("foxy", "galactic", "humble", "iron", "jazzy")


def share_file(relative: str) -> Path:
    """A file of share/find_ros, e.g. "config/localizer.yaml".

    Raises:
        FileNotFoundError: it is nowhere; the sentence says where was looked.
    """
    places = [*_ament_share(), Path(sys.prefix) / "share" / "find_ros", Path(__file__).parents[2]]
    for place in places:
        if (place / relative).is_file():
            return place / relative
    looked = ", ".join(str(p) for p in places)
    raise FileNotFoundError(f"{relative} of find_ros is in none of {looked}: install the package.")


def use_fastdds_profile() -> None:
    """Let this process publish large best-effort images without losing them.

    Fast DDS' default shared-memory segment is smaller than one 1280x720 image. Must run before
    `rclpy.init`; a profile that the user chose stays.
    """
    with contextlib.suppress(FileNotFoundError):
        os.environ.update(fastdds_variables(share_file("config/fastdds.xml"), os.environ))


def fastdds_variables(profile: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that choose `profile`; none where the user chose a profile already."""
    if environment.get(PROFILE_VARIABLE) or environment.get(OLD_PROFILE_VARIABLE):
        return {}
    old = environment.get("ROS_DISTRO") in OLD_DISTRIBUTIONS
    names = (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE) if old else (PROFILE_VARIABLE,)
    return dict.fromkeys(names, str(profile))


def _ament_share() -> list[Path]:
    try:
        from ament_index_python.packages import get_package_share_directory

        return [Path(get_package_share_directory("find_ros"))]
    except (ImportError, LookupError, OSError):  # not installed, or AMENT_PREFIX_PATH is not set
        return []
