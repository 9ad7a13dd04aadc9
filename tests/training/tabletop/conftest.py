"""Small worlds for the tests; whatever needs a package that is missing is skipped with a reason."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("MUJOCO_GL", "osmesa")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shapes_gallery():
    """Procedural shapes only: no package with assets needed."""
    pytest.importorskip("trimesh", reason="procedural shapes need trimesh")
    pytest.importorskip("scipy", reason="placement needs scipy")
    pytest.importorskip("networkx", reason="shape creases need networkx")
    from training.tabletop.assets.gallery import build_gallery

    return build_gallery(sources=("shapes",))


@pytest.fixture(scope="session")
def small_world(shapes_gallery):
    """A world of procedural shapes at 96x72."""
    pytest.importorskip("mujoco", reason="rendering needs mujoco")
    import mujoco

    from training.tabletop.scene.world import World

    try:
        mujoco.GLContext(8, 8).free()
    except Exception as error:  # PyOpenGL's errors share no base class
        pytest.skip(f"no off-screen OpenGL here (Debian: libosmesa6): {error!r}")
    world = World(shapes_gallery, width=96, height=72, furniture=False)
    yield world
    world.close()
