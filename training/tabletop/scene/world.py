"""The rendered world: seeds in, images and truths out.

`World` owns the gallery and the renderer; `World.scene(split, seed, index)` gives one complete
scene. Everything random comes from `(seed, split, index)`, in separate streams for the
arrangement, the language and the sensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.tabletop.assets.gallery import Gallery, build_gallery
from training.tabletop.assets.palette import Camera, Frame, Light, Palette, Shown
from training.tabletop.format import rounded
from training.tabletop.language.scene_text import STUFF_NOUNS, SceneTextWriter, salient_ids
from training.tabletop.language.truth import truth
from training.tabletop.scene.cameras import (
    sample_camera,
    sample_lights,
    wide_camera,
    wide_lights,
)
from training.tabletop.scene.layout import Composer, Layout, Placed
from training.tabletop.scene.sensor import degrade
from training.tabletop.scene.surroundings import (
    FURNITURE,
    Stuff,
    sample_surroundings,
    stuff_geometries,
)
from training.truth import TRUE

SPLITS = {"train": 1, "val": 2, "held": 3, "sequence": 4}
WIDTH, HEIGHT = 512, 384
OBJECT_SLOTS, STUFF_SLOTS = 12, 8


@dataclass
class Setting:
    """A scene before it is rendered; world frame, metres."""

    layout: Layout
    stuff: list[Stuff]
    camera: Camera
    lights: list[Light]
    ambient: np.ndarray
    backdrop: np.ndarray
    """(2, 3) RGB 0 to 255: colour of empty space at the top and bottom of the image."""


@dataclass
class Rendered:
    """A finished scene: what `format` writes."""

    scene: dict
    rgb: np.ndarray
    """(H, W, 3) uint8 after the sensor."""
    ids: np.ndarray
    """(H, W) uint16 instance ids, 0 = background."""
    depth_m: np.ndarray
    """(H, W) float32 metres."""
    frame: Frame = field(repr=False)


class World:
    """Gallery, renderer and writer together.

    Args:
        wide: cameras and lamps vary more than in the validation scenes.
    """

    def __init__(
        self,
        gallery: Gallery | None = None,
        width: int = WIDTH,
        height: int = HEIGHT,
        furniture: bool = True,
        wide: bool = False,
    ) -> None:
        self.wide = wide
        self.gallery = gallery or build_gallery()
        self.stuff = stuff_geometries(furniture)
        meshes = self.gallery.meshes()
        for name, geometry in self.stuff.items():
            meshes |= {f"{name}#{i}": part for i, part in enumerate(geometry.parts[:4])}
        self.palette = Palette(meshes, OBJECT_SLOTS + STUFF_SLOTS, width, height)
        self.composer = Composer(self.gallery)
        self.text_writer = SceneTextWriter(self.gallery)

    # -- arranging ---------------------------------------------------------------------------

    def arrange(self, split: str, rng: np.random.Generator) -> Setting:
        """Choose and place everything for one scene."""
        stuff, *half = sample_surroundings(rng, split, self.stuff)
        wanted = self._wanted(split, rng) if split != "held" and rng.random() < 0.3 else None
        ids = self.composer.choose(rng, split, wanted)
        layout = self.composer.place(ids, (half[0], half[1]), rng)
        points = np.concatenate([_corners(p) for p in layout.placed])
        aspect = self.palette.width / self.palette.height
        camera = (wide_camera if self.wide else sample_camera)(rng, points, aspect)
        lights = (wide_lights if self.wide else sample_lights)(rng)
        return Setting(
            layout,
            stuff[:STUFF_SLOTS],
            camera,
            *lights,
            backdrop=rng.uniform(20, 235, (2, 3)),
        )

    def _wanted(self, split: str, rng: np.random.Generator) -> list[str]:
        """Assets for one of the benchmark's instructions, so that it can be said here."""
        instructions = self.text_writer.instructions
        if not instructions:
            return []
        instruction = instructions[rng.integers(len(instructions))]
        chosen = []
        for query in instruction.queries:
            fits = [t.asset for t in self.text_writer.pools[split] if truth(t, query) is TRUE]
            libero = [a for a in fits if self.gallery.assets[a].source.startswith("libero")]
            pool = libero or fits
            chosen.append(pool[rng.integers(len(pool))])
        return chosen

    # -- rendering ---------------------------------------------------------------------------

    def show(self, setting: Setting) -> None:
        """Load a setting into the palette's slots."""
        for s in range(OBJECT_SLOTS):
            self.palette.set_slot(s, None)
        for s, placed in enumerate(setting.layout.placed):
            self.show_object(s, placed)
        for s in range(STUFF_SLOTS):
            stuff = setting.stuff[s] if s < len(setting.stuff) else None
            self.palette.set_slot(OBJECT_SLOTS + s, self._shown_stuff(stuff) if stuff else None)
        self.palette.set_lights(setting.lights, setting.ambient)

    def show_object(self, s: int, placed: Placed) -> None:
        """Show one object in its slot."""
        self.palette.set_slot(
            s, Shown(self.gallery.parts(placed.asset.id), placed.T_world_object, placed.asset.gloss)
        )

    def _shown_stuff(self, stuff: Stuff) -> Shown:
        parts = []
        for i, part in enumerate(self.stuff[stuff.geometry].parts[:4]):
            if stuff.texture is not None:
                part = type(part)(
                    part.verts_V3,
                    part.faces_F3,
                    part.uvs_T2,
                    part.face_uvs_F3,
                    part.rgba,
                    stuff.texture,
                )
            parts.append((f"{stuff.geometry}#{i}", part))
        return Shown(parts, stuff.T_world_object, gloss=0.1)

    def scene(self, split: str, seed: int, index: int) -> Rendered:
        """One complete scene of a split."""
        for attempt in range(8):
            key = [seed, SPLITS[split], index, attempt]
            rng, talk, sensor = (np.random.default_rng([*key, stream]) for stream in range(3))
            setting = self.arrange(split, rng)
            self.show(setting)
            frame = self.palette.render(setting.camera)
            instances = self.instances(setting, frame)
            held_seen = any(i["held_out"] and i["visible_px"] >= 200 for i in instances)
            if len(salient_ids(instances)) >= 2 and (split != "held" or held_seen):
                break
        scene = {
            "index": index,
            "seed": seed,
            "K": rounded(setting.camera.K(self.palette.width, self.palette.height), 3),
            "T_world_camera": rounded(setting.camera.T_world_camera, 6),
            "instances": instances,
        }
        scene |= self.text_writer.language(
            setting.layout, setting.camera.T_world_camera, instances, split, talk
        )
        rgb = degrade(with_backdrop(frame, setting.backdrop), sensor)
        return Rendered(scene, rgb, self.instance_ids(setting, frame), frame.depth_m, frame)

    @staticmethod
    def slot_ids(setting: Setting) -> np.ndarray:
        """Instance id of every slot (0 where the slot is empty)."""
        ids = np.zeros(OBJECT_SLOTS + STUFF_SLOTS, np.uint16)
        n = len(setting.layout.placed)
        ids[:n] = np.arange(1, n + 1)
        ids[OBJECT_SLOTS : OBJECT_SLOTS + len(setting.stuff)] = np.arange(
            n + 1, n + 1 + len(setting.stuff)
        )
        return ids

    def instance_ids(self, setting: Setting, frame: Frame) -> np.ndarray:
        """(H, W) uint16 instance ids of a frame."""
        table = np.append(self.slot_ids(setting), 0).astype(np.uint16)
        return table[frame.slots]  # slot -1 reads the appended 0

    def instances(self, setting: Setting, frame: Frame) -> list[dict]:
        """The visible instances, objects first."""
        seen = np.bincount(
            frame.slots[frame.slots >= 0].ravel(), minlength=OBJECT_SLOTS + STUFF_SLOTS
        )
        ids, out = self.slot_ids(setting), []
        for s in np.flatnonzero(seen):
            px = int(seen[s])
            if s < OBJECT_SLOTS:
                out.append(self._object(setting, int(s), int(ids[s]), px, self._share(s, frame)))
            else:
                out.append(self._stuff(setting.stuff[s - OBJECT_SLOTS], int(ids[s]), px))
        return out

    def _share(self, s: int, frame: Frame) -> float:
        """Share of the object's pixels within the frame that nothing hides (at half scale)."""
        height, width = frame.slots.shape
        alone = self.palette.alone_px(int(s), width // 2, height // 2)
        visible = int((frame.slots[1::2, 1::2] == s).sum())
        return min(visible / alone, 1.0) if alone else 1.0

    def _object(self, setting: Setting, s: int, number: int, px: int, share: float) -> dict:
        placed = setting.layout.placed[s]
        asset = placed.asset
        low, high = self.gallery.geometries[asset.geometry].bounds_m()
        centre = placed.T_world_object @ np.append((low + high) / 2, 1)
        return {
            "id": number,
            "asset": asset.id,
            "kind": asset.kind,
            "name": asset.name,
            "names": asset.names,
            "color": asset.color,
            "category": asset.category,
            "material": asset.material,
            "pattern": asset.pattern,
            "held_out": asset.held_out,
            "stuff": False,
            "center_world_m": rounded(centre[:3]),
            "extent_m": rounded(high - low),
            "T_world_object": rounded(placed.T_world_object, 6),
            "visible_px": px,
            "visibility": rounded(share, 3),
        }

    def _stuff(self, stuff: Stuff, number: int, px: int) -> dict:
        low, high = self.stuff[stuff.geometry].bounds_m()
        centre = stuff.T_world_object @ np.append((low + high) / 2, 1)
        return {
            "id": number,
            "asset": stuff.id,
            "kind": stuff.names[0],
            "name": stuff.names[0],
            "names": stuff.names,
            "color": "",
            "category": "surface",
            "material": stuff.material,
            "pattern": "",
            "held_out": False,
            "stuff": True,
            "center_world_m": rounded(centre[:3]),
            "extent_m": rounded(high - low),
            "T_world_object": rounded(stuff.T_world_object, 6),
            "visible_px": px,
            "visibility": 1.0,
        }

    def gallery_json(self) -> dict:
        """Content of gallery.json."""
        out = {a.id: a.to_json() for a in self.gallery.assets.values()}
        for name, nouns in STUFF_NOUNS.items():
            if name in self.stuff:
                out[name] = {
                    "kind": nouns[0],
                    "name": nouns[0],
                    "names": list(nouns),
                    "color": "",
                    "category": "surface",
                    "shape": nouns[0],
                    "material": "",
                    "held_out": False,
                    "pattern": "",
                    "source": "libero-scene" if name in FURNITURE else "surface",
                }
        return out

    def close(self) -> None:
        """Free the renderer."""
        self.palette.close()


def with_backdrop(frame: Frame, backdrop: np.ndarray) -> np.ndarray:
    """The frame's image with a vertical gradient where nothing was hit; (H, W, 3) uint8."""
    height = frame.rgb.shape[0]
    mix = np.linspace(0, 1, height)[:, None, None]
    gradient = (backdrop[0] * (1 - mix) + backdrop[1] * mix).astype(np.uint8)
    return np.where(frame.slots[..., None] < 0, gradient, frame.rgb)


def _corners(placed: Placed) -> np.ndarray:
    """(2N, 3) outline of an object at its lowest and highest z, world metres."""
    n = len(placed.outline_N2)
    return np.concatenate(
        [
            np.column_stack([placed.outline_N2, np.full(n, z)])
            for z in (placed.floor_m, placed.top_m)
        ]
    )
