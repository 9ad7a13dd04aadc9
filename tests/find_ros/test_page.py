"""The package page against the code: its tables name what the nodes have, no more and no less."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import NodeNameNonExistentError

from find_core.drawing import write_image
from find_ros.camera_player import TABLE as PLAYER_TABLE
from find_ros.field_parameters import TABLE as FIELD_TABLE
from find_ros.localizer_parameters import TABLE as LOCALIZER_TABLE
from find_ros.messages import detections
from find_ros.pipeline.camera_poses import TF_AVAILABLE
from tests.find_ros.harness import HEIGHT, ROOT, WIDTH, Process, diagnostics, scene

TABLES = {"localizer": LOCALIZER_TABLE, "field_server": FIELD_TABLE, "camera_player": PLAYER_TABLE}
PAGE = (ROOT / "find_ros" / "README.md").read_text()
EVERY_NODE = {"/rosout", "/parameter_events", "/clock"}
VISION = {"~/detections", "~/detections_3d", "~/label_info"}


def section(node: str) -> str:
    return PAGE.split(f"\n## {node}\n")[1].split("\n## ")[0]


def rows(node: str, head: str) -> list[list[str]]:
    """The cells of the table whose first column is called `head`."""
    lines = iter(section(node).splitlines())
    next(line for line in lines if line.startswith(f"| {head} |"))
    next(lines)
    out = []
    for line in lines:
        if not line.startswith("|"):
            break
        out.append([cell.strip() for cell in line.strip("|").split("|")])
    return out


def named(node: str, head: str) -> set[str]:
    """Everything in backticks in the table's first column."""
    return {name for cells in rows(node, head) for name in re.findall(r"`([^`]+)`", cells[0])}


@pytest.mark.parametrize("node", TABLES)
def test_parameters_with_their_defaults(node):
    """Each declared parameter has one row, in the order declared, with its default and liveness."""
    told = [(c[0].strip("`"), yaml.safe_load(c[1]), c[2] == "yes") for c in rows(node, "parameter")]
    assert told == [(p.name, p.default, p.live) for p in TABLES[node]]
    assert all(len(cells) == 4 and cells[3] for cells in rows(node, "parameter"))


@pytest.fixture(scope="module")
def running(robot, tmp_path_factory):
    """All three nodes with every optional topic that can be had together."""
    folder = tmp_path_factory.mktemp("rgbd")
    (folder / "rgb").mkdir()
    (folder / "depth").mkdir()
    write_image(folder / "rgb" / "000000.png", scene())
    cv2.imwrite(str(folder / "depth" / "000000.png"), np.full((HEIGHT, WIDTH), 1000, np.uint16))
    frames = [{"file": "000000", "T_world_camera": np.eye(4).tolist()}]
    meta = {"K": [[80, 0, 48], [0, 80, 36], [0, 0, 1]], "frames": frames}
    (folder / "meta.json").write_text(json.dumps(meta))
    localizer = {"model": "color", "prompt": "the <red>"}
    localizer |= {
        "use_depth": True,
        "target_frame": "world",
        "pose_source": "topic",
        "max_age_s": 0.0,
    }
    field = {"model": "tiny", "lift_live": True, "pose_source": "topic", "voxel_size_m": 0.1}
    player = {"source": str(folder), "loop": True, "compressed": True}
    player["lockstep_topic"] = "/localizer/localization"
    with (
        Process("localizer", localizer) as a,
        Process("field_server", field) as b,
        Process("camera_player", player) as c,
    ):
        yield {"localizer": a, "field_server": b, "camera_player": c}


@pytest.mark.parametrize("node", TABLES)
def test_topics_and_services_of_the_running_nodes(robot, running, node):
    def names(method: str) -> set[str]:
        try:
            found = {name for name, _ in getattr(robot.node, method)(node, "/")} - EVERY_NODE
        except NodeNameNonExistentError:
            return set()  # not seen yet
        return {re.sub(f"^/{node}/", "~/", name) for name in found}

    absolute = {"/tf", "/tf_static", "/diagnostics"}
    heads = {"get_publisher_names_and_types_by_node": "published"}
    if node != "camera_player":
        heads["get_subscriber_names_and_types_by_node"] = "subscribed"
    for method, head in heads.items():
        table = named(node, head)
        # What was not asked for in this run, or is not installed here.
        optional = {"image/compressed"} if head == "subscribed" else set()
        optional |= {"/tf", "/tf_static"} | (set() if detections.AVAILABLE else VISION)
        wanted = {n if n[0] == "~" or n in absolute else f"/{n}" for n in table - optional}
        robot.wait(lambda m=method, w=wanted: w <= names(m), f"{wanted}", running[node])
        extra = names(method) - wanted - {f"/{n}" for n in optional} - optional
        assert extra <= {"~/transition_event"}, extra
    if node == "field_server":
        robot.wait(
            lambda: named(node, "service") <= names("get_service_names_and_types_by_node"),
            "its services", running[node],
        )  # fmt: skip
    if node == "camera_player" and not TF_AVAILABLE:
        assert "/localizer/localization" in names("get_subscriber_names_and_types_by_node")


@pytest.mark.parametrize("node", ["localizer", "field_server"])
def test_diagnostics_of_the_running_nodes(robot, running, node):
    """Each key stands in the table; keys of a kind stand as `kind_*` and `kind/<cause>`."""
    heard = robot.hear(DiagnosticArray, "/diagnostics")
    counted = "published" if node == "localizer" else "lifted"
    values = robot.wait(
        lambda: (v := diagnostics(heard, node)) and int(v.get(counted, 0)) and v,
        f"a frame {counted}", running[node],
    )  # fmt: skip
    table = [(re.findall(r"`([^`]+)`", cells[0]), cells[1]) for cells in rows(node, "diagnostics")]
    known = {name for names, _ in table for name in names}
    causes = {n.split("/")[0]: text for names, text in table for n in names if "<cause>" in n}
    for key in set(values) - {"message"}:
        kind, _, cause = key.partition("/")
        if cause:
            assert cause in causes[kind], key
        else:
            stem = re.sub(r"_p\d+_ms$", "", key)
            assert key in known or f"{stem}_*" in known or f"{stem}_p50_ms" in known, key
    plain = {n for n in known if "*" not in n and "<" not in n and not n.startswith("_")}
    assert plain <= set(values), plain - set(values)
