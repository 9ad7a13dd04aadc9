from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from find_core.errors import FieldError
from find_field.field.voxels import (
    connected_components,
    group,
    group_sum,
    largest_part,
    pack,
    unpack,
    voxel_coordinates,
)

coordinate = st.integers(-(2**20) + 2, 2**20 - 2)


@given(arrays(np.int64, st.tuples(st.integers(1, 20), st.just(3)), elements=coordinate))
def test_pack_is_invertible_and_keeps_the_order(ijk):
    keys = pack(ijk)
    np.testing.assert_array_equal(unpack(keys), ijk)
    by_key = ijk[np.argsort(keys, kind="stable")]
    by_triple = ijk[np.lexsort(ijk.T[::-1])]
    np.testing.assert_array_equal(by_key, by_triple)


def test_exception_beyond_the_key():
    with pytest.raises(FieldError, match="metres"):
        pack(np.array([[0, 0, 2**20]]))


def test_coordinates_of_negative_points():
    ijk = voxel_coordinates(np.array([[-0.001, 0.0, 0.0199]]), 0.01)
    assert ijk.tolist() == [[-1, 0, 1]]


def test_group_sum_is_a_weighted_sum():
    rng = np.random.default_rng(0)
    keys, weights, values = rng.integers(0, 5, 40), rng.random(40), rng.random((40, 3))
    unique, inverse = group(keys)
    got = group_sum(inverse, weights, len(unique)) @ values
    want = [(weights[keys == k, None] * values[keys == k]).sum(0) for k in unique]
    np.testing.assert_allclose(got, want)


def flood(ijk, reach):
    """Slow twin: breadth-first over coarse cells."""
    cells = {tuple(c) for c in np.floor_divide(ijk, reach)}
    label, parts = {}, 0
    for start in sorted(cells):
        if start in label:
            continue
        queue = [start]
        while queue:
            cell = queue.pop()
            if cell in label or cell not in cells:
                continue
            label[cell] = parts
            steps = np.indices((3, 3, 3)).reshape(3, -1).T - 1
            queue += [tuple(np.array(cell) + step) for step in steps]
        parts += 1
    return parts, np.array([label[tuple(c)] for c in np.floor_divide(ijk, reach)])


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(1, 25), st.just(3)), elements=st.integers(-6, 6)),
    st.integers(1, 3),
)
def test_components_agree_with_a_flood_fill(ijk, reach):
    count, labels = connected_components(ijk, reach)
    want_count, want = flood(ijk, reach)
    assert count == want_count
    same = labels[:, None] == labels[None]
    np.testing.assert_array_equal(same, want[:, None] == want[None])


def test_largest_part_against_a_slow_twin():
    """Union of all pairs whose cells touch, by hand."""
    points = np.random.default_rng(2).uniform(0, 1, (120, 3))
    cells = np.floor(points / 0.12).astype(int)
    labels = list(range(len(points)))
    for i in range(len(points)):
        for j in range(i):
            if np.abs(cells[i] - cells[j]).max() <= 1 and labels[i] != labels[j]:
                old, new = labels[i], labels[j]
                labels = [new if label == old else label for label in labels]
    largest = max(set(labels), key=labels.count)
    assert 10 < labels.count(largest) < len(points)
    np.testing.assert_array_equal(largest_part(points, 0.12), np.array(labels) == largest)
