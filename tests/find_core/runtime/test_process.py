"""What entry points set before torch: seen in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

KEPT = """
from find_core.runtime import process
process.prepare()
import numpy as np
def resident_bytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
big = np.ones(4_000_000)
before = resident_bytes()
del big
print(before - resident_bytes())
"""


def run(code: str, **environment: str) -> str:
    known = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "FIND_MALLOC")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=known | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc only")
def test_freed_memory_is_kept():
    block_bytes = 4_000_000 * 8
    assert int(run(KEPT)) < block_bytes / 10
    assert int(run(KEPT, FIND_MALLOC="0")) > block_bytes / 2


POLICY = """
import os, sys
{before}
from find_core.runtime import process
process.prepare()
assert "torch" not in sys.modules or {loaded}
print(os.environ.get("OMP_WAIT_POLICY"))
"""


def test_waiting_threads_sleep():
    assert run(POLICY.format(before="", loaded=False)) == "PASSIVE"


def test_the_users_own_policy_stays():
    assert run(POLICY.format(before="", loaded=False), OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_too_late_is_not_pretended():
    assert run(POLICY.format(before="import torch", loaded=True)) == "None"


def test_the_command_line_does_so():
    code = """
import os
from find_core.cli.main import main
assert main(["info", "--model", "no-such-model"]) == 2
print(os.environ.get("OMP_WAIT_POLICY"))
"""
    assert run(code) == "PASSIVE"


def test_fields_command_line_does_so():
    code = """
import os
from find_field.cli import main
assert main(["info", "no-such.field"]) == 2
print(os.environ.get("OMP_WAIT_POLICY"))
"""
    assert run(code) == "PASSIVE"


def test_nodes_do_so():
    code = """
import os, sys, types
says = lambda: print(os.environ.get("OMP_WAIT_POLICY")) or 0
sys.modules["find_ros.localizer"] = types.SimpleNamespace(main=says)
sys.argv = ["start", "localizer"]
from find_ros.start import main
main()
"""
    assert run(code) == "PASSIVE"
