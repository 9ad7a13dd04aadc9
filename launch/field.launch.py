"""ros2 launch find_ros field.launch.py field:=room.field"""

import sys
from pathlib import Path

SHARE = Path(__file__).resolve().parents[1]
# After pip alone, `ros2` may run on a Python that does not see the environment of the package.
sys.path += [str(p) for p in (*SHARE.parents[1].glob("lib/python3*/*-packages"), SHARE)]

from find_ros.support.launch_common import (  # noqa: E402
    Argument,
    describe,
    flag,
    node,
    node_arguments,
    parameters_of,
    texts_of,
    topic_arguments,
)

ARGUMENTS = (
    Argument(
        "field", "A .field file to begin with (find-field lift, ns-train find-field).",
        parameter=str,
    ),
    Argument("model", "The model the field was made with.", parameter=str),
    Argument("device", "auto, cpu, cuda or cuda:N.", parameter=str),
    Argument(
        "runtime",
        "What computes the image path.",
        choices=("auto", "torch", "onnxruntime", "openvino", "openvino-bf16"),
        parameter=str,
    ),
    flag("lift_live", "Grow the field from image, depth and camera_info."),
    Argument("lift_rate_hz", "Most frames lifted in a second.", parameter=float),
    Argument("voxel_size_m", "Side of a voxel; a loaded field keeps its own.", parameter=float),
    Argument("world_frame", "Frame of the field; a loaded field keeps its own.", parameter=str),
    Argument("up", "Up in it: z, three numbers, auto or check.", parameter=str),
    Argument(
        "pose_source", "Camera poses from /tf, or from camera_pose.", choices=("tf", "topic"),
        parameter=str,
    ),
    Argument("save_path", "The .field file that the service ~/save writes.", parameter=str),
    Argument(
        "save_every_s", "Also write it when it has changed, at most every so many seconds; 0: no.",
        parameter=float,
    ),
    *topic_arguments(),
    *node_arguments("field_server", SHARE),
)  # fmt: skip


def generate_launch_description():
    return describe(ARGUMENTS, SHARE, nodes)


def nodes(context):
    texts = texts_of(ARGUMENTS, context)
    given = parameters_of(ARGUMENTS, texts)
    return [node("field_server", texts["name"], texts, [texts["params_file"], given])]
