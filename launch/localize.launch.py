"""ros2 launch find_ros localize.launch.py prompt:="the <mug>" image:=/camera/color/image_raw"""

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
    (
        "prompt",
        "",
        None,
        "What to look for: a sentence with <entities>. Change it live on ~/prompt.",
    ),
    ("model", "find-tabletop", None, "Packaged default, checkpoint directory, hub id or 'tiny'."),
    ("device", "auto", None, "auto, cpu, cuda or cuda:N."),
    (
        "input_px",
        "0",
        None,
        "Shorter side images are scaled to; smaller is faster. 0: the model's.",
    ),
    ("image", "image", None, "Colour topic (sensor_msgs/Image); compressed: its base name."),
    ("compressed", "false", ["true", "false"], "Subscribe to <image>/compressed instead."),
    ("use_depth", "false", ["true", "false"], "3D outputs from depth and camera_info."),
    ("depth", "depth", None, "Depth topic, aligned to the colour image."),
    ("camera_info", "camera_info", None, "Calibration topic of the colour image."),
    ("target_frame", "", None, "Frame of the 3D outputs, through tf; empty: the camera's own."),
    ("cameras", "", None, "Several cameras: namespaces, comma separated (front,wrist)."),
    ("max_rate_hz", "0.0", None, "Most frames a second for each camera; 0: no limit."),
    ("threshold", "0.0", None, "Score at which a thing counts as found; 0: the model's own."),
    ("params_file", str(SHARE / "config" / "localizer.yaml"), None, "YAML file of parameters."),
    ("namespace", "", None, "Namespace of the nodes."),
    ("name", "localizer", None, "Name of the localizer node."),
    ("use_sim_time", "false", ["true", "false"], "Take the time from /clock."),
    ("autostart", "true", ["true", "false"], "Configure and activate at start."),
    ("log_level", "info", ["debug", "info", "warn", "error", "fatal"], "Of the nodes."),
    ("source", "", None, "Play this video, folder, bag or V4L device as the camera."),
    ("loop", "true", ["true", "false"], "Play the source again and again."),
]
# Arguments that are parameters of the localizer, with the type ROS needs. Those left at their
# default do not override the params_file.
PARAMETERS = {
    "prompt": str,
    "model": str,
    "device": str,
    "input_px": int,
    "compressed": bool,
    "use_depth": bool,
    "target_frame": str,
    "max_rate_hz": float,
    "threshold": float,
    "autostart": bool,
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
    cameras = [name.strip() for name in value["cameras"].split(",") if name.strip()]
    if cameras:
        given["cameras"] = cameras
    remaps = {n: value[n] for n in ("image", "depth", "camera_info") if value[n] != defaults[n]}
    if "image" in remaps:
        remaps["image/compressed"] = f"{remaps['image']}/compressed"
    common = {"package": "find_ros", "namespace": value["namespace"], "output": "screen"}
    localizer = Node(
        executable="localizer",
        name=value["name"],
        parameters=[value["params_file"], given],
        remappings=list(remaps.items()),
        arguments=["--ros-args", "--log-level", value["log_level"]],
        **common,
    )
    if not value["source"]:
        return [localizer]
    player = Node(
        executable="camera_player",
        name="camera_player",
        parameters=[
            {"source": value["source"], "loop": value["loop"] in YES, "wait_for_subscriber_s": 60.0}
        ],
        remappings=list(remaps.items()),
        arguments=["--ros-args", "--log-level", value["log_level"]],
        **common,
    )
    return [localizer, player]


def _typed(name: str, text: str) -> object:
    kind = PARAMETERS[name]
    return text.lower() in YES if kind is bool else kind(text)
