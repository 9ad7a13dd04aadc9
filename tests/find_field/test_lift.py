from __future__ import annotations

import numpy as np
import pytest

import find_field as ff
from find_core.errors import FieldError
from find_field.evaluation.toy_world import sample_world
from find_field.field.basis import check_basis, fit_basis, kept_energy
from find_field.lift import LiftConfig, Lifter, sample_frame


def slow_fusion(frames, find, basis, config):
    """Slow twin of the voxel sums: a dict of lists, one point at a time, float64."""
    voxels: dict[tuple[int, int, int], list] = {}
    for frame in frames:
        probabilities, vectors = find.encode(frame.rgb).semantic_map()
        sample = sample_frame(frame, {"semantic": (probabilities, vectors @ basis)}, config)
        rows = zip(sample.points_world_m, sample.weights, sample.values["semantic"], strict=True)
        for point, weight, value in rows:
            key = tuple(int(np.floor(c / config.voxel_size_m)) for c in point)
            voxels.setdefault(key, []).append((float(weight), point, value.astype(np.float64)))
    return voxels


def test_fusion_agrees_with_the_slow_twin(frames, oracle):
    config = LiftConfig(voxel_size_m=0.03, max_points_per_frame=2000)
    lifter = Lifter(oracle, config)
    for frame in frames[:3]:
        lifter.add(frame)
    field = lifter.field()
    slow = slow_fusion(frames[:3], oracle, lifter.basis, config)
    assert {tuple(k) for k in field.ijk.tolist()} == set(slow)
    coefficients = lifter.coefficients()
    for row, key in enumerate(field.ijk.tolist()):
        weights, points, values = (np.array(x) for x in zip(*slow[tuple(key)], strict=True))
        mean = np.average(values, axis=0, weights=weights)
        np.testing.assert_allclose(coefficients[row], mean, atol=1e-5)
        np.testing.assert_allclose(field.weight[row], weights.sum(), rtol=1e-4)
        np.testing.assert_allclose(
            field.points_world_m[row], np.average(points, axis=0, weights=weights), atol=1e-5
        )
        spread = np.average(((values - mean) ** 2).sum(1), weights=weights)
        np.testing.assert_allclose(field.channels["semantic"].variance[row], spread, atol=2e-3)
        assert field.count[row] == len(weights)


def in_key_order(lifter):
    field = lifter.field()
    order = np.lexsort(field.ijk.T[::-1])
    return field.ijk[order], lifter.coefficients()[order], field.points_world_m[order]


def test_incremental_equals_batch_with_a_fixed_basis(frames, oracle):
    first = Lifter(oracle)
    for frame in frames:
        first.add(frame)
    basis = first.basis
    batch, single = Lifter(oracle, basis=basis), Lifter(oracle, basis=basis)
    for frame in frames:
        batch.add(frame)
    for frame in reversed(frames):  # another order, and a query between any two
        single.add(frame)
        single.field().query("red box", oracle)
    for want, got in zip(in_key_order(batch), in_key_order(single), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_first_frames_fix_the_basis_and_later_ones_keep_it(frames, oracle):
    lifter = Lifter(oracle, basis_frames=3)
    for frame in frames[:2]:
        lifter.add(frame)
    assert lifter.basis is None
    lifter.add(frames[2])
    basis = lifter.basis
    lifter.add(frames[3])
    assert lifter.basis is basis
    assert lifter.field().provenance["frames"] == 4


def test_unseen_directions_are_told(oracle):
    """A basis that lacks what later frames show: the share that is kept is in the provenance."""
    world = sample_world(1, 3)
    frames = world.frames(2, oracle=oracle)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 4)))[0]
    lifter = Lifter(oracle, basis=basis.astype(np.float32))
    lifter.add(frames[0])
    assert lifter.field().provenance["lowest_kept_energy"] < 0.5


def test_field_is_a_snapshot(frames, oracle):
    lifter = Lifter(oracle)
    lifter.add(frames[0])
    before = lifter.field()
    count, weight = len(before), before.weight.copy()
    lifter.add(frames[1])
    assert len(before) == count and (before.weight == weight).all()
    assert len(lifter.field()) > count


def test_pixel_channel(frames, oracle):
    """The oracle's pixel features are its semantic embeddings, so both channels must agree."""
    field = ff.lift(frames[:3], oracle, pixel=True)
    points = field.points_world_m[::50]
    semantic, pixel = field.embeddings_at(points), field.embeddings_at(points, kind="pixel")
    assert pixel.shape == semantic.shape
    assert np.abs(pixel - semantic).max() < 0.02


def test_mixed_image_sizes(world, oracle):
    frames = [
        world.frames(4, size, oracle=oracle)[i] for i, size in enumerate([(60, 80), (96, 128)])
    ]
    assert ff.lift(frames, oracle).provenance["frames"] == 2


@pytest.mark.parametrize("options", [dict(voxel=1), dict(rank_=3)])
def test_exception_unknown_option(oracle, options):
    with pytest.raises(FieldError, match="LiftConfig"):
        Lifter(oracle, **options)


def test_exception_no_frames_and_no_depth(frames, oracle):
    with pytest.raises(FieldError, match="no frame was lifted"):
        ff.lift([], oracle)
    bare = ff.PosedFrame(frames[0].rgb, None, frames[0].K, frames[0].T_world_camera, "bare")
    with pytest.raises(FieldError, match="bare has no depth"):
        ff.lift([bare], oracle)


def test_basis_keeps_what_spans_few_directions():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 6)) @ rng.standard_normal((6, 40))
    basis = fit_basis(rows, 8)
    assert basis.shape == (40, 8)
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=1e-5)
    assert kept_energy(rows, rows @ basis) == pytest.approx(1, abs=1e-6)
    query = rng.standard_normal(40)
    np.testing.assert_allclose((rows @ basis) @ (basis.T @ query), rows @ query, rtol=1e-4)
    assert kept_energy(rows, rows @ fit_basis(rows, 3)) < 0.99
    assert fit_basis(rows[:1], 60).shape == (40, 40)


def test_exception_basis():
    with pytest.raises(FieldError, match="orthonormal"):
        check_basis(np.ones((4, 2)), 4)
    with pytest.raises(FieldError, match="finite"):
        fit_basis(np.full((3, 3), np.nan))


def test_works_with_a_real_find(frames):
    from find_core.testing import tiny_find

    find = tiny_find()
    field = ff.lift(frames[:2], find, pixel=True)
    assert field.embedding_dim == find.embedding_dim
    assert len(field.query("the <mug> left of <red box>", find).entities) == 2
