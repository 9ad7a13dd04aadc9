"""Checkpoints on disk: our folders, and the published files."""

from find_core.checkpoint.store import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    Parts,
    build,
    check_tensors,
    expected_shapes,
    fill,
    load_find,
    read,
    read_config,
    save,
    write,
)

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
    "save",
    "write",
]
