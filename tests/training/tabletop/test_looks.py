"""Colours, textures, shapes and placement: the parts that need no renderer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("trimesh", reason="shapes need trimesh")
pytest.importorskip("scipy", reason="placement needs scipy")

from training.tabletop.assets import colors, kinds, textures
from training.tabletop.assets.procedural_mesh import build
from training.tabletop.scene.placement import ShapeInfo, drop_height, gap_m, resting_transform


@pytest.mark.parametrize("word", colors.WORDS)
def test_shades_stay_with_their_word(word):
    rng = np.random.default_rng(0)
    anchors = {w: np.array(s) / 255 for w, s in colors.SHADES.items()}
    for _ in range(10):
        shade = colors.sample_shade(word, rng)
        nearest = min(anchors, key=lambda w: np.linalg.norm(anchors[w] - shade, axis=1).min())
        assert nearest == word


def test_tinted_texture_has_the_shade_on_average():
    texture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    shade = np.array([0.2, 0.5, 0.3])
    assert colors.tinted(texture, shade).mean((0, 1)) / 255 == pytest.approx(shade, abs=0.03)


def test_tint_is_measured_where_the_mesh_looks():
    """Empty (black) texture space must not brighten the rest."""
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:32] = 180
    uvs = np.random.default_rng(0).uniform(0, [1, 0.45], (500, 2)).astype(np.float32)
    out = colors.tinted(texture, np.array([0.4, 0.4, 0.4]), uvs)
    assert out[10, 10] / 255 == pytest.approx([0.4] * 3, abs=0.02)


@pytest.mark.parametrize("kind", [*textures.PATTERNS, "plain"])
def test_patterns(kind):
    image = textures.pattern(kind, np.array([0.1, 0.3, 0.7]), np.random.default_rng(1))
    assert image.shape == (512, 512, 3) and image.dtype == np.uint8
    assert image.mean((0, 1)).argmax() == 2


def test_train_textures_are_its_own():
    train = {textures._stem(p) for p in textures.photograph_paths("train")}
    other = {textures._stem(p) for p in textures.photograph_paths("val")}
    if not train:
        pytest.skip("no texture package installed")
    assert other and not train & other
    assert textures.photograph_paths("val") == textures.photograph_paths("held")


@pytest.mark.parametrize("name", sorted(kinds.SHAPES))
def test_shapes_stand_on_the_ground(name):
    geometry, painted = build(kinds.SHAPES[name], seed=7)
    low, high = geometry.bounds_m()
    assert low[2] == pytest.approx(0, abs=1e-6)
    assert (low + high)[:2] == pytest.approx([0, 0], abs=1e-6)
    assert 0.004 < (high - low).max() < 0.42
    assert any(painted) and len(painted) == len(geometry.parts) <= 4
    for part in geometry.parts:
        assert np.isfinite(part.verts_V3).all()
        assert part.face_uvs_F3.max() < len(part.uvs_T2)


def test_dropping_rests_on_top():
    cube, _ = build(kinds.SHAPES["cube"], seed=1)
    plate, _ = build(kinds.SHAPES["tray"], seed=1)
    mover, support = ShapeInfo(cube), ShapeInfo(plate)
    T = resting_transform(mover, np.eye(3), (0, 0), 1.0)
    rest = 1.0 + drop_height(mover, T, support, resting_transform(support, np.eye(3), (0, 0), 0.0))
    assert rest == pytest.approx(0.005, abs=0.004)  # the tray's floor


def test_gap():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    assert gap_m(square, square + [1.5, 0]) == pytest.approx(0.5)
    assert gap_m(square, square + [0.5, 0.5]) < 0
