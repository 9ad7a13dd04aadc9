"""Loading models for nodes."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from find_core.errors import FindError
from find_ros.pipeline import model_loader
from find_ros.pipeline.model_loader import (
    MODEL_FACTORIES,
    check_device,
    check_model_change,
    load_aside,
    load_model,
    register_model,
)

SCRIPT = """
import sys, threading
import rclpy
from find_ros.field_server import FieldServer
rclpy.init()
assert "torch" not in sys.modules
parameter = rclpy.parameter.Parameter
node = FieldServer(parameter_overrides=[
    parameter("lift_live", value=True), parameter("pose_source", value="topic"),
    parameter("model", value="tiny"),
])
assert sys.modules["torch"].Tensor  # whole before the first pose can arrive
node.close()
rclpy.shutdown()
"""


def test_the_field_server_never_shows_poses_a_half_imported_torch():
    """scipy asks `sys.modules["torch"].Tensor`, which is not there while another thread imports."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["os:system", "tests.find_ros.fakes:color_find", "shutil:rmtree"])
def test_a_name_of_a_function_imports_nothing(name, monkeypatch):
    """It is a checkpoint's name like any other, and there is no such checkpoint."""
    imported, import_module = [], importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda *n: (imported.append(n[0]), import_module(*n))[1]
    )
    with pytest.raises(FindError, match="no checkpoint"):
        load_model(name, "touch /tmp/owned")
    assert name.split(":")[0] not in imported


def test_a_running_node_takes_known_names_only(tmp_path):
    for name in ("tiny", "find-tabletop"):
        check_model_change(name)
    for name in ("os:system", str(tmp_path), "xueyanz/FIND:focalt", "../x.pt", ""):
        with pytest.raises(ValueError, match="at the start of the node only"):
            check_model_change(name)


def test_registered_models(monkeypatch):
    monkeypatch.setattr(model_loader, "MODEL_FACTORIES", dict(MODEL_FACTORIES))
    register_model("mine", lambda device: f"on {device}")
    assert load_model("mine", "cpu") == "on cpu"
    check_model_change("mine")
    for name in ("mine", "tiny", "os:system", "a/b", ""):
        with pytest.raises(ValueError, match=r"registered already|no name for a model"):
            register_model(name, str)


@pytest.mark.parametrize("device", ["id > /tmp/x", "cuda:", "cuda:1 ", "CPU", "", "cuda:0\n"])
def test_exception_of_a_device(device):
    check_device("cuda:0")
    check_device("auto")
    with pytest.raises(ValueError, match="is no device"):
        check_device(device)


def test_whatever_ends_the_loading_thread_is_told():
    """A library that calls sys.exit is not a shutdown of the node."""
    MODEL_FACTORIES["leaves"] = lambda device: sys.exit("enough")
    try:
        with pytest.raises(FindError, match="SystemExit: enough"):
            load_aside("leaves", "cpu", lambda: True)
    finally:
        del MODEL_FACTORIES["leaves"]
