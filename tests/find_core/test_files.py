"""Atomic files: whole or not there."""

from __future__ import annotations

import pickle

import pytest
import torch

from find_core.errors import CheckpointError, EncoderError
from find_core.files import read_tensors, replace_file, write_tensors


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "a.safetensors"
    write_tensors(path, {"x": torch.arange(3)}, {"k": "v"})
    tensors, metadata = read_tensors(path)
    assert torch.equal(tensors["x"], torch.arange(3)) and metadata == {"k": "v"}
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("problem", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_changes_nothing(tmp_path, problem):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise problem

    with pytest.raises((CheckpointError, KeyboardInterrupt)):
        replace_file(path, fail, CheckpointError)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EncoderError, match="cannot be written"):
        write_tensors(tmp_path / "file" / "a", {"x": torch.zeros(1)}, {}, EncoderError)


@pytest.mark.parametrize("data", [b"", b"hello", pickle.dumps({"x": 1}), b"\xff" * 40])
def test_exception(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_tensors(tmp_path / "a", CheckpointError)
