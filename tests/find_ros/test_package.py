"""What the package ships for ROS: launch files, parameter files, executables, profile."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from sensor_msgs.msg import Image
from std_msgs.msg import String

from find_core.drawing import write_image
from find_ros.field_parameters import TABLE as FIELD_TABLE
from find_ros.localizer_parameters import TABLE as LOCALIZER_TABLE
from find_ros.support.resources import OLD_PROFILE_VARIABLE, PROFILE_VARIABLE, share_file
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


@dataclass
class FakeNode:
    """Of launch_ros, as far as our files go; what it was given is what is looked at."""

    executable: str
    parameters: list
    remappings: list
    name: str = ""
    namespace: str = ""
    package: str = ""
    output: str = ""
    arguments: list | None = None


@pytest.fixture
def load(monkeypatch):
    """Loads a launch file. Where there is no ROS, `launch` is played by the few names it uses."""

    def play(module: str, **names) -> None:
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**names))

    if not HAS_LAUNCH:
        recorded = {n: functools.partial(SimpleNamespace, kind=n) for n in
                    ("DeclareLaunchArgument", "OpaqueFunction", "SetEnvironmentVariable")}  # fmt: skip
        declare, variable = recorded["DeclareLaunchArgument"], recorded["SetEnvironmentVariable"]
        recorded["DeclareLaunchArgument"] = lambda name, **rest: declare(name=name, **rest)
        recorded["SetEnvironmentVariable"] = lambda name, value: variable(name=name, value=value)
        read = lambda name: SimpleNamespace(perform=lambda texts: texts[name])  # noqa: E731
        play("launch", LaunchDescription=lambda actions: SimpleNamespace(entities=actions))
        play("launch.actions", **recorded)
        play("launch.substitutions", LaunchConfiguration=read)
        play("launch_ros")
        play("launch_ros.actions", Node=FakeNode)

    def load(name: str):
        path = ROOT / f"launch/{name}.launch.py"
        spec = importlib.util.spec_from_file_location(f"{name}_launch", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("name", sorted(LAUNCHED))
def test_launch_arguments_are_real_parameters(load, name):
    """Of the types declared, and without defaults of their own: those stand in the table alone."""
    declared = {param.name: param for param in TABLES[LAUNCHED[name]]}
    for argument in load(name).ARGUMENTS:
        assert len(argument.meaning) > 8
        if argument.parameter is None or argument.name == "use_sim_time":
            continue
        param = declared[argument.name]
        assert argument.parameter is type(param.default) and argument.default == ""
        assert argument.choices in (param.choices, ("true", "false"))
        assert type(argument.value_of({bool: "on", str: "x"}.get(argument.parameter, "2"))) is (
            argument.parameter
        )


def launched(load, name: str, **given: str) -> list[FakeNode]:
    module = load(name)
    return module.nodes({a.name: a.default for a in module.ARGUMENTS} | given)


@pytest.mark.skipif(HAS_LAUNCH, reason="the real launch keeps its nodes' arguments to itself")
def test_what_is_launched(load):
    """What was not given is left to the params_file and the node; what was given is typed."""
    [bare] = launched(load, "localize")
    assert bare.parameters[1] == {} and bare.remappings == [] and bare.name == "localizer"
    assert Path(bare.parameters[0]) == ROOT / "config/localizer.yaml"
    given = {"prompt": "the <mug>", "input_px": "320", "threshold": "0", "use_depth": "true"}
    given |= {"cameras": "front, wrist", "image": "/cam/rgb", "source": "a.mp4", "loop": "false"}
    node, player = launched(load, "localize", **given)
    assert node.parameters[1] == {
        "prompt": "the <mug>", "input_px": 320, "threshold": 0.0, "use_depth": True,
        "cameras": ["front", "wrist"],
    }  # fmt: skip
    assert player.parameters[0]["source"] == "a.mp4" and player.parameters[0]["loop"] is False
    wanted = {"image": "/cam/rgb", "image/compressed": "/cam/rgb/compressed"}
    assert dict(node.remappings) == dict(player.remappings) == wanted
    _, page = launched(load, "localize", page="true", image="/cam/rgb", compressed="true")
    assert page.executable == "page" and dict(page.remappings) == wanted
    own = page.arguments[: page.arguments.index("--ros-args")]
    assert own[:2] == ["--localizer", "localizer"] and own[-1] == "--compressed"
    assert own[own.index("--host") + 1] == "127.0.0.1"
    [server] = launched(load, "field", field="room.field", voxel_size_m="0.02")
    assert server.parameters[1] == {"field": "room.field", "voxel_size_m": 0.02}


@pytest.mark.skipif(HAS_LAUNCH, reason="the real launch wraps what is declared")
@pytest.mark.parametrize("name", sorted(LAUNCHED))
def test_launch_declares_its_arguments_and_the_profile(load, monkeypatch, name):
    for variable in (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    for distribution, count in (("rolling", 1), ("humble", 2), ("galactic", 2)):
        monkeypatch.setenv("ROS_DISTRO", distribution)
        module = load(name)
        actions = module.generate_launch_description().entities
        kinds = Counter(action.kind for action in actions)
        assert kinds["DeclareLaunchArgument"] == len(module.ARGUMENTS)
        assert kinds["SetEnvironmentVariable"] == count and kinds["OpaqueFunction"] == 1
    for action in actions:
        if action.kind == "DeclareLaunchArgument" and action.choices:
            assert action.default_value in action.choices, action.name
        if action.kind == "SetEnvironmentVariable":
            assert Path(action.value).is_file()


def test_launch_files_need_no_more_than_ros2_has(tmp_path):
    """Read by a Python that has neither torch nor numpy, nor find_ros on its path."""
    bare = "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
    for name in LAUNCHED:
        code = bare + f"import runpy; runpy.run_path({str(ROOT / f'launch/{name}.launch.py')!r})"
        code += "; assert not {'numpy', 'torch', 'rclpy'} & set(sys.modules)"
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


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
    names = ["localizer", "field_server", "camera_player"]
    names += ["page"] if importlib.util.find_spec("nicegui") else []
    for name in names:
        path = ROOT / "resource" / "lib" / name
        assert os.access(path, os.X_OK)
        started[name] = subprocess.Popen(
            [str(path), "--help"], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
    for name, process in started.items():
        text = process.communicate(timeout=PATIENCE_S)[0]
        assert process.returncode == 0 and f"ros2 run find_ros {name}" in text, text
        assert "(default" in text


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
def test_launch_description(load, name):
    from launch import LaunchContext

    module = load(name)
    assert module.generate_launch_description().entities
    context = LaunchContext()
    for argument in module.ARGUMENTS:
        context.launch_configurations[argument.name] = argument.default
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
        "model:=tiny",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launched:
        heard = robot.hear(String, "/localizer/localization")
        robot.wait(lambda: heard, "an answer")
        assert len(answers(heard)[-1]["entities"]) == 1
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
