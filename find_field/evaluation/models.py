"""The models a field can be made with, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_model(name: str, data: str | Path | None = None, device: str = "auto") -> Any:
    """A `find_core.Find` by name; "oracle" is the ground truth of the folder `data`.

    Raises:
        CheckpointError: as `find_core.load`. FieldError: `data` has no ground truth.
    """
    if name == "oracle":
        from find_field.evaluation.ground_truth import open_truth

        return open_truth(data or ".").oracle()
    import find_core

    return find_core.load(name, device=device)
