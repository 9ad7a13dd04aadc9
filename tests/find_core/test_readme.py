"""The README's links, folders and names exist; its code is run by tests/docs."""

from __future__ import annotations

import re
from pathlib import Path

import find_core as fc

PACKAGE = Path(fc.__file__).parent
README = (PACKAGE / "README.md").read_text(encoding="utf-8")


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
