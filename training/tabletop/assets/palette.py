"""One MuJoCo model that can show any scene: meshes compiled once, textures swapped per scene.

A *palette* holds every mesh of the gallery and a fixed number of *slots* (mocap bodies with a few
mesh geoms each). A scene assigns gallery objects to slots by rewriting the compiled model (which
mesh a geom shows, its material, its colour) and uploads only the textures it needs, so that a new
scene costs a render, never a compile, and any number of recoloured variants costs no memory.

Frames: world z up, metres; cameras are OpenCV (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.tabletop.assets.meshes import TEXTURE_SIZE, Part

SLOT_PARTS = 4
"""Geoms per slot; every object has been merged to at most this many materials."""
HIDDEN_GROUP, SHOWN_GROUP = 5, 1
NEAR_M, FAR_M = 0.05, 12.0


@dataclass
class Light:
    """One lamp: world position and aim direction, RGB strengths."""

    pos_world_m: np.ndarray
    direction: np.ndarray
    diffuse: np.ndarray
    specular: np.ndarray
    directional: bool
    castshadow: bool


@dataclass
class Camera:
    """A pinhole camera."""

    T_world_camera: np.ndarray
    """(4, 4) OpenCV camera frame to world, metres."""
    fovy_deg: float
    """Vertical field of view, degrees."""

    def K(self, width: int, height: int) -> np.ndarray:
        """(3, 3) intrinsics in pixels; integer pixel coordinates are pixel centres."""
        focal = height / 2 / np.tan(np.radians(self.fovy_deg) / 2)
        return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


@dataclass
class Shown:
    """What one slot shows in one scene."""

    parts: list[tuple[str, Part]]
    """(mesh name in the palette, part with the colour or texture to use)."""
    T_world_object: np.ndarray
    """(4, 4), metres."""
    gloss: float = 0.3
    """Specular strength, 0 to 1."""


@dataclass
class Frame:
    """One rendered view."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    depth_m: np.ndarray
    """(H, W) float32 z-depth in metres; 0 where nothing was hit."""
    slots: np.ndarray
    """(H, W) int16 slot index; -1 where nothing was hit."""


