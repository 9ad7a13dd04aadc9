"""The README's lines of Python run as they stand, and its links and folders exist."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import find_core as fc
from find_core.images import read_image

PACKAGE = Path(fc.__file__).parent
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
SAMPLES = PACKAGE / "share" / "samples" / "tabletop" / "rgb"


def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("qdrant_client")
    monkeypatch.chdir(tmp_path)
    pictures = sorted(SAMPLES.glob("*.jpg"))
    (tmp_path / "photos").mkdir()
    for picture in pictures[:2]:
        shutil.copy(picture, tmp_path / "photos")
    names = {"image": read_image(pictures[0]), "photo": read_image(pictures[-1])}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert [e.label for e in names["result"].entities] == ["white mug", "this"]
    assert names["frame"].time_s > 0 and (tmp_path / "out" / "timeline.json").is_file()


def test_links_and_folders_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    places = re.findall(r"`([a-z_]+/|[a-z_]+\.py)`", README.split("## Where things are")[1])
    assert len(targets) >= 4 and len(places) >= 12
    for target in targets:
        assert (PACKAGE / target).exists(), target
    for place in places:
        found = (PACKAGE / place).exists() or list(PACKAGE.glob(f"*/{place}"))
        assert found, place


def test_every_public_name_is_there():
    for name in fc.__all__:
        assert getattr(fc, name) is not None
    assert issubclass(fc.SourceError, fc.FindError)
