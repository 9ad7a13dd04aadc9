from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import find_field as ff
from find_core.errors import FieldError


def halves(frames, oracle, basis=None, **options):
    lifters = []
    for part in (frames[:5], frames[5:]):
        lifter = ff.Lifter(oracle, basis=basis, **options)
        for frame in part:
            lifter.add(frame)
        lifters.append(lifter)
    return lifters


def test_merge_with_one_basis_equals_lifting_everything(frames, oracle, room):
    basis = room.channels["semantic"].basis
    a, b = (lifter.field() for lifter in halves(frames, oracle, basis))
    merged = a.merge(b)
    whole = halves(frames * 1, oracle, basis)
    for frame in frames[5:]:
        whole[0].add(frame)
    want = whole[0].field()
    order, wanted = (np.lexsort(f.ijk.T[::-1]) for f in (merged, want))
    np.testing.assert_array_equal(merged.ijk[order], want.ijk[wanted])
    np.testing.assert_allclose(merged.weight[order], want.weight[wanted], rtol=1e-4)
    np.testing.assert_array_equal(merged.count[order], want.count[wanted])
    np.testing.assert_allclose(merged.points_world_m[order], want.points_world_m[wanted], atol=1e-5)
    x, y = merged.channels["semantic"], want.channels["semantic"]
    np.testing.assert_allclose(x.coefficients[order], y.coefficients[wanted], atol=3e-3)
    np.testing.assert_allclose(x.variance[order], y.variance[wanted], atol=6e-3)
    assert merged.provenance["frames"] == len(frames)


def test_merge_with_other_bases_keeps_the_embeddings(world, frames, oracle):
    a, b = (lifter.field() for lifter in halves(frames, oracle))
    assert not np.array_equal(a.channels["semantic"].basis, b.channels["semantic"].basis)
    merged = ff.merge(a, b)
    for thing in world.things:
        hit = merged.query(thing.name, oracle)[0]
        assert np.linalg.norm(hit.centroid_world_m - thing.centre_m) < 0.02
        assert hit.embedding @ oracle.vector(thing.name) > 0.98


@pytest.mark.parametrize(
    "change, says",
    [
        (dict(voxel_size_m=0.02), "voxel sizes"),
        (dict(provenance={"fingerprint": "oracle-64", "frame": "odom"}), "world frames"),
        (dict(provenance={"fingerprint": "x", "frame": "map"}), "models"),
        (dict(channels={}), "channels"),
    ],
)
def test_exception(room, change, says):
    with pytest.raises(FieldError, match=says):
        room.merge(replace(room, **change))
