"""What the launch files share. `launch` comes with a ROS installation and is imported when used.

Nothing here, nor what it imports, needs torch, numpy or rclpy: launch files are read by the Python
that `ros2` runs on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from find_ros.support.resources import fastdds_variables

YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
CAMERA_TOPICS = ("image", "depth", "camera_info")


@dataclass(frozen=True)
class Argument:
    """One launch argument.

    Attributes:
        name: what the user writes before `:=`.
        meaning: shown by --show-args.
        default: "" means that it was not given: the params_file or the node decides.
        choices: allowed texts besides ""; empty: any.
        parameter: its type where it is a parameter of the node, otherwise None.
    """

    name: str
    meaning: str
    default: str = ""
    choices: tuple[str, ...] = ()
    parameter: type | None = None

    def value_of(self, text: str) -> Any:
        """The parameter's value, of the type ROS needs.

        Raises:
            ValueError: `text` is none of that type.
        """
        if self.parameter is not bool:
            return self.parameter(text) if self.parameter else text
        if text.lower() not in YES + NO:
            raise ValueError(f"{self.name}:={text} is neither true nor false.")
        return text.lower() in YES


def flag(name: str, meaning: str) -> Argument:
    """A parameter that is true or false."""
    return Argument(name, meaning, choices=("true", "false"), parameter=bool)


def topic_arguments() -> tuple[Argument, ...]:
    return (
        Argument("image", "Colour topic of the camera; with compressed: its base name.", "image"),
        Argument("depth", "Depth topic, aligned to the colour image.", "depth"),
        Argument("camera_info", "Calibration topic of the colour image.", "camera_info"),
    )


def node_arguments(node: str, share: Path) -> tuple[Argument, ...]:
    """The arguments that every node has.

    Args:
        share: the package's share folder, where the parameter files are.
    """
    levels = ("debug", "info", "warn", "error", "fatal")
    params = str(share / "config" / f"{node}.yaml")
    return (
        Argument("params_file", "YAML file of parameters.", params),
        Argument("namespace", "Namespace of the nodes."),
        Argument("name", f"Name of the {node} node.", node),
        flag("use_sim_time", "Take the time from /clock."),
        Argument("log_level", "Of the nodes.", "info", levels),
    )


def describe(arguments: Iterable[Argument], share: Path, nodes: Callable[[Any], list[Any]]) -> Any:
    """The launch description: arguments, the Fast DDS profile, then what `nodes` gives.

    Args:
        nodes: called with the launch context when the values of the arguments are known.
    """
    from launch import LaunchDescription  # type: ignore[attr-defined]  # not our folder launch
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable

    declared = [
        DeclareLaunchArgument(
            a.name,
            default_value=a.default,
            description=a.meaning,
            choices=[*a.choices, *([""] if not a.default else [])] if a.choices else None,
        )
        for a in arguments
    ]
    profile = [
        SetEnvironmentVariable(name, value)
        for name, value in fastdds_variables(share / "config" / "fastdds.xml", os.environ).items()
    ]
    return LaunchDescription([*declared, *profile, OpaqueFunction(function=nodes)])


def texts_of(arguments: Iterable[Argument], context: Any) -> dict[str, str]:
    """What the user gave for each argument."""
    from launch.substitutions import LaunchConfiguration

    return {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments}


def parameters_of(arguments: Iterable[Argument], texts: dict[str, str]) -> dict[str, Any]:
    """The node's parameters among the arguments, typed; those not given are left out, so that the
    params_file and then the node's own default hold."""
    return {
        a.name: a.value_of(texts[a.name]) for a in arguments if a.parameter and texts[a.name] != ""
    }


def camera_remaps(texts: dict[str, str]) -> dict[str, str]:
    """Remappings of the camera's topics that are not called as the node calls them."""
    remaps = {name: texts[name] for name in CAMERA_TOPICS if texts[name] != name}
    if "image" in remaps:
        remaps["image/compressed"] = f"{remaps['image']}/compressed"
    return remaps


def node(
    executable: str,
    name: str,
    texts: dict[str, str],
    parameters: list[Any],
    own: Iterable[str] = (),
) -> Any:
    """A node of this package as a launch action.

    Args:
        name: of the node; "": the one that it gives itself. own: arguments that are not of ROS.
    """
    from launch_ros.actions import Node

    return Node(
        package="find_ros",
        executable=executable,
        name=name or None,
        namespace=texts["namespace"],
        output="screen",
        parameters=parameters,
        remappings=list(camera_remaps(texts).items()),
        arguments=[*own, "--ros-args", "--log-level", texts["log_level"]],
    )
