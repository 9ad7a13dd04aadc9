"""The folder that goes along to a machine without a network: see pack.py."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

SITE, TEXTS, MANIFEST, ARCHIVE = "site", "texts.safetensors", "manifest.json", "opencv.tar.xz"
TEXTS_VARIABLE = "FIND_TEST_TEXTS"


def open_carry(folder: Path, scratch: Path) -> dict[str, Any]:
    """Put its packages behind those that are installed; what it brought.

    Args:
        scratch: an empty folder; OpenCV is unpacked into it where none is installed.
    """
    if not (folder / MANIFEST).is_file():
        return {"folder": None}
    sys.path.append(str((folder / SITE).resolve()))
    os.environ[TEXTS_VARIABLE] = str((folder / TEXTS).resolve())
    if (folder / ARCHIVE).is_file() and importlib.util.find_spec("cv2") is None:
        with tarfile.open(folder / ARCHIVE) as archive:
            archive.extractall(scratch, filter="data")
        sys.path.append(str(scratch))
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
