"""Where a field may be written."""

from __future__ import annotations

from pathlib import Path

from find_core.errors import FieldError


def check_replaceable(path: Path) -> None:
    """A field is written at a new path, or over a field.

    Raises:
        FieldError: something else is there.
    """
    from safetensors import SafetensorError, safe_open

    from find_field.field.storage import FORMAT

    if not path.exists() and not path.is_symlink():
        return
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        metadata = {}
    if metadata.get("format") != FORMAT:
        raise FieldError(f"{path} is there and is no field: it is not replaced.")