class Palette:
    """The compiled model, its slots and its off-screen renderer."""

    def __init__(
        self,
        meshes: dict[str, Part],
        n_slots: int,
        width: int,
        height: int,
        supersample: float = 1.5,
        n_textures: int = 2,
    ) -> None:
        import mujoco

        self._mj = mujoco
        self.n_slots, self.n_textures = n_slots, n_textures
        self.width, self.height = width, height
        self._render_size = (round(width * supersample), round(height * supersample))
        self.model = self._compile(meshes)
        self.data = mujoco.MjData(self.model)
        self._mesh_ids = {name: self.model.mesh(name).id for name in meshes}
        self._slot_of_geom = np.repeat(np.arange(n_slots), SLOT_PARTS).astype(np.int16)
        self.model.geom_sameframe[:] = 0  # geoms are re-posed at run time
        self._gl = mujoco.GLContext(*self._render_size)
        self._gl.make_current()
        self._context = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(self.model, maxgeom=n_slots * SLOT_PARTS + 16)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = [0, 1, 0, 0, 0, 0]
        self._camera = mujoco.MjvCamera()
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0

    def _compile(self, meshes: dict[str, Part]) -> Any:
        mj = self._mj
        spec = mj.MjSpec()
        spec.visual.global_.offwidth, spec.visual.global_.offheight = self._render_size
        spec.visual.quality.shadowsize = 1024
        spec.visual.quality.offsamples = 0
        spec.stat.extent, spec.stat.center = 1.0, [0, 0, 0]
        spec.visual.map.znear, spec.visual.map.zfar = NEAR_M, FAR_M
        for name, part in meshes.items():
            _add_mesh(mj, spec, name, part)
        first = next(iter(meshes))
        spec.worldbody.add_camera(name="camera")
        for i in range(3):
            spec.worldbody.add_light(name=f"light{i}", pos=[0, 0, 2], dir=[0, 0, -1])
        for s in range(self.n_slots):
            self._add_slot(spec, s, first)
        return spec.compile()

    def _add_slot(self, spec: Any, s: int, mesh: str) -> None:
        mj = self._mj
        body = spec.worldbody.add_body(name=f"slot{s}", mocap=True)
        for t in range(self.n_textures):
            spec.add_texture(
                name=f"tex{s}_{t}",
                type=mj.mjtTexture.mjTEXTURE_2D,
                builtin=mj.mjtBuiltin.mjBUILTIN_FLAT,
                nchannel=3,
                width=TEXTURE_SIZE,
                height=TEXTURE_SIZE,
            )
            material = spec.add_material(name=f"mat{s}_{t}")
            material.textures[mj.mjtTextureRole.mjTEXROLE_RGB] = f"tex{s}_{t}"
        for p in range(SLOT_PARTS):
            spec.add_material(name=f"plain{s}_{p}")
            body.add_geom(
                name=f"geom{s}_{p}",
                type=mj.mjtGeom.mjGEOM_MESH,
                meshname=mesh,
                contype=0,
                conaffinity=0,
                group=HIDDEN_GROUP,
            )

    def set_slot(self, s: int, shown: Shown | None) -> None:
        """Show an object in slot `s`, or nothing."""
        model, first = self.model, s * SLOT_PARTS
        model.geom_group[first : first + SLOT_PARTS] = HIDDEN_GROUP
        if shown is None:
            return
        textures = 0
        for p, (name, part) in enumerate(shown.parts[:SLOT_PARTS]):
            g, mesh = first + p, self._mesh_ids[name]
            model.geom_dataid[g], model.geom_group[g] = mesh, SHOWN_GROUP
            model.geom_pos[g], model.geom_quat[g] = model.mesh_pos[mesh], model.mesh_quat[mesh]
            if part.texture is not None and textures < self.n_textures:
                mat = model.material(f"mat{s}_{textures}").id
                self._upload(s, textures, part.texture)
                model.mat_rgba[mat] = model.geom_rgba[g] = 1
                textures += 1
            else:
                mat = model.material(f"plain{s}_{p}").id
                model.mat_rgba[mat] = model.geom_rgba[g] = _plain_rgba(part)
            model.geom_matid[g] = mat
            model.mat_specular[mat] = shown.gloss
            model.mat_shininess[mat] = 0.2 + 0.6 * shown.gloss
        self.pose_slot(s, shown.T_world_object)

    def _upload(self, s: int, t: int, texture: np.ndarray) -> None:
        tex = self.model.texture(f"tex{s}_{t}").id
        start = int(self.model.tex_adr[tex])
        self.model.tex_data[start : start + texture.size] = texture.reshape(-1)
        self._mj.mjr_uploadTexture(self.model, self._context, tex)

    def pose_slot(self, s: int, T_world_object: np.ndarray) -> None:
        """Move slot `s`; 4x4, metres."""
        body = self.model.body(f"slot{s}")
        quat = np.zeros(4)
        self._mj.mju_mat2Quat(quat, np.ascontiguousarray(T_world_object[:3, :3]).reshape(-1))
        self.data.mocap_pos[body.mocapid[0]] = T_world_object[:3, 3]
        self.data.mocap_quat[body.mocapid[0]] = quat

    def set_lights(self, lights: list[Light], ambient: np.ndarray) -> None:
        """Set up to three lamps (the others are switched off) and the room's (3,) ambient RGB."""
        model = self.model
        model.vis.headlight.ambient[:] = ambient
        model.vis.headlight.diffuse[:] = 0.12
        model.vis.headlight.specular[:] = 0
        model.light_active[:] = 0
        for i, lamp in enumerate(lights[:3]):
            model.light_active[i] = 1
            model.light_pos[i], model.light_dir[i] = lamp.pos_world_m, lamp.direction
            model.light_diffuse[i], model.light_specular[i] = lamp.diffuse, lamp.specular
            model.light_ambient[i] = 0
            model.light_castshadow[i] = lamp.castshadow
            model.light_type[i] = int(lamp.directional)

    def render(self, camera: Camera) -> Frame:
        """Colour, depth and slot index of every pixel."""
        self._pose_camera(camera)
        rgb, _ = self._pass(self._render_size, segment=False, depth=False)
        size = (self.width, self.height)
        import cv2

        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        slots, depth = self._pass(size, segment=True)
        return Frame(small, np.where(slots >= 0, depth, 0).astype(np.float32), slots)

    def alone_px(self, slot: int, width: int, height: int) -> int:
        """How many pixels the slot's object would cover with nothing in front of it."""
        groups = self.model.geom_group.copy()
        first = slot * SLOT_PARTS
        self.model.geom_group[:] = HIDDEN_GROUP
        self.model.geom_group[first : first + SLOT_PARTS] = groups[first : first + SLOT_PARTS]
        slots, _ = self._pass((width, height), segment=True, depth=False)
        self.model.geom_group[:] = groups
        return int((slots >= 0).sum())

    def _pose_camera(self, camera: Camera) -> None:
        R = camera.T_world_camera[:3, :3] @ np.diag([1.0, -1.0, -1.0])  # OpenCV to OpenGL axes
        self._mj.mju_mat2Quat(self.model.cam_quat[0], np.ascontiguousarray(R).reshape(-1))
        self.model.cam_pos[0] = camera.T_world_camera[:3, 3]
        self.model.cam_fovy[0] = camera.fovy_deg
        self._mj.mj_kinematics(self.model, self.data)
        self._mj.mj_camlight(self.model, self.data)

    def _pass(
        self, size: tuple[int, int], segment: bool, depth: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        mj = self._mj
        mj.mjv_updateScene(
            self.model,
            self.data,
            self._option,
            None,
            self._camera,
            mj.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        flags = self._scene.flags
        flags[mj.mjtRndFlag.mjRND_SEGMENT] = flags[mj.mjtRndFlag.mjRND_IDCOLOR] = segment
        flags[mj.mjtRndFlag.mjRND_SHADOW] = not segment
        flags[mj.mjtRndFlag.mjRND_SKYBOX] = flags[mj.mjtRndFlag.mjRND_REFLECTION] = 0
        viewport = mj.MjrRect(0, 0, *size)
        mj.mjr_render(viewport, self._scene, self._context)
        rgb = np.empty((size[1], size[0], 3), np.uint8)
        zbuf = np.zeros((size[1], size[0]), np.float32)
        mj.mjr_readPixels(rgb, zbuf if depth else None, viewport, self._context)
        if not segment:
            return rgb[::-1], zbuf
        return self._decode(rgb[::-1]), _z_depth(zbuf[::-1])

    def _decode(self, rgb: np.ndarray) -> np.ndarray:
        """Segment-id colours to slot indices."""
        code = rgb[..., 0].astype(np.int32) + rgb[..., 1].astype(np.int32) * 256
        lookup = np.full(max(int(code.max()) + 1, 2), -1, np.int16)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == self._mj.mjtObj.mjOBJ_GEOM and 0 <= geom.segid + 1 < len(lookup):
                lookup[geom.segid + 1] = self._slot_of_geom[geom.objid]
        return lookup[code]

    def close(self) -> None:
        """Free the GL context."""
        self._context.free()
        self._gl.free()


def _plain_rgba(part: Part) -> tuple[float, ...]:
    if part.texture is None:
        return part.rgba
    return (*(part.texture.reshape(-1, 3).mean(0) / 255.0), 1.0)


def _add_mesh(mj: Any, spec: Any, name: str, part: Part) -> None:
    mesh = spec.add_mesh(name=name)
    mesh.uservert = np.ascontiguousarray(part.verts_V3, np.float32).reshape(-1)
    mesh.userface = np.ascontiguousarray(part.faces_F3, np.int32).reshape(-1)
    mesh.usertexcoord = np.ascontiguousarray(part.uvs_T2, np.float32).reshape(-1)
    mesh.userfacetexcoord = np.ascontiguousarray(part.face_uvs_F3, np.int32).reshape(-1)
    mesh.inertia = mj.mjtMeshInertia.mjMESH_INERTIA_SHELL


def _z_depth(zbuf: np.ndarray) -> np.ndarray:
    """OpenGL's depth buffer to metres along the camera's z axis."""
    return NEAR_M / (1 - zbuf * (1 - NEAR_M / FAR_M))
