"""Every code block of the pages runs as it stands, or says why it is not run."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import find_core as fc
import find_field as ff
from find_core.images import read_image
from find_core.support.command_line import UsageError
from find_field.io.datasets import open_folder
from tests.docs.blocks import PAGES, blocks_of, check_command, commands, page_blocks, run_block
from tests.test_docs import ROOT

SAMPLE = ROOT / "find_core/share/samples/tabletop"
RUN = [page for page in PAGES if any(not block.why_not for block in page_blocks(page))]


@pytest.fixture(scope="module")
def load():
    """`fc.load`, each model once."""
    return functools.lru_cache(maxsize=None)(fc.load)


@pytest.fixture(scope="module")
def frames() -> list[ff.PosedFrame]:
    return [files.read() for files in open_folder(SAMPLE).take(16, 3, 0).files]


@pytest.fixture(scope="module")
def field(load, frames) -> ff.FeatureField:
    return ff.lift(frames, load(), voxel_size_m=0.02)


@pytest.fixture
def names(page, request) -> dict[str, Any]:
    """What a page's fragments take for granted; tutorials take nothing."""
    if "tutorials" in page.parts:
        return {}
    pictures = sorted((SAMPLE / "rgb").glob("*.jpg"))
    out: dict[str, Any] = {"image": read_image(pictures[0]), "photo": read_image(pictures[-1])}
    if page.name in ("README.md", "places.md") and page.parent.name != "find_core":
        find, frames = request.getfixturevalue("load")(), request.getfixturevalue("frames")
        out |= {"find": find, "frames": frames, "scene": find.encode(out["image"])}
        out |= {"field": request.getfixturevalue("field")}
        out |= {"T_world_camera": frames[0].T_world_camera}
        out |= {"camera": [(f.rgb, f.depth_m, f.K, f.T_world_camera) for f in frames]}
        out |= {"embedding": find.compile("the <mug>").entity_embeddings[0]}
    return out


@pytest.mark.parametrize("page", RUN, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run(page, names, load, field, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fc, "load", load)
    monkeypatch.setattr(sys, "path", [*sys.path])  # examples add to it
    for folder in ("find_core", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "photos").mkdir()
    for picture in sorted((SAMPLE / "rgb").glob("*.jpg"))[:2]:
        shutil.copy(picture, tmp_path / "photos")
    if "tutorials" not in page.parts:
        field.save(tmp_path / "room.field")
    for block in page_blocks(page):
        if not block.why_not:
            run_block(block, names)
    for claim in CLAIMS.get(str(page.relative_to(ROOT)), ()):
        assert claim(names)


CLAIMS: dict[str, list[Callable[[dict[str, Any]], bool]]] = {
    "docs/tutorials/camera_to_masks.md": [
        lambda n: [e.found for e in n["result"].entities] == [True, True],
        lambda n: n["answer"].entities[0].found,
        lambda n: Path("annotated.png").is_file() and Path("out/annotated.mp4").is_file(),
    ],
    "docs/tutorials/field_to_grasp.md": [
        lambda n: 0.05 < n["grasp"].width_m < 0.25 and n["grasp"].approach[2] < -0.9,
        lambda n: Path("hits.png").is_file(),
    ],
    "docs/tutorials/teach_objects.md": [
        lambda n: len(list(Path("masks").glob("*.png"))) == 2 and n["mask"].sum() > 1000,
    ],
    "find_core/README.md": [
        lambda n: [e.label for e in n["result"].entities] == ["white mug", "this"],
        lambda n: n["frame"].time_s > 0 and Path("out/timeline.json").is_file(),
    ],
}
"""What the prose says of what its blocks did."""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_that_are_not_run_are_right_as_far_as_can_be_seen(page):
    for block in page_blocks(page):
        if not block.why_not:
            continue
        assert len(block.why_not) > 8, block.name
        if block.language == "python":
            compile(block.text, block.name, "exec")
        elif block.language in ("sh", "bash"):
            for words in commands(block):
                check_command(words)


def test_a_block_that_is_neither_run_nor_marked_is_told():
    marked, plain, longer = blocks_of(
        "<!-- not run: a reason -->\n```sh\nros2 run x\n```\n\n```sh\nros2 run x  # y\n```\n\n"
        "<!-- run with: --steps 2 -->\n```sh\nfind-core info \\\n  --json\n```\n",
        "page.md",
    )
    assert (marked.why_not, plain.why_not) == ("a reason", "")
    assert longer.options == ("--steps", "2")
    assert commands(longer) == [["find-core", "info", "--json"]]
    with pytest.raises(AssertionError, match="mark the block"):
        run_block(plain, {})
    with pytest.raises(UsageError, match="no-such"):
        check_command(["find-core", "localize", "a.mp4", "--no-such", "1"])
    with pytest.raises(ValueError, match="fence"):
        blocks_of("Text:\n\n    indented()\n", "page.md")
    with pytest.raises(ValueError, match="languages"):
        blocks_of("```rust\nfn main() {}\n```\n", "page.md")
