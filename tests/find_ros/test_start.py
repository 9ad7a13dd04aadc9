"""Starting a node by its name: Ctrl-C before it runs, a wrong name."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SLOW = """
import sys, time
from find_ros import start
def slow(name):
    print("importing", name, flush=True)
    time.sleep(60)
start.import_module = slow
sys.argv = ["start", "localizer", "--ros-args"]
start.main()
"""


def test_ctrl_c_while_a_node_is_imported() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "importing find_ros.localizer\n"
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT and complaint == ""


def test_a_wrong_name_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "find_ros.start", "locator"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "find_ros: no node 'locator': choose one of localizer, camera_player, field_server, page.\n"
    )


def test_every_installed_script_is_a_node() -> None:
    from find_ros.start import NODES

    assert sorted(p.name for p in (ROOT / "resource/lib").iterdir()) == sorted(NODES)
