"""A job to be interrupted: small inputs, a command, and how to tell whole from damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.checkpoint import read as read_checkpoint
from find_core.checkpoint import save
from find_core.errors import FindError
from find_core.testing import tiny_find

HEIGHT, WIDTH = 64, 96


class DamagedError(Exception):
    """What a job left is neither old nor new nor a stage that it goes on from."""


class Job:
    """One command, what was there before, and what it leaves.

    Attributes:
        name, command: for the table. inputs: folder that it may fill, once for all trials.
    """

    name = command = ""
    # Endings of files which belong to a run that is not finished, and of locks.
    SPEAKS = True  # the command line is ours: it ends in a sentence, not in a traceback
    STAGES = (".part.jsonl", "resume.json", ".lock", "tfevents")

    def __init__(self, inputs: Path) -> None:
        self.inputs = inputs / self.name
        self.inputs.mkdir(parents=True)
        self.prepare()

    def prepare(self) -> None:
        """Make the inputs."""

    def begin(self, out: Path) -> None:
        """What is in `out` before the job is started; nothing by itself."""

    def run(self, out: Path) -> int:
        """The command, in this process; its exit status."""
        raise NotImplementedError

    def result(self, out: Path) -> Any:
        """What a finished run gave, to be compared. Raises DamagedError."""
        raise NotImplementedError

    def look(self, out: Path) -> str:
        """What an interrupted run left, in a word. Raises DamagedError."""
        raise NotImplementedError


def hash_of(tensors: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def picture(n: int) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    image = np.random.default_rng(n).integers(0, 40, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    cv2.circle(image, (10 + 3 * n % 70, 20 + 2 * n % 30), 9, (30, 40, 220), -1)
    return image


def write_checkpoint(folder: Path, seed: int = 0) -> Path:
    find = tiny_find(seed)
    return save(folder, find.model, find.vision, find.language)


def checkpoint_hash(folder: Path) -> str:
    """Its weights as `find_core.load` would take them."""
    try:
        return hash_of(read_checkpoint(folder).tensors)
    except FindError as error:
        raise DamagedError(str(error)) from None
