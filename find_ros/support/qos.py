"""Quality of service in one place, and sentences for publishers that do not fit."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def image_input(reliability: str) -> QoSProfile:
    """One newest message. Best effort fits every publisher; reliable only a reliable one."""
    policy = (
        ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
    )
    return QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=policy)


# Reliable reaches best-effort and reliable subscribers alike (RViz asks for reliable).
OUTPUT = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
# Several prompts answer each frame of each camera at once.
ANSWERS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
INFO_INPUT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# Several prompts may be tried at once, and each asker waits for its own.
STATUS = QoSProfile(
    depth=16, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
COMMAND = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# References arrive one per name, shortly after another.
LATCHED_COMMAND = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def explain_silence(node: Node, topic: str, type_name: str, wants_reliable: bool) -> str:
    """Why nothing may be arriving on an absolute `topic`.

    Args:
        type_name: e.g. "sensor_msgs/msg/Image". wants_reliable: of our subscription.
    """
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f"no publisher on {topic}"
    fitting = [p for p in publishers if p.topic_type == type_name]
    if not fitting:
        return f"{topic} carries {publishers[0].topic_type}, but {type_name} is needed"
    names = ", ".join(sorted({f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in fitting}))
    reliable = [p for p in fitting if p.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT]
    if wants_reliable and not reliable:
        return (
            f"the publisher of {topic} ({names}) is best-effort and we are reliable: "
            "set image_reliability to best_effort"
        )
    if not wants_reliable and type_name.endswith("Image"):
        return (
            f"no message yet on {topic} although {names} publishes it: if its images are large, "
            "start it with our Fast DDS profile (README: large images)"
        )
    return f"no message yet on {topic} although {names} publishes it"
