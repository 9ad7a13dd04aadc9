from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from find_core.errors import FieldError
from find_field.io.export import heat_colors, pca_rgb


def test_ply_is_read_by_others(room, oracle, tmp_path):
    relevancy = room.relevancy("red box", oracle)[0]
    cloud = trimesh.load(room.to_ply(tmp_path / "a.ply"))
    np.testing.assert_array_equal(cloud.vertices, room.points_world_m)
    np.testing.assert_array_equal(cloud.colors[:, :3], room.colors)
    heat = trimesh.load(room.to_ply(tmp_path / "b.ply", relevancy=relevancy))
    raw = heat.metadata["_ply_raw"]["vertex"]["data"]
    np.testing.assert_allclose(np.asarray(raw["relevancy"]).ravel(), relevancy, atol=1e-6)
    pca = trimesh.load(room.to_ply(tmp_path / "c.ply", colors="pca"))
    np.testing.assert_array_equal(pca.colors[:, :3], room.pca_colors())
    with pytest.raises(FieldError, match="'rgb', 'pca'"):
        room.to_ply(tmp_path / "d.ply", colors="depth")


def test_npz_is_queried_by_ten_lines_of_numpy(world, room, oracle, tmp_path):
    """The lines in to_npz's docstring."""
    data = np.load(room.to_npz(tmp_path / "room.npz"))
    e = data["semantic.coefficients"].astype(np.float32)
    e /= np.linalg.norm(e, axis=1, keepdims=True) + 1e-9
    t = data["semantic.basis"].T @ oracle.compile("red box").embedding
    best = data["points_world_m"][np.argsort(e @ t)[-100:]]
    assert np.linalg.norm(best.mean(0) - world.things[0].centre_m) < 0.05
    info = json.loads(str(data["info"]))
    assert info["provenance"]["model"] == "oracle" and info["voxel_size_m"] == 0.01


def test_pca_colours_tell_things_apart(world, room, oracle):
    colors = room.pca_colors().astype(int)
    rows = [room.query(t.name, oracle)[0].voxel_rows for t in world.things[:3]]
    means = np.array([np.median(colors[r], axis=0) for r in rows])
    spread = [np.abs(colors[r] - m).mean() for r, m in zip(rows, means, strict=True)]
    gaps = np.linalg.norm(means[:, None] - means[None], axis=2)[np.triu_indices(3, 1)]
    assert gaps.min() > 3 * max(spread)


def test_colour_helpers():
    assert pca_rgb(np.zeros((0, 4))).shape == (0, 3)
    assert pca_rgb(np.random.default_rng(0).random((9, 2))).shape == (9, 3)
    low, high = heat_colors(np.array([0.0, 1.0])).astype(int)
    assert low[2] > low[0] and high[0] > high[2]  # turbo: blue to red
    greyed = heat_colors(np.zeros(1), np.array([[100, 100, 100]]))
    assert len(set(greyed[0].tolist())) == 1
