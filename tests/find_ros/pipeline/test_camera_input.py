"""Several cameras, compressed pictures, simulated time."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from collections import Counter

from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from find_ros.messages.images import ns_to_stamp, rgb_to_compressed, stamp_to_ns
from tests.find_ros.harness import BEST_EFFORT, Process, answers, diagnostics, scene


def test_cameras_are_served_in_turn(robot):
    """Three at full rate into a model that is far slower: each gets its share."""
    names = ["front", "left", "arm/wrist"]
    find = "slow"
    with Process("localizer", {"model": find, "prompt": "<red>", "cameras": names}) as process:
        heard = {n: robot.hear(String, f"/localizer/{n}/localization") for n in names}

        def show():
            for name in names:
                robot.show(topic=f"/{name}/image", frame=name)

        robot.wait(lambda: all(heard.values()), "each camera", process, show)
        for messages in heard.values():
            del messages[:]
        robot.wait(lambda: sum(map(len, heard.values())) >= 12, "twelve answers", process, show)
        shares = Counter({name: len(messages) for name, messages in heard.items()})
        assert min(shares.values()) >= max(shares.values()) - 2, shares
        assert {a["frame_id"] for n in names for a in answers(heard[n])} == set(names)


def test_compressed_pictures(robot):
    parameters = {"model": "color", "prompt": "<red>", "compressed": True}
    with Process("localizer", parameters) as process:
        heard = robot.hear(String, "/localizer/localization")
        status = robot.hear(DiagnosticArray, "/diagnostics")
        shown = set()

        def show():
            msg = rgb_to_compressed(scene(), robot.header(), 95)
            robot.publish("/image/compressed", msg, BEST_EFFORT)
            shown.add(stamp_to_ns(msg.header.stamp))

        robot.wait(
            lambda: [a for a in answers(heard) if a["stamp_ns"] in shown], "one", process, show
        )
        assert answers(heard)[-1]["entities"][0]["found"]

        def show_broken():
            msg = rgb_to_compressed(scene(), robot.header())
            msg.data = bytes(msg.data)[:50]
            robot.publish("/image/compressed", msg, BEST_EFFORT)

        robot.wait(
            lambda: int(diagnostics(status).get("dropped/malformed", 0)) > 0,
            "count",
            process,
            show_broken,
        )


def test_simulated_time_rules(robot):
    """A stamp is old or new by /clock, whatever the wall says; and time may begin anew."""
    parameters = {
        "model": "color",
        "prompt": "<red>",
        "use_sim_time": True,
    }
    with Process("localizer", parameters) as process:
        heard = robot.hear(String, "/localizer/localization")
        status = robot.hear(DiagnosticArray, "/diagnostics")

        def show(clock_s, stamp_s):
            robot.publish("/clock", Clock(clock=ns_to_stamp(int(clock_s * 1e9))))
            robot.executor.spin_once(timeout_sec=0.05)
            robot.show(stamp_ns=int(stamp_s * 1e9))

        for now_s in (100.0, 50.0):  # the bag loops
            robot.wait(
                lambda t=now_s: [
                    a for a in answers(heard) if a["stamp_ns"] == int((t - 0.1) * 1e9)
                ],
                "an answer by simulated time",
                process,
                lambda t=now_s: show(t, t - 0.1),
            )
        robot.wait(
            lambda: int(diagnostics(status).get("dropped/stale", 0)) > 0,
            "a stale frame",
            process,
            lambda: show(60.0, 50.0),
        )
        robot.wait(
            lambda: "the image has no stamp" in process.log,
            "a word about the stamp",
            process,
            lambda: show(60.0, 0.0),
        )
