from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from find_field.nerf.world_transform import WorldTransform


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_inverse_of_what_nerfstudio_does(seed, scale):
    """nerfstudio applies M to poses, then scales their translations."""
    rng = np.random.default_rng(seed)
    M = np.concatenate([Rotation.random(random_state=seed).as_matrix(), rng.normal(size=(3, 1))], 1)
    world = rng.normal(size=(7, 3)) * 5
    trained = scale * (world @ M[:, :3].T + M[:, 3])
    transform = WorldTransform(M, scale)
    np.testing.assert_allclose(transform.from_world(world), trained, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(transform.to_world(trained), world, rtol=1e-6, atol=1e-9)
    camera = Rotation.random(random_state=seed + 1).as_matrix()
    np.testing.assert_allclose(transform.rotation_to_world(M[:, :3] @ camera), camera, atol=1e-9)
