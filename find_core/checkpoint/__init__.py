"""Checkpoints on disk: our folders, and the published files."""

from find_core.checkpoint.build import Parts, build, check_tensors, expected_shapes, fill
from find_core.checkpoint.open import read, resolve
from find_core.checkpoint.store import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    read_config,
    save,
    write,
)
from find_core.support.lazy import lazy_names

__all__ = [
    "CONFIG_FILE",
    "WEIGHTS_FILE",
    "Checkpoint",
    "Parts",
    "build",
    "check_tensors",
    "expected_shapes",
    "fill",
    "load_find",
    "read",
    "read_config",
    "resolve",
    "save",
    "write",
]

__getattr__ = lazy_names(__name__, {"load_find": "find_core.loading"})
