"""Triangle meshes as plain arrays, and how they are read from MJCF, OBJ and STL files.

Everything downstream (placement, rendering, sequences) sees an object as a list of `Part`s:
one part per material, vertices in metres in the *object frame*: z up, origin at the centre of
the footprint, lowest point at z = 0.

Shape legend: V vertices, F faces, T texture coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import cv2
import numpy as np
import trimesh

from find_core.images import read_image

TEXTURE_SIZE = 512  # every texture is resized to this square; slots of the renderer share it


@dataclass
class Part:
    """One material's triangles of one object."""

    verts_V3: np.ndarray
    """(V, 3) float32, metres, object frame."""
    faces_F3: np.ndarray
    """(F, 3) int32 indices into `verts_V3`."""
    uvs_T2: np.ndarray
    """(T, 2) float32 texture coordinates."""
    face_uvs_F3: np.ndarray
    """(F, 3) int32 indices into `uvs_T2`."""
    rgba: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Colour of the part where it has no texture."""
    texture: np.ndarray | None = None
    """(512, 512, 3) uint8 RGB in MuJoCo's row order, or None for a plain part."""
    specular: float = 0.3
    """Strength of the highlight, 0 to 1."""


@dataclass
class Geometry:
    """The parts of one object shape, with what placement needs to know of it."""

    parts: list[Part] = field(default_factory=list)

    def vertices(self) -> np.ndarray:
        """All vertices, (V, 3) float32 metres in the object frame."""
        return np.concatenate([p.verts_V3 for p in self.parts])

    def bounds_m(self) -> np.ndarray:
        """(2, 3): lowest and highest corner of the axis-aligned box."""
        verts = self.vertices()
        return np.stack([verts.min(0), verts.max(0)])

    def extent_m(self) -> np.ndarray:
        """(3,) full side lengths of the axis-aligned box."""
        low, high = self.bounds_m()
        return high - low

    def transformed(self, T: np.ndarray) -> Geometry:
        """A copy whose vertices are moved by the 4x4 transform `T`."""
        return Geometry([_moved(p, T) for p in self.parts])

    def grounded(self) -> Geometry:
        """A copy with the footprint's centre at the origin and the lowest point at z = 0."""
        low, high = self.bounds_m()
        T = np.eye(4)
        T[:3, 3] = -(low + high) / 2
        T[2, 3] = -low[2]
        return self.transformed(T)

    def resized(self, longest_m: float) -> Geometry:
        """A copy scaled so that its longest side measures `longest_m`."""
        return self.transformed(np.diag([*(3 * [longest_m / self.extent_m().max()]), 1.0]))


