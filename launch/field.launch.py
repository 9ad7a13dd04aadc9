"""ros2 launch find_ros field.launch.py field:=room.field"""

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(__file__).resolve().parents[1]
YES = ("true", "1", "yes", "on")

# (name, default, choices, what it is)
ARGUMENTS = [
    ("field", "", None, "A .field file to begin with (find-field lift, ns-train find-field)."),
    ("model", "find-tabletop", None, "The model the field was made with."),
    ("device", "auto", None, "auto, cpu, cuda or cuda:N."),
    ("lift_live", "false", ["true", "false"], "Grow the field from image, depth and camera_info."),
    ("lift_rate_hz", "1.0", None, "Most frames lifted in a second."),
    ("voxel_size_m", "0.01", None, "Side of a voxel; a loaded field keeps its own."),
    ("world_frame", "world", None, "Frame of the field; a loaded field keeps its own."),
    ("pose_source", "tf", ["tf", "topic"], "Camera poses from /tf, or from camera_pose."),
    ("save_path", "live.field", None, "Where the service ~/save writes."),
    ("image", "image", None, "Colour topic of the camera."),
    ("depth", "depth", None, "Depth topic, aligned to the colour image."),
    ("camera_info", "camera_info", None, "Calibration topic of the colour image."),
    ("params_file", str(SHARE / "config" / "field_server.yaml"), None, "YAML file of parameters."),
    ("namespace", "", None, "Namespace of the node."),
    ("name", "field_server", None, "Name of the node."),
    ("use_sim_time", "false", ["true", "false"], "Take the time from /clock."),
    ("log_level", "info", ["debug", "info", "warn", "error", "fatal"], "Of the node."),
]
# Arguments that are parameters of the node, with the type ROS needs. Those left at their default
# do not override the params_file.
PARAMETERS = {
    "field": str,
    "model": str,
    "device": str,
    "lift_live": bool,
    "lift_rate_hz": float,
    "voxel_size_m": float,
    "world_frame": str,
    "pose_source": str,
    "save_path": str,
    "use_sim_time": bool,
}


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
        for name, default, choices, text in ARGUMENTS
    ]
    return LaunchDescription([*declared, *fastdds_profile(), OpaqueFunction(function=nodes)])


def fastdds_profile() -> list[SetEnvironmentVariable]:
    """Shared memory that holds camera images, unless the user chose a profile."""
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    if any(os.environ.get(name) for name in names):
        return []
    old = os.environ.get("ROS_DISTRO", "") in ("humble", "iron", "jazzy")
    path = str(SHARE / "config" / "fastdds.xml")
    return [SetEnvironmentVariable(name, path) for name in (names if old else names[:1])]


def nodes(context: LaunchContext) -> list[Node]:
    value = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    defaults = {name: default for name, default, *_ in ARGUMENTS}
    given = {n: _typed(n, value[n]) for n in PARAMETERS if value[n] != defaults[n]}
    remaps = {n: value[n] for n in ("image", "depth", "camera_info") if value[n] != defaults[n]}
    return [
        Node(
            package="find_ros",
            executable="field_server",
            name=value["name"],
            namespace=value["namespace"],
            output="screen",
            parameters=[value["params_file"], given],
            remappings=list(remaps.items()),
            arguments=["--ros-args", "--log-level", value["log_level"]],
        )
    ]


def _typed(name: str, text: str) -> object:
    kind = PARAMETERS[name]
    return text.lower() in YES if kind is bool else kind(text)
