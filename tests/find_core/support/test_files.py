"""Atomic files: whole or not there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
import torch

from find_core.errors import CheckpointError, EncoderError
from find_core.support.files import open_own, read_tensors, replace_file, write_tensors


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "a.safetensors"
    write_tensors(path, {"x": torch.arange(3)}, {"k": "v"})
    tensors, metadata = read_tensors(path)
    assert torch.equal(tensors["x"], torch.arange(3)) and metadata == {"k": "v"}
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("mode", ["a", "w", "r+b", "a+b", "w+b"])
def test_files_that_grow_are_no_links(tmp_path, mode):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "log").symlink_to(tmp_path / "victim")
    with pytest.raises(EncoderError, match="is a link"):
        open_own(tmp_path / "log", mode, EncoderError)
    assert (tmp_path / "victim").read_text() == "mine"
    (tmp_path / "log").unlink()
    with pytest.raises(FileNotFoundError):
        open_own(tmp_path / "log", "r+b")
    with open_own(tmp_path / "log", "a") as file:
        file.write("é")
    assert (tmp_path / "log").read_text("utf-8") == "é"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_others_may_read_what_the_umask_lets_them(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        replace_file(tmp_path / "a", lambda temporary: temporary.write_text("x"))
        write_tensors(tmp_path / "b.safetensors", {"x": torch.zeros(1)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode
    assert (tmp_path / "b.safetensors").stat().st_mode & 0o777 == mode


def test_the_temporary_file_ends_like_the_wanted_one(tmp_path):
    seen = []
    replace_file(tmp_path / "a.png", lambda temporary: seen.append(temporary.suffix))
    assert seen == [".png"]


def test_fields_can_be_stored_without_torch():
    code = "import sys, find_core.support.files; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


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
