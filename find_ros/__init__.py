"""The ROS 2 door: a localizer, a field server and a camera player. Thin: no model code here."""

import sys

from find_ros.moved import OldNames

sys.meta_path.insert(0, OldNames())
