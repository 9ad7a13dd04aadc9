"""The cache of meshes: what was written comes back; what is no such file is made anew, never run."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("trimesh", reason="meshes need trimesh")

from training.tabletop.assets import mesh_cache
from training.tabletop.assets.meshes import Geometry, part_from_triangles


def geometry(size: float, texture: bool = False) -> Geometry:
    verts = size * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    faces = np.array([[0, 1, 2], [0, 1, 3]])
    image = np.arange(512 * 512 * 3, dtype=np.uint8).reshape(512, 512, 3) if texture else None
    part = part_from_triangles(verts, faces, rgba=(0.1, 0.2, 0.3, 1.0), texture=image)
    return Geometry([part, part_from_triangles(verts + 1, faces, specular=0.7)])


def same(a: Geometry, b: Geometry) -> bool:
    return len(a.parts) == len(b.parts) and all(
        x.rgba == y.rgba and x.specular == y.specular
        and all(np.array_equal(getattr(x, f), getattr(y, f)) and
                (getattr(x, f) is None or getattr(x, f).dtype == getattr(y, f).dtype)
                for f in mesh_cache.ARRAYS)
        for x, y in zip(a.parts, b.parts, strict=True)
    )  # fmt: skip


def test_geometries_come_back_as_they_were(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FIND_TABLETOP_CACHE", str(tmp_path))
    made = {"a": geometry(1.0, texture=True), "b": geometry(2.0), "gone": None}
    first = mesh_cache.cached("test", list(made), made.get)
    again = mesh_cache.cached("test", list(made), lambda name: pytest.fail("made twice"))
    assert list(first) == list(again) == ["a", "b"]
    assert all(same(first[n], again[n]) for n in first)
    assert not same(again["a"], again["b"])


class Planted:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_planted_file_is_made_anew_and_not_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FIND_TABLETOP_CACHE", str(tmp_path / "cache"))
    mesh_cache.cached("test", ["a"], lambda name: geometry(1.0))
    (path,) = (tmp_path / "cache").iterdir()
    planted = pickle.dumps(Planted(tmp_path / "run"))
    for planted_path in (path, path.with_suffix(".pkl")):
        planted_path.write_bytes(planted)
    found = mesh_cache.cached("test", ["a"], lambda name: geometry(3.0))
    assert same(found["a"], geometry(3.0)) and not (tmp_path / "run").exists()
    assert same(mesh_cache.read_geometries(path)["a"], geometry(3.0)), "and kept"


def test_a_cut_file_is_made_anew(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FIND_TABLETOP_CACHE", str(tmp_path))
    mesh_cache.cached("test", ["a"], lambda name: geometry(1.0))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    assert same(mesh_cache.cached("test", ["a"], lambda name: geometry(2.0))["a"], geometry(2.0))
