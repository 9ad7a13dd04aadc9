#!/bin/bash
# The container's first process: ROS, then the workspace, then what was asked for, under its own process id,
# so that a signal reaches it. The virtual environment is on PATH already.
set -e
source "/opt/ros/${ROS_DISTRO:-jazzy}/setup.bash"
source /ws/install/setup.bash
exec "$@"
