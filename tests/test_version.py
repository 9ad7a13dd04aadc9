"""One version: find_core/__init__.py has it, setup.py reads it, two files repeat it."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import yaml

import find_core

ROOT = Path(__file__).parents[1]


def test_setup_reads_it():
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-1] == find_core.__version__


def test_ros_package_agrees():
    found = ET.parse(ROOT / "package.xml").getroot().findtext("version")
    assert found == find_core.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", found), "ROS takes three numbers only"


def test_citation_agrees():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == find_core.__version__
