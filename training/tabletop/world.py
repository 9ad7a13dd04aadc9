"""The rendered world: seeds in, pictures and truths out.

`World` owns the gallery and the renderer; `World.scene(split, seed, index)` gives one complete
scene. Everything random comes from `(seed, split, index)`, in separate streams for the
arrangement, the language and the sensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.tabletop.cameras import look_at, sample_camera, sample_lights
from training.tabletop.facts import Query, Thing, thing_of, truth
from training.tabletop.format import rounded
from training.tabletop.gallery import Gallery, build_gallery
from training.tabletop.instructions import parse_instructions
from training.tabletop.layout import Composer, Layout, Placed
from training.tabletop.palette import Camera, Frame, Light, Palette, Shown
from training.tabletop.relations import Body, Judgement, judge
from training.tabletop.sensor import degrade
from training.tabletop.sentences import Writer
from training.tabletop.surroundings import (
    FURNITURE,
    Stuff,
    sample_surroundings,
    stuff_geometries,
)

SPLITS = {"train": 1, "val": 2, "held": 3, "sequence": 4}
WIDTH, HEIGHT = 512, 384
OBJECT_SLOTS, STUFF_SLOTS = 12, 8
SALIENT_PX, SALIENT_STUFF_PX, SALIENT_SHARE = 90, 2500, 0.25


@dataclass
class Setting:
    """A scene before it is rendered; world frame, metres."""

    layout: Layout
    stuff: list[Stuff]
    camera: Camera
    lights: list[Light]
    ambient: np.ndarray
    backdrop: np.ndarray
    """(2, 3) RGB 0 to 255: colour of empty space at the top and bottom of the picture."""


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
    """Gallery, renderer and writer together."""

    def __init__(self, gallery: Gallery | None = None, width: int = WIDTH, height: int = HEIGHT,
                 furniture: bool = True) -> None:
        self.gallery = gallery or build_gallery()
        self.stuff = stuff_geometries(furniture)
        meshes = self.gallery.meshes()
        for name, geometry in self.stuff.items():
            meshes |= {f"{name}#{i}": part for i, part in enumerate(geometry.parts[:4])}
        self.palette = Palette(meshes, OBJECT_SLOTS + STUFF_SLOTS, width, height)
        self.composer = Composer(self.gallery)
        self.instructions = parse_instructions(self.gallery)
        self._matches: dict[tuple[bool, Query], list[str]] = {}
        known = set(self.gallery.known())
        self._pools = {False: [thing_of(a) for a in self.gallery.assets.values() if a.id in known],
                       True: [thing_of(a) for a in self.gallery.assets.values()]}

    # -- arranging ---------------------------------------------------------------------------

    def arrange(self, split: str, rng: np.random.Generator) -> Setting:
        """Choose and place everything for one scene."""
        stuff, *half = sample_surroundings(rng, split, self.stuff)
        wanted = self._wanted(rng) if split != "held" and rng.random() < 0.3 else None
        ids = self.composer.choose(rng, split, wanted)
        layout = self.composer.place(ids, (half[0], half[1]), rng)
        points = np.concatenate([_corners(p) for p in layout.placed])
        aspect = self.palette.width / self.palette.height
        return Setting(layout, stuff[:STUFF_SLOTS], sample_camera(rng, points, aspect),
                       *sample_lights(rng), backdrop=rng.uniform(20, 235, (2, 3)))

    def _wanted(self, rng: np.random.Generator) -> list[str]:
        """Assets for one of the benchmark's instructions, so that it can be said here."""
        if not self.instructions:
            return []
        instruction = self.instructions[rng.integers(len(self.instructions))]
        chosen = []
        for query in instruction.queries:
            fits = [t.asset for t in self._pools[False] if truth(t, query) is True]
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
        self.palette.set_slot(s, Shown(self.gallery.parts(placed.asset.id),
                                       placed.T_world_object, placed.asset.gloss))

    def _shown_stuff(self, stuff: Stuff) -> Shown:
        parts = []
        for i, part in enumerate(self.stuff[stuff.geometry].parts[:4]):
            if stuff.texture is not None:
                part = type(part)(part.verts_V3, part.faces_F3, part.uvs_T2, part.face_uvs_F3,
                                  part.rgba, stuff.texture)
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
            if len(self._salient(instances)) >= 2 and (split != "held" or held_seen):
                break
        scene = {"index": index, "seed": seed,
                 "K": rounded(setting.camera.K(self.palette.width, self.palette.height), 3),
                 "T_world_camera": rounded(setting.camera.T_world_camera, 6),
                 "instances": instances}
        scene |= self.language(setting, instances, split, talk)
        rgb = degrade(with_backdrop(frame, setting.backdrop), sensor)
        return Rendered(scene, rgb, self.instance_ids(setting, frame),
                        frame.depth_m, frame)

    @staticmethod
    def _salient(instances: list[dict]) -> set[int]:
        return {i["id"] for i in instances if not i["stuff"]
                and i["visible_px"] >= SALIENT_PX and i["visibility"] >= SALIENT_SHARE}

    @staticmethod
    def slot_ids(setting: Setting) -> np.ndarray:
        """Instance id of every slot (0 where the slot is empty)."""
        ids = np.zeros(OBJECT_SLOTS + STUFF_SLOTS, np.uint16)
        n = len(setting.layout.placed)
        ids[:n] = np.arange(1, n + 1)
        ids[OBJECT_SLOTS:OBJECT_SLOTS + len(setting.stuff)] = np.arange(
            n + 1, n + 1 + len(setting.stuff))
        return ids

    def instance_ids(self, setting: Setting, frame: Frame) -> np.ndarray:
        """(H, W) uint16 instance ids of a frame."""
        table = np.append(self.slot_ids(setting), 0).astype(np.uint16)
        return table[frame.slots]  # slot -1 reads the appended 0

    def instances(self, setting: Setting, frame: Frame) -> list[dict]:
        """The visible instances, objects first."""
        seen = np.bincount(frame.slots[frame.slots >= 0].ravel(),
                           minlength=OBJECT_SLOTS + STUFF_SLOTS)
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
        return {"id": number, "asset": asset.id, "kind": asset.kind, "name": asset.name,
                "names": asset.names, "color": asset.color, "category": asset.category,
                "material": asset.material, "pattern": asset.pattern, "held_out": asset.held_out,
                "stuff": False, "center_world_m": rounded(centre[:3]),
                "extent_m": rounded(high - low),
                "T_world_object": rounded(placed.T_world_object, 6), "visible_px": px,
                "visibility": rounded(share, 3)}

    def _stuff(self, stuff: Stuff, number: int, px: int) -> dict:
        low, high = self.stuff[stuff.geometry].bounds_m()
        centre = stuff.T_world_object @ np.append((low + high) / 2, 1)
        return {"id": number, "asset": stuff.id, "kind": stuff.names[0], "name": stuff.names[0],
                "names": stuff.names, "color": "", "category": "surface",
                "material": stuff.material, "pattern": "", "held_out": False, "stuff": True,
                "center_world_m": rounded(centre[:3]), "extent_m": rounded(high - low),
                "T_world_object": rounded(stuff.T_world_object, 6), "visible_px": px,
                "visibility": 1.0}

    # -- language ----------------------------------------------------------------------------

    def language(self, setting: Setting, instances: list[dict], split: str,
                 rng: np.random.Generator) -> dict:
        """Relations and texts of a scene, in the on-disk form."""
        salient = self._salient(instances) | {
            i["id"] for i in instances if i["stuff"] and i["visible_px"] >= SALIENT_STUFF_PX}
        things = [self._thing(i, setting, i["id"] in salient) for i in instances]
        relations = self.relations(setting, instances)
        held = split == "held"
        writer = Writer(things, relations, lambda q: self.matches(q, held), rng,
                        self.instructions)
        words = writer.write(self._pools[held])
        return {"relations": [list(r) for r in sorted(relations.clear)],
                "phrases": words.phrases, "sentences": words.sentences,
                "captions": words.captions, "absent": words.absent}

    def _thing(self, instance: dict, setting: Setting, salient: bool) -> Thing:
        if not instance["stuff"]:
            asset = setting.layout.placed[instance["id"] - 1].asset
            return thing_of(asset, instance["id"], salient)
        return Thing(instance["id"], instance["asset"], frozenset(instance["names"]),
                     _STUFF_MAYBE.get(instance["asset"], frozenset()), instance["name"],
                     category="surface", material=instance["material"], stuff=True,
                     salient=salient)

    def relations(self, setting: Setting, instances: list[dict]) -> Judgement:
        """Relations between the visible instances, by instance id."""
        visible = {i["id"] for i in instances}
        placed = setting.layout.placed
        judged = judge([Body(p.outline_N2, p.floor_m, p.top_m, p.parent, p.inside)
                        for p in placed], setting.camera.T_world_camera)
        clear = {(s + 1, r, o + 1) for s, r, o in judged.clear}
        unclear = {(s + 1, r, o + 1) for s, r, o in judged.unclear}
        ground = len(placed) + 1  # the first stuff is what everything stands on
        for s, p in enumerate(placed):
            (clear if p.parent is None else unclear).add((s + 1, "on", ground))
        return Judgement(frozenset(r for r in clear if {r[0], r[2]} <= visible),
                         frozenset(unclear))

    def matches(self, query: Query, held: bool) -> list[str] | None:
        """Asset ids of the gallery (known ones only, unless `held`) that a query is true of.

        None where that depends on the scene: surfaces change their material.
        """
        key = (held, query)
        if key not in self._matches:
            self._matches[key] = [t.asset for t in self._pools[held] if truth(t, query) is True]
            self._matches[key] += sorted(
                name for name, nouns in _STUFF_NOUNS.items() if query.text in nouns)
        return self._matches[key] or None

    def gallery_json(self) -> dict:
        """Content of gallery.json."""
        out = {a.id: a.to_json() for a in self.gallery.assets.values()}
        for name, nouns in _STUFF_NOUNS.items():
            if name in self.stuff:
                out[name] = {"kind": nouns[0], "name": nouns[0], "names": list(nouns),
                             "color": "", "category": "surface", "shape": nouns[0],
                             "material": "", "held_out": False, "pattern": "",
                             "source": "libero-scene" if name in FURNITURE else "surface"}
        return out

    def close(self) -> None:
        """Free the renderer."""
        self.palette.close()


