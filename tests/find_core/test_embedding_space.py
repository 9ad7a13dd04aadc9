"""One identity of an embedding space: compiled or not, at every size, in old files and new."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

import find_core as fc
from find_core.embedding_space import same_space, space_of
from find_core.predictor import Find
from find_core.testing import tiny_find

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def find() -> Find:
    return tiny_find()


def test_compiled_model_is_of_the_same_space(find, monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    plain = tiny_find()
    compiled = Find(find.model, find.vision, find.language, device="cpu", compile=True)
    assert compiled.fingerprint == plain.fingerprint
    assert not any("_orig_mod" in name for name in compiled.model.state_dict())
    answer = compiled.encode(IMAGE).localize(plain.compile("the <mug>"))
    assert answer.relevance == pytest.approx(plain.encode(IMAGE).localize("the <mug>").relevance)


def test_model_that_was_compiled_outside_is_of_the_same_space(find):
    before = find.fingerprint
    find.model.pixel_decoder = torch.compile(find.model.pixel_decoder, backend="eager")
    assert any("_orig_mod" in name for name in find.model.state_dict())
    assert space_of(find.model, torch.compile(find.vision, backend="eager")) == before


def test_vision_weights_are_part_of_the_space(find):
    other = tiny_find()
    with torch.no_grad():
        next(other.vision.parameters()).add_(1)
    assert other.fingerprint != find.fingerprint
    assert other.fingerprint.split("-")[0] == find.fingerprint.split("-")[0]
    with pytest.raises(fc.FindError, match="another model"):
        find.encode(IMAGE).localize(other.compile("mug"))


def test_names_and_order_of_vision_weights_are_not(find):
    renamed = torch.nn.ParameterDict(
        {f"z{n}": p for n, p in enumerate(reversed(list(find.vision.state_dict().values())))}
    )
    assert space_of(find.model, renamed) == find.fingerprint


OLD, NEW, OTHER = "1b84b503596917c0", "1b84b503596917c0-cfd3122c", "1b84b503596917c0-00000000"


@pytest.mark.parametrize(
    "a, b, same",
    [
        (OLD, OLD, True), (NEW, NEW, True), (OLD, NEW, True), (NEW, OLD, True),
        (NEW, OTHER, False), (OLD, "2b84b503596917c0", False), (NEW, "2b84b503596917c0", False),
        ("color-find", "color-find", True), ("oracle-64", "oracle-32", False),
        ("oracle", "oracle-32", False), (None, NEW, False), ("", NEW, False),
    ],
)  # fmt: skip
def test_same_space(a, b, same):
    assert same_space(a, b) is same


def test_packaged_model_opens_what_was_made_before_the_vision_part_was_added(tmp_path):
    """Its identity began as it does now, by the interface alone."""
    pytest.importorskip("qdrant_client")
    find = fc.load(device="cpu")
    interface_alone = find.fingerprint.split("-")[0]
    assert interface_alone != find.fingerprint
    album = fc.Album(find)
    album.add([("one", IMAGE)])
    album.save(tmp_path / "new.album")
    from find_core.support.files import read_tensors, write_tensors

    tensors, metadata = read_tensors(tmp_path / "new.album", fc.AlbumError)
    old = dict(metadata, fingerprint=interface_alone)
    write_tensors(tmp_path / "old.album", tensors, old, fc.AlbumError)
    assert fc.Album.load(tmp_path / "old.album", find).search("mug")[0].name == "one"
    foreign = dict(metadata, fingerprint=OTHER)
    write_tensors(tmp_path / "foreign.album", tensors, foreign, fc.AlbumError)
    with pytest.raises(fc.AlbumError, match="another model"):
        fc.Album.load(tmp_path / "foreign.album", find)
