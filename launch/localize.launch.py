"""ros2 launch find_ros localize.launch.py prompt:="the <mug>" image:=/camera/color/image_raw"""

import sys
from pathlib import Path

SHARE = Path(__file__).resolve().parents[1]
# After pip alone, `ros2` may run on a Python that does not see the environment of the package.
sys.path += [str(p) for p in (*SHARE.parents[1].glob("lib/python3*/*-packages"), SHARE)]

from find_ros.support.launch_common import (  # noqa: E402
    YES,
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
        "prompt",
        "What to look for: a sentence with <entities>. Change it live on ~/prompt.",
        parameter=str,
    ),
    Argument("model", "Packaged default, checkpoint directory, hub id or 'tiny'.", parameter=str),
    Argument("device", "auto, cpu, cuda or cuda:N.", parameter=str),
    Argument(
        "runtime",
        "What computes the image path.",
        choices=("auto", "torch", "onnxruntime", "openvino", "openvino-bf16"),
        parameter=str,
    ),
    Argument(
        "input_px", "Shorter side images are scaled to; smaller is faster. 0: the model's.",
        parameter=int,
    ),
    flag("compressed", "Subscribe to <image>/compressed instead."),
    flag("use_depth", "3D outputs from depth and camera_info."),
    Argument(
        "target_frame", "Frame of the 3D outputs, through tf; empty: the camera's own.",
        parameter=str,
    ),
    Argument("max_rate_hz", "Most frames a second for each camera; 0: no limit.", parameter=float),
    Argument(
        "threshold", "Score at which an object counts as found; 0: the model's own.",
        parameter=float,
    ),
    flag("autostart", "Configure and activate at start."),
    Argument("cameras", "Several cameras: namespaces, comma separated (front,wrist)."),
    *topic_arguments(),
    *node_arguments("localizer", SHARE),
    Argument("source", "Play this video, folder, bag or V4L device as the camera."),
    Argument("page", "Serve the live page too (docs/page.md).", "false", ("true", "false")),
    Argument("page_host", "Address of the page; another one opens it to the network.", "127.0.0.1"),
    Argument("page_port", "Port of the page.", "8600"),
    Argument("loop", "Play the source again and again.", "true", ("true", "false")),
)  # fmt: skip


def generate_launch_description():
    return describe(ARGUMENTS, SHARE, nodes)


def nodes(context):
    texts = texts_of(ARGUMENTS, context)
    given = parameters_of(ARGUMENTS, texts)
    if cameras := [name.strip() for name in texts["cameras"].split(",") if name.strip()]:
        given["cameras"] = cameras
    localizer = node("localizer", texts["name"], texts, [texts["params_file"], given])
    launched = [localizer, *page(texts)]
    if not texts["source"]:
        return launched
    played = {"source": texts["source"], "loop": texts["loop"] in YES}
    player = node(
        "camera_player", "camera_player", texts, [played | {"wait_for_subscriber_s": 60.0}]
    )
    return [*launched, player]


def page(texts):
    """The live page beside the localizer, where it is asked for."""
    if texts["page"] not in YES:
        return []
    own = ["--localizer", texts["name"], "--cameras", texts["cameras"]]
    own += ["--host", texts["page_host"], "--port", texts["page_port"]]
    own += ["--compressed"] if texts["compressed"] in YES else []
    clock = [{"use_sim_time": texts["use_sim_time"] in YES}] if texts["use_sim_time"] else []
    return [node("page", "", texts, clock, own)]