_STUFF_NOUNS: dict[str, tuple[str, ...]] = {
    **{name: ("table", "tabletop") for name in (
        "table-small", "table-medium", "table-wide", "table-long", "table-round", "table-desk")},
    "floor": ("floor", "ground"), "wall": ("wall",),
    **{name: nouns for name, (_, _, nouns) in FURNITURE.items()}}
_STUFF_MAYBE: dict[str, frozenset[str]] = {
    "table-desk": frozenset({"desk"}), "f-desk": frozenset({"table"}),
    "f-kitchen": frozenset({"cabinet", "stove", "sink", "shelf", "cooker", "faucet", "tap",
                            "microwave", "pot"}),
    "f-livingroom": frozenset({"cabinet", "shelf", "bookshelf", "vase", "book"}),
    "f-bookshelf": frozenset({"shelf", "rack", "book", "box"}),
    "f-coffeetable": frozenset({"table", "desk"}), "f-fridge": frozenset({"cabinet"}),
    "f-seats": frozenset({"chair", "cushion", "block"}), "f-plant": frozenset({"pot", "vase"})}


def with_backdrop(frame: Frame, backdrop: np.ndarray) -> np.ndarray:
    """The frame's picture with a vertical gradient where nothing was hit; (H, W, 3) uint8."""
    height = frame.rgb.shape[0]
    mix = np.linspace(0, 1, height)[:, None, None]
    gradient = (backdrop[0] * (1 - mix) + backdrop[1] * mix).astype(np.uint8)
    return np.where(frame.slots[..., None] < 0, gradient, frame.rgb)


def _corners(placed: Placed) -> np.ndarray:
    """(2N, 3) outline of an object at its lowest and highest z, world metres."""
    n = len(placed.outline_N2)
    return np.concatenate([np.column_stack([placed.outline_N2, np.full(n, z)])
                           for z in (placed.floor_m, placed.top_m)])


__all__ = ["Rendered", "Setting", "World", "look_at"]
