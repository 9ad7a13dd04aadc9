"""The Dockerfile, parsed and linted. No image is built: that takes a base image from a network."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
dockerfile_parse = pytest.importorskip(
    "dockerfile_parse", reason="dockerfile-parse is not installed (pip install .[dev])"
)


@pytest.fixture(scope="module")
def steps() -> list[dict]:
    text = (ROOT / "Dockerfile").read_text()
    parser = dockerfile_parse.DockerfileParser(fileobj=None, path=str(ROOT), cache_content=True)
    assert parser.content == text
    return parser.structure


def values(steps: list[dict], instruction: str) -> list[str]:
    return [s["value"] for s in steps if s["instruction"] == instruction]


def copied(steps: list[dict]) -> list[str]:
    """Sources of every COPY, as written."""
    lines = [[w for w in v.split() if not w.startswith("--")] for v in values(steps, "COPY")]
    return [source for words in lines for source in words[:-1]]


def test_lint():
    """hadolint, as its wheel carries it, with warnings counted as errors."""
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed (pip install .[dev])")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "info", str(ROOT / "Dockerfile")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_base_is_the_ros_that_the_page_names(steps):
    assert values(steps, "FROM") == ["ros:jazzy-ros-base"]
    sourced = [v for v in values(steps, "RUN") if "setup.bash" in v]
    assert sourced and all("/opt/ros/jazzy/setup.bash" in v for v in sourced)


def test_runs_without_root_rights(steps):
    users = values(steps, "USER")
    assert users and int(users[-1]) > 0
    assert any(f"useradd --create-home --uid {users[-1]} " in v for v in values(steps, "RUN"))
    order = [s["instruction"] for s in steps]
    assert order.index("USER") < order.index("ENTRYPOINT")


def test_sources_exist_and_reach_the_builder(steps):
    """Every COPY source is in the repository, and .dockerignore lets it through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    for source in copied(steps):
        assert (ROOT / source).exists(), source
        ignored = False
        for rule in rules:
            pattern = rule.lstrip("!").removeprefix("**/")
            if fnmatch.fnmatch(source, pattern) or source.startswith(pattern + "/"):
                ignored = not rule.startswith("!")
        assert not ignored, f".dockerignore hides {source}"


def test_nothing_that_setup_reads_is_left_out(steps):
    """Whatever setup.py installs from the clone is copied."""
    sources = set(copied(steps))
    text = (ROOT / "setup.py").read_text()
    folders = {g.split("/")[0] for g in re.findall(r'glob\("([^"]+)"\)', text)}
    packages = {p for p in ("find_core", "find_field", "find_ros") if f'"{p}*"' in text}
    assert len(packages) == 3
    assert folders | packages | {"setup.py", "setup.cfg", "package.xml", "README.md"} <= sources


def test_extras_exist(steps):
    asked = re.findall(r"find_ros\[([^\]]+)\]", " ".join(values(steps, "RUN")))
    known = re.findall(r'^        "(\w+)": ', (ROOT / "setup.py").read_text(), re.M)
    assert asked and set(asked[0].split(",")) <= set(known)


def test_entrypoint_and_command(steps):
    assert json.loads(values(steps, "CMD")[0])[:3] == ["ros2", "launch", "find_ros"]
    assert (ROOT / "launch" / json.loads(values(steps, "CMD")[0])[3]).is_file()
    script = ROOT / "tools" / "docker_entrypoint.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o111 and script.read_text().rstrip().endswith('exec "$@"')
    installed = next(v for v in values(steps, "COPY") if "docker_entrypoint.sh" in v).split()[-1]
    assert json.loads(values(steps, "ENTRYPOINT")[0]) == [Path(installed).name]


def test_profile_is_where_the_package_puts_it(steps):
    paths = re.findall(r"_PROFILES_FILE=(\S+)", " ".join(values(steps, "ENV")))
    assert len(paths) == 2 and len(set(paths)) == 1
    assert paths[0].startswith("/ws/install/find_ros/share/find_ros/config/")
    assert (ROOT / "config" / Path(paths[0]).name).is_file()
