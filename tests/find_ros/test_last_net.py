"""Whatever a callback or a thread raises: it is counted, told, and the node goes on, or ends."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

import rclpy
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from find_core.images import write_image
from find_ros.camera_player import CameraPlayer
from find_ros.field_server import FieldServer
from find_ros.localizer import Localizer
from find_ros.pipeline import model_loader
from tests.find_ros.fakes import color_find
from tests.find_ros.harness import scene

EVERYTHING = {
    Localizer: {
        "model": "color", "prompt": "<red>", "autostart": False, "use_depth": True,
        "target_frame": "world", "pose_source": "topic", "cameras": ["front", "wrist"],
    },
    FieldServer: {"model": "color", "lift_live": True, "pose_source": "topic"},
    CameraPlayer: {"loop": True, "lockstep_topic": "/answers"},
}  # fmt: skip


class Bomb(Exception):
    pass


def explode(*args, **options):
    raise Bomb("boom")


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Makes a node on a context of its own: a node that ends takes its context with it."""
    monkeypatch.setitem(model_loader.MODEL_FACTORIES, "color", color_find)
    context = rclpy.context.Context()
    # Nodes of these names must not be taken for those of other tests.
    own_domain = 1 + (int(os.environ["ROS_DOMAIN_ID"]) + 49) % 100
    rclpy.init(args=[], context=context, domain_id=own_domain)
    nodes = []

    def start(kind):
        parameters = dict(EVERYTHING[kind])
        if kind is CameraPlayer:
            write_image(tmp_path / "0.png", scene())
            parameters["source"] = str(tmp_path)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = kind(context=context, parameter_overrides=overrides)
        nodes.append(node)
        if kind is Localizer:
            node.trigger_configure()
            node.trigger_activate()
            assert node._state == "active"
        return node

    yield start
    for node in nodes:
        node.close()
        node.destroy_node()
    context.try_shutdown()


def until(condition, what: str) -> None:
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.01)


@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.__name__)
def test_each_callback_may_raise(start, kind):
    """Those of topics, timers and services; of our own, of helpers and of rclpy."""
    node = start(kind)
    entities = [*node.subscriptions, *node.timers, *node.services]
    ours = [e for e in entities if hasattr(e.callback, "__wrapped__")]
    # rclpy makes these past the node's own methods, and guards the transitions itself.
    names = {e.srv_name.rsplit("/", 1)[-1] for e in entities if e not in ours}
    assert names <= {"change_state", "get_state", "get_available_states",
                     "get_available_transitions", "get_transition_graph", "get_type_description"}  # fmt: skip
    assert len(ours) >= {Localizer: 19, FieldServer: 16, CameraPlayer: 8}[kind]
    logged = []
    node.throttled_log._log = logged.append
    for entity in ours:
        entity.callback.__wrapped__ = explode
        arguments = [object()] * (2 if entity in node.services else entity not in node.timers)
        entity.callback(*arguments)
    counts = node.net.values()
    assert sum(counts.values()) == len(ours) and all(k.startswith("exceptions/") for k in counts)
    assert len(logged) == len(counts) and all("Bomb: boom" in sentence for sentence in logged)
    assert node.context.ok() and node.exit_status == 0


def test_a_service_that_raises_says_so(start):
    node = start(FieldServer)
    save = next(s for s in node.services if s.srv_name.endswith("/save"))
    save.callback.__wrapped__ = explode
    answer = save.callback(Trigger.Request(), Trigger.Response(success=True))
    assert not answer.success and answer.message == "boom"


THREADS = {
    "inference": (Localizer, "find_ros.pipeline.frame_buffer.FrameStore.take"),
    "prompt compiler": (Localizer, "find_ros.pipeline.reference_store.ReferenceStore.all"),
    "player": (CameraPlayer, "find_ros.camera_player.CameraPlayer._play_once"),
}


@pytest.mark.parametrize("name", THREADS)
def test_a_thread_that_cannot_go_on_ends_the_node(start, monkeypatch, name):
    kind, function = THREADS[name]
    node = start(kind)
    monkeypatch.setattr(function, explode)
    if name == "prompt compiler":
        node.prompts.submit("the <blue>")
    if name == "player":
        node._on_start()
    until(lambda: not node.context.ok(), f"{name}: the end")
    assert node.exit_status == 1


def test_the_threads_above_are_all(start):
    """Besides the field's, which goes on whatever happens, and those that have done their work."""
    before = set(threading.enumerate())
    for kind in EVERYTHING:
        node = start(kind)
        if kind is CameraPlayer:
            node._on_start()
    names = {t.name for t in set(threading.enumerate()) - before if t.is_alive()}
    assert names - {"model loader"} == {*THREADS, "field"}


def test_the_fields_thread_goes_on(start, monkeypatch):
    node = start(FieldServer)
    until(lambda: node.live is not None, "the field")
    monkeypatch.setattr(node, "_answer_one", explode)
    for _ in range(3):
        node._queries.put("<red>")
    until(lambda: node.net.values().get("exceptions/field") == 3, "three exceptions counted")
    monkeypatch.undo()
    node._queries.put("<red>")
    until(lambda: node._answered == 1, "an answer")


def test_a_field_that_cannot_be_loaded_is_told(start, monkeypatch):
    """Whatever its file makes the loader raise."""
    monkeypatch.setattr("find_ros.field_server.LiveField", explode)
    node = start(FieldServer)
    until(lambda: node._trouble, "the trouble")
    assert node._status()[1] == "No field: Bomb: boom"


def test_diagnostics_tell_that_they_failed(start, monkeypatch):
    node = start(FieldServer)
    sent = []
    monkeypatch.setattr(node._diagnostics._publisher, "publish", sent.append, raising=False)
    monkeypatch.setattr(node._diagnostics, "_status", explode)
    node._diagnostics._tick()
    assert sent[0].status[0].message == "boom"
    assert sent[0].status[0].values[0].key == "exceptions/diagnostics"


def test_text_from_outside_reaches_diagnostics_printable(start):
    node = start(Localizer)
    until(lambda: node.prompts.active is not None, "the prompt")
    sent = []
    node._diagnostics._publisher = type("Spy", (), {"publish": staticmethod(sent.append)})
    node.prompts.error = "/\ud800\n" + "x" * 5_000_000
    node._diagnostics._tick()
    [value] = [v.value for v in sent[0].status[0].values if v.key == "prompt_error"]
    assert value.startswith("/\\ud800\\nxx") and len(value) == 200


def test_frames_of_a_node_with_everything_are_answered(start):
    """The net does not stand in the way."""
    from std_msgs.msg import Header

    from find_ros.messages.images import array_to_image, ns_to_stamp

    node = start(Localizer)
    until(lambda: node.prompts.active is not None, "the prompt")
    header = Header(stamp=ns_to_stamp(node._now_ns()), frame_id="camera")
    node.pipelines["front"].camera._on_image(array_to_image(np.array(scene()), "rgb8", header))
    until(lambda: node.store.counters["front"].published == 1, "an answer")
