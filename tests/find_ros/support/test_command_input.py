"""Commands of either durability over DDS, in one process: each once, and no warning at a plain one."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

import rclpy
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

from find_ros.support.command_input import LOOK_S, OPEN_S, CommandInput
from find_ros.support.last_net import GuardedNode
from tests.find_ros.harness import LATCHED, PATIENCE_S


@pytest.fixture
def graph(_ros):
    """(the node, another one, spin until a condition holds)."""
    node, other = GuardedNode("commanded"), rclpy.create_node("commander")
    executor = SingleThreadedExecutor()
    for each in (node, other):
        executor.add_node(each)

    def spin(condition=lambda: False, at_most_s=PATIENCE_S):
        end_s = time.monotonic() + at_most_s
        while not condition() and time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.02)
        return condition()

    yield node, other, spin
    for each in (node, other):
        executor.remove_node(each)
        each.destroy_node()


def publisher(node, profile, events=None):
    return node.create_publisher(String, "/command", profile, event_callbacks=events)


def test_what_a_latched_publisher_said_before_arrives_once_and_in_order(graph):
    node, other, spin = graph
    latched, heard = publisher(other, LATCHED), []
    for text in ("one", "two"):
        latched.publish(String(data=text))
    command = CommandInput(node, String, "/command", lambda msg: heard.append(msg.data))
    assert spin(lambda: len(heard) == 2) and heard == ["one", "two"]
    for text in ("three", "three"):  # twice the same is two commands
        latched.publish(String(data=text))
    assert spin(lambda: len(heard) == 4)
    spin(at_most_s=OPEN_S + 3 * LOOK_S)
    assert heard == ["one", "two", "three", "three"]
    latched.publish(String(data="four"))
    assert spin(lambda: heard[-1] == "four"), "the plain subscription serves on"
    command.destroy()
    assert not list(node.subscriptions)


def test_a_latched_publisher_that_comes_and_speaks_at_once_is_heard(graph):
    """Before the plain subscription is matched to it, for instance by `ros2 topic pub --once`."""
    node, other, spin = graph
    heard = []
    CommandInput(node, String, "/command", lambda msg: heard.append(msg.data))
    spin(at_most_s=3 * LOOK_S)
    publisher(other, LATCHED).publish(String(data="now"))
    assert spin(lambda: heard)
    spin(at_most_s=4 * LOOK_S)
    assert heard == ["now"]


def test_a_plain_publisher_is_not_told_that_nothing_will_be_sent(graph):
    node, other, spin = graph
    told, heard = [], []
    events = PublisherEventCallbacks(incompatible_qos=told.append)
    plain = publisher(other, 10, events)
    CommandInput(node, String, "/command", lambda msg: heard.append(msg.data))
    assert spin(plain.get_subscription_count)
    plain.publish(String(data="go"))
    assert spin(lambda: heard)
    spin(at_most_s=OPEN_S)
    assert not told and plain.get_subscription_count() == 1
