"""Dotted names of before the packages were divided still work, for one release."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

import find_core.support.moved
import find_field.moved
import training

NERFSTUDIO = find_spec("nerfstudio") is not None
OLD = find_core.support.moved.OLD_NAMES | find_field.moved.OLD_NAMES | training.OLD_NAMES


@pytest.mark.parametrize("old", sorted(OLD))
def test_old_module_is_the_new_one(old):
    if OLD[old].startswith("find_field.nerf") and not NERFSTUDIO:
        assert find_spec(OLD[old]) is not None, "the new module is there"
        pytest.skip("nerfstudio is not installed")
    new = importlib.import_module(OLD[old])
    assert importlib.import_module(old) is new
    assert new.__name__ == new.__spec__.name == OLD[old]


@pytest.mark.parametrize(
    "line",
    [
        "from find_core.prompts import Prompt, Reference, region_from_json",
        "from find_core.video import StreamConfig, StreamLocalizer, VideoFrame",
        "from find_core.video_offline import localize_video",
        "from find_core.video_sources import SourceError, open_source",
        "from find_core.checkpoint import load_find, read, save",
        "from find_core.drawing import contact_sheet, draw_localization, timeline_png",
        "from find_core.cli import main",
        "from find_field.feature_field import FeatureField",
        "from find_field.query import QueryConfig",
        "from find_field.frames import PosedFrame, transform",
        "from find_field.testing import sample_world",
        "from training.video_suite import metrics",
    ],
)
def test_old_imports(line):
    exec(line, {})


@pytest.mark.parametrize(
    "module",
    [
        "find_core.encoders.precompute",
        "find_core.cli",
        "find_field.evaluate",
        "training.video_suite.real_clips",
    ],
)
def test_old_commands(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )
    assert "usage" in done.stdout
