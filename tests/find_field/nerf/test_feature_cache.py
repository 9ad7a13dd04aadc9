from __future__ import annotations

import numpy as np
import pytest

from find_core.errors import FieldError
from find_field.nerf.feature_cache import FeatureCache, build_set, image_key


class Counting:
    """The oracle, counting how often it is asked to encode."""

    def __init__(self, oracle):
        self.oracle, self.fingerprint, self.calls = oracle, oracle.fingerprint, 0

    def encode(self, image):
        self.calls += 1
        return self.oracle.encode(image)


def readers(frames):
    return [lambda f=f: f.rgb for f in frames]


def test_a_picture_is_encoded_once_and_a_killed_run_resumes(frames, oracle, tmp_path):
    find = Counting(oracle)
    cache = FeatureCache(tmp_path, find)
    for frame in frames[:2]:
        cache.semantic_map(frame.rgb)
    again = Counting(oracle)
    built = build_set(FeatureCache(tmp_path, again), readers(frames[:4]), rank=16)
    assert (find.calls, again.calls) == (2, 2)
    assert built.maps.shape == (4, 30, 40, 16)
    half = tmp_path / oracle.fingerprint / f"{image_key(frames[4].rgb)}.maps.npy"
    half.write_bytes(b"half a file, its vectors never written")
    maps, vectors = FeatureCache(tmp_path, again).semantic_map(frames[4].rgb)
    assert again.calls == 3 and maps.shape[0] == len(vectors)


def test_maps_are_the_scenes_own_within_the_basis(frames, oracle, tmp_path):
    built = build_set(FeatureCache(tmp_path, oracle), readers(frames[:3]), rank=16)
    maps, vectors = oracle.encode(frames[1].rgb).semantic_map()
    want = np.einsum("qhw,qd->hwd", maps, vectors)
    np.testing.assert_allclose(built.maps[1] @ built.basis.T, want, atol=5e-3)
    np.testing.assert_allclose(built.mean, built.maps.mean((0, 1, 2), dtype=np.float64), atol=1e-3)


def test_other_models_and_other_sets_do_not_meet(frames, oracle, tmp_path):
    find = Counting(oracle)
    one = build_set(FeatureCache(tmp_path, find), readers(frames[:2]), rank=8)
    two = build_set(FeatureCache(tmp_path, find), readers(frames[:2]), rank=12)
    assert (one.basis.shape[1], two.basis.shape[1], find.calls) == (8, 12, 2)
    find.fingerprint = "another"
    build_set(FeatureCache(tmp_path, find), readers(frames[:2]), rank=8)
    assert find.calls == 4


def test_mixed_sizes_share_one_grid(world, oracle, tmp_path):
    frames = [world.frames(2, size, oracle=oracle)[0] for size in [(60, 80), (120, 160)]]
    built = build_set(FeatureCache(tmp_path, oracle), readers(frames), rank=16)
    assert built.maps.shape[1:3] == (15, 20)
    small, large = np.array(built.maps, np.float32)
    assert np.abs(small - large).mean() < 0.1  # the same view at two sizes


def test_sampling_is_bilinear(frames, oracle, tmp_path):
    """Against a slow twin, at pixels and between them, and at the borders."""
    built = build_set(FeatureCache(tmp_path, oracle), readers(frames[:2]), rank=8)
    rng = np.random.default_rng(0)
    picture, x01, y01 = rng.integers(0, 2, 50), rng.random(50), rng.random(50)
    x01[:2], y01[:2] = (0, 1), (1, 0)
    got = built.sample(picture, x01, y01)
    _, h, w, _ = built.maps.shape
    for i in range(50):
        x, y = np.clip(x01[i] * w - 0.5, 0, w - 1), np.clip(y01[i] * h - 0.5, 0, h - 1)
        want = np.zeros(8)
        for r in range(h):
            for c in {int(x), min(int(x) + 1, w - 1)}:
                share = max(0, 1 - abs(x - c)) * max(0, 1 - abs(y - r))
                if share:
                    want += share * built.maps[picture[i], r, c].astype(float)
        np.testing.assert_allclose(got[i], want, atol=1e-3)


def test_nothing_half_written_stays(frames, oracle, tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, oracle)
    monkeypatch.setattr(np, "save", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(FieldError, match="disk full"):
        cache.semantic_map(frames[0].rgb)
    assert list(cache.folder.iterdir()) == []


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "zeros": lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
    "another shape": lambda path: _save_array(path, np.zeros((3, 3), np.float16)),
    "another type": lambda path: _save_array(path, np.load(path).astype(np.float64)),
    "NaN": lambda path: _save_array(path, np.load(path) * np.float16(np.nan)),
    "a pickle": lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    "no file": lambda path: path.unlink(),
}


def _save_array(path, array):
    with path.open("wb") as file:
        np.save(file, array)


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize(
    "which", ["*.maps.npy", "*.vectors.npy", "set-*.basis.npy", "set-*[0-9a-f].npy"]
)
def test_a_damaged_cache_is_an_absent_one(frames, oracle, tmp_path, what, which):
    before = build_set(FeatureCache(tmp_path, oracle), readers(frames[:2]), rank=8)
    want = np.array(before.maps)
    path = sorted(
        p
        for p in (tmp_path / oracle.fingerprint).glob(which)
        if p.stem.count(".") == which.count(".") - 1
    )[0]
    DAMAGE[what](path)
    again = build_set(FeatureCache(tmp_path, oracle), readers(frames[:2]), rank=8)
    assert again.basis.shape == before.basis.shape and np.isfinite(again.basis).all()
    np.testing.assert_allclose(again.maps @ again.basis.T, want @ before.basis.T, atol=1e-2)
    healed = Counting(oracle)
    build_set(FeatureCache(tmp_path, healed), readers(frames[:2]), rank=8)
    assert healed.calls == 0