def _moved(part: Part, T: np.ndarray) -> Part:
    verts = (part.verts_V3 @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
    return Part(
        verts, part.faces_F3, part.uvs_T2, part.face_uvs_F3, part.rgba, part.texture, part.specular
    )


def part_from_triangles(verts: np.ndarray, faces: np.ndarray, **kwargs: Any) -> Part:
    """A part with texture coordinates by box projection (each face along its dominant axis)."""
    tri_F33 = verts[faces]
    normal = np.cross(tri_F33[:, 1] - tri_F33[:, 0], tri_F33[:, 2] - tri_F33[:, 0])
    axis = np.abs(normal).argmax(1)
    low, size = verts.min(0), max(float(np.ptp(verts, axis=0).max()), 1e-6)
    unit = (tri_F33 - low) / size
    keep = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    uvs = np.take_along_axis(unit, keep[:, None, :].repeat(3, 1), axis=2).reshape(-1, 2)
    index = np.arange(len(faces) * 3, dtype=np.int32).reshape(-1, 3)
    return Part(
        verts.astype(np.float32), faces.astype(np.int32), uvs.astype(np.float32), index, **kwargs
    )


def creased(mesh: trimesh.Trimesh, angle_rad: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces with edges sharper than the angle split, so that they shade as edges."""
    mesh = mesh.copy()
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    if len(mesh.faces) > 60:
        mesh = trimesh.graph.smooth_shade(mesh, angle=angle_rad)
    else:
        mesh.unmerge_vertices()
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def load_trimesh(
    path: Path,
    rgba: tuple[float, float, float, float] = (0.7, 0.7, 0.7, 1.0),
    texture: np.ndarray | None = None,
) -> Geometry:
    """Read an OBJ/STL/GLB file; keeps its texture coordinates when a texture is given."""
    mesh = cast(trimesh.Trimesh, trimesh.load(path, force="mesh", process=False))
    uv = getattr(mesh.visual, "uv", None)
    if texture is not None and uv is not None and len(uv) == len(mesh.vertices):
        faces = np.asarray(mesh.faces, np.int32)
        part = Part(
            np.asarray(mesh.vertices, np.float32),
            faces,
            np.asarray(uv, np.float32),
            faces,
            rgba,
            texture,
        )
    else:
        part = part_from_triangles(*creased(mesh), rgba=rgba)
    return Geometry([part])


def load_texture(path: Path) -> np.ndarray:
    """An image file as (512, 512, 3) uint8 RGB, top row first."""
    return fit_texture(read_image(path, upright=False))


def fit_texture(image: np.ndarray) -> np.ndarray:
    """Resize any RGB image to the texture square."""
    size = (TEXTURE_SIZE, TEXTURE_SIZE)
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def load_mjcf(path: Path, group: int | None = 1, only: tuple[str, ...] = ()) -> Geometry:
    """The visible geoms of an MJCF file at its rest pose, merged into one part per material.

    `group` is the geom group that the file uses for its visual geoms (LIBERO: 1); `only` keeps
    the geoms whose own or mesh's name contains one of the given strings.
    """
    import mujoco

    model = mujoco.MjModel.from_xml_string(static_mjcf(path))
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    parts: dict[object, list[Part]] = {}
    for g in range(model.ngeom):
        name = _geom_name(model, g)
        if group is not None and model.geom_group[g] != group:
            continue
        if only and not any(s in name for s in only):
            continue
        part = _geom_part(model, data, g)
        if part is not None:
            key = int(model.geom_matid[g]) if model.geom_matid[g] >= 0 else part.rgba
            parts.setdefault(key, []).append(part)
    return Geometry([merge_parts(group) for group in parts.values()])


_MOVING = {"joint", "freejoint", "inertial", "region"}
_DYNAMICS = {"actuator", "sensor", "contact", "equality", "tendon", "keyframe"}


def static_mjcf(path: Path) -> str:
    """An MJCF file as text with absolute asset paths and nothing that moves.

    The benchmark's articulated files compile only inside a larger model (massless doors, assets
    declared twice); for a rest pose, joints and masses are not needed.
    """
    root = ElementTree.parse(path).getroot()
    for parent in list(root.iter()):
        seen: set[tuple[str, str | None]] = set()
        for child in list(parent):
            key = (child.tag, child.get("name"))
            duplicate = parent.tag == "asset" and key in seen
            if child.tag in _MOVING | _DYNAMICS or duplicate:
                parent.remove(child)
            seen.add(key)
            if parent.tag == "asset" and child.get("file"):
                child.set("file", str((path.parent / child.get("file", "")).resolve()))
    return ElementTree.tostring(root, encoding="unicode")


def _geom_name(model: Any, g: int) -> str:
    mesh_id = model.geom_dataid[g]
    is_mesh = model.geom_type[g] == 7 and mesh_id >= 0
    return model.geom(g).name + "|" + (model.mesh(mesh_id).name if is_mesh else "")


def merge_parts(parts: list[Part]) -> Part:
    """Concatenate parts of one material."""
    n_verts = np.cumsum([0] + [len(p.verts_V3) for p in parts])
    n_uvs = np.cumsum([0] + [len(p.uvs_T2) for p in parts])
    return Part(
        np.concatenate([p.verts_V3 for p in parts]),
        np.concatenate([p.faces_F3 + n for p, n in zip(parts, n_verts, strict=False)]),
        np.concatenate([p.uvs_T2 for p in parts]),
        np.concatenate([p.face_uvs_F3 + n for p, n in zip(parts, n_uvs, strict=False)]),
        parts[0].rgba,
        parts[0].texture,
        parts[0].specular,
    )


def _geom_part(model: Any, data: Any, g: int) -> Part | None:
    """Geom `g` of a compiled model as a part in world coordinates; None where invisible."""
    mat = int(model.geom_matid[g])
    red, green, blue, alpha = map(float, model.mat_rgba[mat] if mat >= 0 else model.geom_rgba[g])
    if alpha < 0.05:
        return None
    texture = _material_texture(model, mat)
    arrays = _mesh_arrays(model, g) if model.geom_type[g] == 7 else _primitive(model, g)
    if arrays is None:
        return None
    part = arrays
    part.rgba, part.texture = (red, green, blue, 1.0), texture
    part.specular = float(model.mat_specular[mat]) if mat >= 0 else 0.3
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = data.geom_xmat[g].reshape(3, 3), data.geom_xpos[g]
    return _moved(part, T)


def _mesh_arrays(model: Any, g: int) -> Part:
    m = model.geom_dataid[g]
    v0, nv = model.mesh_vertadr[m], model.mesh_vertnum[m]
    f0, nf = model.mesh_faceadr[m], model.mesh_facenum[m]
    verts, faces = model.mesh_vert[v0 : v0 + nv].copy(), model.mesh_face[f0 : f0 + nf].copy()
    t0, nt = model.mesh_texcoordadr[m], model.mesh_texcoordnum[m]
    if t0 < 0:
        return part_from_triangles(verts, faces)
    return Part(
        verts,
        faces,
        model.mesh_texcoord[t0 : t0 + nt].copy(),
        model.mesh_facetexcoord[f0 : f0 + nf].copy(),
    )


def _primitive(model: Any, g: int) -> Part | None:
    size = model.geom_size[g]
    kind = model.geom_type[g]
    if kind == 6:
        mesh = trimesh.creation.box(extents=2 * size)
    elif kind == 5:
        mesh = trimesh.creation.cylinder(radius=size[0], height=2 * size[1], sections=24)
    elif kind == 3:
        mesh = trimesh.creation.capsule(radius=size[0], height=2 * size[1], count=[12, 12])
        mesh.apply_translation([0, 0, -mesh.bounds.mean(0)[2]])
    elif kind == 2:
        mesh = trimesh.creation.icosphere(subdivisions=2, radius=size[0])
    else:
        return None
    return part_from_triangles(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def _material_texture(model: Any, mat: int) -> np.ndarray | None:
    if mat < 0:
        return None
    ids = [t for t in np.atleast_1d(model.mat_texid[mat]) if t >= 0]
    if not ids:
        return None
    tex = int(ids[0])
    height, width = int(model.tex_height[tex]), int(model.tex_width[tex])
    channels = int(model.tex_nchannel[tex])
    height = min(height, width)  # cube maps stack six faces; the first serves
    start = int(model.tex_adr[tex])
    data = model.tex_data[start : start + height * width * channels]
    return fit_texture(data.reshape(height, width, channels)[..., :3])
