"""What the package ships for ROS: launch files, parameter files, executables, profile."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from sensor_msgs.msg import Image
from std_msgs.msg import String

from find_core.drawing.overlay import write_image
from find_ros.field_parameters import TABLE as FIELD_TABLE
from find_ros.localizer_parameters import TABLE as LOCALIZER_TABLE
from find_ros.support.resources import share_file
from tests.find_ros.harness import BEST_EFFORT, PATIENCE_S, ROOT, Process, answers, scene

TABLES = {"localizer": LOCALIZER_TABLE, "field_server": FIELD_TABLE}
LAUNCHED = {"localize": "localizer", "field": "field_server"}
# The ROS packages themselves, not this repository's folder `launch`.
HAS_LAUNCH = importlib.util.find_spec("launch_ros") is not None
HAS_ROS2 = importlib.util.find_spec("ros2launch") is not None
needs_launch = pytest.mark.skipif(
    not HAS_LAUNCH, reason="launch_ros comes with a ROS installation, there is no wheel of it"
)


@pytest.mark.parametrize("node", sorted(TABLES))
def test_parameter_files_name_real_parameters_and_their_defaults(node):
    shipped = yaml.safe_load((ROOT / f"config/{node}.yaml").read_text())["/**"]["ros__parameters"]
    declared = {param.name: param.default for param in TABLES[node]}
    assert shipped and all(declared[name] == value for name, value in shipped.items())
    assert all(isinstance(value, type(declared[name])) for name, value in shipped.items())


@pytest.mark.parametrize("name", sorted(LAUNCHED))
def test_launch_arguments_are_real_parameters(name):
    """Read without importing launch, so that it is held where there is no ROS too."""
    tree = ast.parse((ROOT / f"launch/{name}.launch.py").read_text())
    assigned = {n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign)}
    keys = {ast.literal_eval(key) for key in assigned["PARAMETERS"].keys}
    declared = {param.name for param in TABLES[LAUNCHED[name]]}
    assert keys - {"use_sim_time"} <= declared
    arguments = {
        ast.literal_eval(a.elts[0]): ast.literal_eval(a.elts[3]) for a in assigned["ARGUMENTS"].elts
    }
    assert keys <= set(arguments) and all(len(text) > 10 for text in arguments.values())


def test_every_parameter_is_described():
    for table in TABLES.values():
        for param in table:
            described = param.descriptor()
            assert described.description.strip(".") and described.name == param.name
            if isinstance(param.default, int | float) and not isinstance(param.default, bool):
                assert described.integer_range or described.floating_point_range, param.name
            assert not param.problem(param.default)


def test_executables_of_ros2_run():
    """What lies in lib/find_ros starts the node, and explains itself."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = {}
    for name in ("localizer", "field_server", "camera_player"):
        path = ROOT / "resource" / "lib" / name
        assert os.access(path, os.X_OK)
        started[name] = subprocess.Popen(
            [str(path), "--help"], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
    for name, process in started.items():
        text = process.communicate(timeout=PATIENCE_S)[0]
        assert process.returncode == 0 and f"ros2 run find_ros {name}" in text, text
        assert "(default " in text


def test_the_fastdds_profile_is_what_platform_needs():
    root = ET.parse(share_file("config/fastdds.xml")).getroot()
    text = {e.tag.split("}")[-1]: e.text for e in root.iter()}
    assert int(text["segment_size"]) >= 4 * 2**20 and text["useBuiltinTransports"] == "false"
    kinds = [e.text for e in root.iter() if e.tag.endswith("}type")]
    assert kinds == ["SHM", "UDPv4"]


def test_large_best_effort_images_arrive(robot, tmp_path):
    """1280x720 through the profile our publishers use; without it nearly all are lost."""
    for n in range(3):
        noise = np.random.default_rng(n).integers(0, 256, (720, 1280, 3), np.uint8)
        write_image(tmp_path / f"{n}.png", noise)
    images = robot.hear(Image, "/large/image", BEST_EFFORT)
    parameters = {"source": str(tmp_path), "loop": True, "rate_hz": 10.0}
    with Process("camera_player", parameters, {"image": "/large/image"}) as process:
        robot.wait(lambda: len(images) >= 5, "large images", process)
    assert images[-1].width == 1280 and len(images[-1].data) == 1280 * 720 * 3


@needs_launch
@pytest.mark.parametrize("name", sorted(LAUNCHED))
def test_launch_description(name):
    from launch import LaunchContext

    path = ROOT / f"launch/{name}.launch.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.generate_launch_description().entities
    context = LaunchContext()
    for argument, default, *_ in module.ARGUMENTS:
        context.launch_configurations[argument] = default
    assert len(module.nodes(context)) == 1
    if name == "localize":
        context.launch_configurations["source"] = "video.mp4"
        assert len(module.nodes(context)) == 2


@pytest.mark.skipif(not HAS_ROS2, reason="ros2launch comes with a ROS installation, not as a wheel")
def test_real_ros2_launch(robot, tmp_path):
    """The shipped launch file, by `ros2 launch`, from an environment with the package installed."""
    for n in range(3):
        write_image(tmp_path / f"{n}.png", scene(n))
    program = "import sys; sys.argv[0] = 'ros2'; from ros2cli.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "launch", "find_ros", "localize.launch.py"]
    shown = subprocess.run(
        [*command, "--show-args"], capture_output=True, text=True, timeout=PATIENCE_S
    )
    if "not found" in shown.stderr:
        pytest.skip("find_ros is not installed in this ROS environment (pip install . or colcon)")
    assert "What to look for" in shown.stdout, shown.stderr
    command += [
        f"source:={tmp_path}",
        "prompt:=the <red>",
        "model:=tests.find_ros.fakes:color_find",
    ]
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{ROOT}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as launched:
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "an answer")
        assert answers(heard)[-1]["entities"][0]["found"]
        launched.send_signal(signal.SIGINT)
        output = launched.communicate(timeout=PATIENCE_S)[0]
    assert output.count("process has finished cleanly") == 2, output


def test_viewer_layouts_show_topics_that_exist():
    layout = json.loads((ROOT / "config/foxglove.json").read_text())
    rviz = yaml.safe_load((ROOT / "config/localizer.rviz").read_text())
    topics = [
        d["Topic"]["Value"] for d in rviz["Visualization Manager"]["Displays"] if "Topic" in d
    ]
    topics += layout["configById"]["3D!world"]["topics"]
    code = "".join(p.read_text() for p in (ROOT / "find_ros").rglob("*.py"))
    for topic in topics:
        node, name = topic.strip("/").split("/")
        assert node in TABLES and (f'"{name}"' in code or f'"~/{name}"' in code), topic
