"""The package as users install it: by colcon into a workspace, and by pip into an environment."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.find_ros.harness import PATIENCE_S, ROOT

NODES = {"localizer", "field_server", "camera_player", "page"}
COLCON = Path(sys.executable).with_name("colcon")
PARTS = ("setup.py", "setup.cfg", "pyproject.toml", "package.xml", "README.md", "resource",
         "launch", "config", "find_core", "find_field", "find_ros")  # fmt: skip
ENTRY_POINTS = {
    "console_scripts": {"find-core", "find-field"},
    "nerfstudio.method_configs": {"find-field", "find-field-lite"},
    "nerfstudio.dataparser_configs": {"posed-rgbd"},
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """This repository's packaged part; builds leave their traces in it."""
    path = tmp_path_factory.mktemp("src") / "find_ros"
    path.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(
                ROOT / part, path / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(ROOT / part, path)
    return path


def run(*command: object, **options) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def colcon(clone: Path, into: Path, *options: str) -> Path:
    """Build a workspace with the clone in it; the package's prefix."""
    into.mkdir(exist_ok=True)
    run(COLCON, "--log-base", into / "log", "build", "--base-paths", clone,
        "--build-base", into / "build", "--install-base", into / "install", *options, cwd=into)  # fmt: skip
    return into / "install" / "find_ros"


def site_of(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3*/site-packages"))


def assert_found_by_ros(prefix: Path, clone: Path) -> None:
    """What `ros2 pkg`, `ros2 run` and `ros2 launch` look for, once each and nothing missing."""
    assert (prefix / "share/ament_index/resource_index/packages/find_ros").is_file()
    for file in [clone / "package.xml", *clone.glob("launch/*.py"), *clone.glob("config/*")]:
        installed = prefix / "share/find_ros" / file.relative_to(clone)
        assert installed.read_bytes() == file.read_bytes(), file.name
    executables = [
        p for p in prefix.rglob("*") if p.name in NODES and p.is_file() and os.access(p, os.X_OK)
    ]
    assert sorted(executables) == [prefix / "lib/find_ros" / name for name in sorted(NODES)]
    launched = "".join(p.read_text() for p in clone.glob("launch/*.py"))
    names = set(re.findall(r'\bnode\(\s*"(\w+)"', launched))
    assert names and names <= NODES


def assert_whole(site: Path, clone: Path) -> None:
    """Code, weights, schemas and samples lie there; the entry points name modules that do."""
    for package in ("find_core", "find_field", "find_ros"):
        files = [p for p in (clone / package).rglob("*") if p.is_file() and p.suffix != ".pyc"]
        assert len(files) > 10
        missing = [p for p in files if not (site / p.relative_to(clone)).is_file()]
        assert [p.name for p in missing if p.name != "README.md"] == []
    entries = [
        e for d in importlib.metadata.distributions(path=[str(site)]) for e in d.entry_points
    ]
    for group, names in ENTRY_POINTS.items():
        assert {e.name for e in entries if e.group == group} == names
    for entry in entries:
        assert (site / entry.module.replace(".", "/")).with_suffix(".py").is_file(), entry


def test_pip(clone, tmp_path):
    pytest.importorskip("setuptools", reason="an environment without setuptools builds nothing")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
        "--ignore-installed", "--prefix", tmp_path, clone)  # fmt: skip
    assert_found_by_ros(tmp_path, clone)
    assert_whole(site_of(tmp_path), clone)
    assert {"find-core", "find-field"} <= {p.name for p in (tmp_path / "bin").iterdir()}


@pytest.mark.skipif(not COLCON.is_file(), reason="colcon is not installed (pip install .[dev])")
@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copied", "linked"])
def test_colcon(clone, tmp_path, options):
    prefix = colcon(clone, tmp_path / "ws", *options)
    assert_found_by_ros(prefix, clone)
    if options:
        return
    assert_whole(site_of(prefix), clone)
    # Not the Python that colcon runs on, which on a robot is the system's and has no torch.
    for name in ("find-core", "find-field"):
        first = (prefix / "lib/find_ros" / name).read_text().splitlines()[0]
        assert first == "#!/usr/bin/env python3"
    path = os.pathsep.join([str(site_of(prefix)), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": path
    }  # fmt: skip
    shown = run(prefix / "lib/find_ros/camera_player", "--help", env=environment, cwd=tmp_path)
    assert "ros2 run find_ros camera_player" in shown


@pytest.mark.parametrize("node", sorted(NODES))
def test_a_python_without_the_dependencies_is_told_apart(node, tmp_path):
    """The commonest mistake after colcon: the environment is not active. A sentence, no traceback."""
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    done = subprocess.run(
        [ROOT / "resource/lib" / node], env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 2 and "activate the environment" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
