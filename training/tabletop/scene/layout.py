"""Deciding what a scene holds and where it stands.

World frame: z up, metres, the working surface is z = 0; the camera stands on the -y side.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from training.tabletop.assets.gallery import Asset, Gallery
from training.tabletop.scene.placement import (
    ShapeInfo,
    drop_height,
    footprint,
    gap_m,
    inside_of,
    resting_transform,
    yaw_matrix,
)

CONTAINERS = {"bowl", "basket", "tray", "caddy", "open box", "pot"}
"""Shapes that objects are put *in* when they come to rest below the rim."""
PLATFORMS = {
    "plate",
    "book",
    "stove",
    "box",
    "cabinet",
    "microwave",
    "tray",
    "shelf",
    "fridge",
    "placemat",
    "block",
    "laptop",
}
MAX_OBJECTS = 12
LOOKALIKES = {"train": 0.9, "val": 0.4, "held": 0.4, "sequence": 0.4}
"""Share of the scenes that are given two or three of a kind; training needs more, for relations."""


@dataclass
class Placed:
    """One object of a scene."""

    asset: Asset
    T_world_object: np.ndarray
    """(4, 4) object frame (z up, footprint centre, lowest point 0) to world, metres."""
    outline_N2: np.ndarray
    """(N, 2) footprint in the world, metres."""
    parent: int | None = None
    """Index of the object that it rests on or in; None on the working surface."""
    inside: bool = False
    """Whether it rests in its parent rather than on it."""
    floor_m: float = 0.0
    top_m: float = 0.0
    """World z of its lowest and highest point."""


@dataclass
class Layout:
    """The objects of one scene."""

    placed: list[Placed] = field(default_factory=list)


class _Shelves:
    """The known assets that a split may show, by source and by noun."""

    def __init__(self, gallery: Gallery, split: str) -> None:
        self.by_source: dict[str, list[str]] = {}
        self.by_noun: dict[str, list[str]] = {}
        for asset_id in gallery.known(split):
            asset = gallery.assets[asset_id]
            self.by_source.setdefault(_pool(asset), []).append(asset_id)
            for noun in asset.nouns:
                self.by_noun.setdefault(noun, []).append(asset_id)


class Composer:
    """Chooses and places objects; holds the gallery's shape information."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._infos: dict[str, ShapeInfo] = {}
        self._held = gallery.held_out()
        self._shelves = {split: _Shelves(gallery, split) for split in LOOKALIKES}

    def info(self, geometry: str) -> ShapeInfo:
        """Placement data of a geometry, made on first use."""
        if geometry not in self._infos:
            self._infos[geometry] = ShapeInfo(self.gallery.geometries[geometry])
        return self._infos[geometry]

    def choose(
        self, rng: np.random.Generator, split: str, wanted: list[str] | None = None
    ) -> list[str]:
        """Asset ids for one scene: `wanted` first, look-alikes in some scenes."""
        shelves = self._shelves[split]
        count = int(rng.integers(3, 11))
        chosen = list(wanted or [])
        if split == "held" and self._held:
            chosen += [
                str(a) for a in rng.choice(self._held, size=int(rng.integers(1, 4)), replace=False)
            ]
        if rng.random() < LOOKALIKES[split]:
            chosen += self.lookalikes(split, rng)
        pools = sorted(shelves.by_source)
        weights = np.array([_POOL_WEIGHT[p] for p in pools])
        while len(chosen) < count:
            pool = shelves.by_source[pools[rng.choice(len(pools), p=weights / weights.sum())]]
            pick = str(pool[rng.integers(len(pool))])
            bulky = self.gallery.assets[pick].category in ("furniture", "appliance")
            if not bulky or rng.random() < 0.35:
                chosen.append(pick)
        return chosen[:MAX_OBJECTS]

    def lookalikes(self, split: str, rng: np.random.Generator) -> list[str]:
        """Two or three of one noun: the same asset, or siblings that differ in colour or form."""
        shelves, assets = self._shelves[split], self.gallery.assets
        everyday = [
            a
            for p in ("libero", "variant", "shapes", "models")
            for a in shelves.by_source.get(p, [])
        ]
        first = str(everyday[rng.integers(len(everyday))])
        if rng.random() < 0.3:
            return [first, first]
        siblings = [a for a in shelves.by_noun[assets[first].nouns[0]] if a != first]
        if not siblings:
            return [first, first]
        more = rng.choice(siblings, size=min(len(siblings), int(rng.integers(1, 3))), replace=False)
        return [first, *(str(m) for m in more)]

    def place(
        self, ids: list[str], half_m: tuple[float, float], rng: np.random.Generator
    ) -> Layout:
        """Set objects down one after another, large ones first; what finds no room is left out."""
        layout = Layout()
        size = {
            a: self.gallery.geometries[self.gallery.assets[a].geometry].extent_m().max()
            for a in ids
        }
        spread = min(rng.uniform(0.16, 0.4) + 0.012 * len(ids), 0.55)
        area = (min(half_m[0], spread), min(half_m[1], spread * rng.uniform(0.6, 1.0)))
        for asset_id in sorted(ids, key=lambda a: (-size[a], a)):
            asset = self.gallery.assets[asset_id]
            done = rng.random() < 0.28 and self.stack(layout, asset, rng)
            if not done:
                self._stand(layout, asset, area, half_m, rng)
        order = rng.permutation(len(layout.placed))
        return _reordered(layout, [int(i) for i in order])

    def put(
        self,
        layout: Layout,
        asset_id: str,
        xy: tuple[float, float],
        yaw_rad: float,
        on: int | None = None,
    ) -> Placed:
        """Set one object down at a chosen place (world metres), on or in object `on` if given."""
        asset = self.gallery.assets[asset_id]
        info = self.info(asset.geometry)
        if on is None:
            T = resting_transform(info, yaw_matrix(yaw_rad), xy, 0.0)
            placed = _placed(asset, info, T, footprint(info, T))
        else:
            base = layout.placed[on]
            middle = (base.outline_N2.min(0) + base.outline_N2.max(0)) / 2
            place = (float(middle[0]) + xy[0], float(middle[1]) + xy[1])
            T = resting_transform(info, yaw_matrix(yaw_rad), place, 1.0)
            placed = self._dropped(asset, T, layout, on)
        layout.placed.append(placed)
        return placed

    def _dropped(self, asset: Asset, T: np.ndarray, layout: Layout, on: int) -> Placed:
        """The object let down from pose `T` until it touches object `on`."""
        base, info = layout.placed[on], self.info(asset.geometry)
        T[2, 3] += drop_height(info, T, self.info(base.asset.geometry), base.T_world_object)
        placed = _placed(asset, info, T, footprint(info, T))
        depth = base.top_m - placed.floor_m
        placed.parent = on
        placed.inside = bool(
            base.asset.shape in CONTAINERS
            and depth > 0.012
            and depth > 0.3 * (base.top_m - base.floor_m)
        )
        return placed

    def _rotation(self, asset: Asset, rng: np.random.Generator) -> np.ndarray:
        info = self.info(asset.geometry)
        yaw = yaw_matrix(rng.uniform(-np.pi, np.pi))
        if asset.geometry in (
            "white_cabinet",
            "wooden_cabinet",
            "yellow_cabinet",
            "microwave",
            "short_cabinet",
            "short_fridge",
        ):
            yaw = yaw_matrix(rng.uniform(-0.9, 0.9))
        free = asset.source == "random-mesh"
        if free or (asset.lies and rng.random() < 0.2) or rng.random() < 0.02:
            rotations = info.lying_rotations()
            return yaw @ rotations[int(rng.integers(len(rotations)))]
        if (
            asset.geometry in ("black_book", "yellow_book", "red_yellow_book")
            and rng.random() < 0.6
        ):
            return yaw @ np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
        return yaw

    def _stand(
        self,
        layout: Layout,
        asset: Asset,
        area: tuple[float, float],
        half_m: tuple[float, float],
        rng: np.random.Generator,
    ) -> bool:
        info, rotation = self.info(asset.geometry), self._rotation(asset, rng)
        margin = float(rng.choice([0.002, 0.01, 0.03]))
        for attempt in range(24):
            grow = 1 + 0.06 * attempt
            xy = (
                float(rng.uniform(-1, 1) * min(area[0] * grow, half_m[0])),
                float(rng.uniform(-1, 1) * min(area[1] * grow, half_m[1])),
            )
            T = resting_transform(info, rotation, xy, 0.0)
            outline = footprint(info, T)
            if all(
                gap_m(outline, p.outline_N2) > margin for p in layout.placed if p.parent is None
            ):
                layout.placed.append(_placed(asset, info, T, outline))
                return True
        return False

    def stack(self, layout: Layout, asset: Asset, rng: np.random.Generator) -> bool:
        """Try to rest the object on or in one already placed."""
        supports = [
            i
            for i, p in enumerate(layout.placed)
            if p.asset.shape in CONTAINERS | PLATFORMS
            and p.parent is None
            and not any(q.parent == i for q in layout.placed)
        ]
        info = self.info(asset.geometry)
        rotation = self._rotation(asset, rng)
        for i in rng.permutation(supports) if supports else []:
            base = layout.placed[int(i)]
            low, high = base.outline_N2.min(0), base.outline_N2.max(0)
            centre = (low + high) / 2 + rng.uniform(-0.12, 0.12, 2) * (high - low)
            T = resting_transform(info, rotation, tuple(centre), 1.0)
            outline = footprint(info, T)
            if not inside_of(outline, base.outline_N2, 0.0):
                continue
            placed = self._dropped(asset, T, layout, int(i))
            depth = base.top_m - placed.floor_m
            steady = placed.inside or (base.asset.shape in PLATFORMS and depth < 0.02)
            if steady and placed.floor_m < 0.35:
                layout.placed.append(placed)
                return True
        return False


_POOL_WEIGHT = {"libero": 0.36, "variant": 0.2, "shapes": 0.22, "models": 0.06, "random": 0.16}


def _pool(asset: Asset) -> str:
    return {
        "libero": "libero",
        "libero-recoloured": "variant",
        "procedural": "shapes",
        "random-mesh": "random",
    }.get(asset.source, "models")


def _placed(asset: Asset, info: ShapeInfo, T: np.ndarray, outline: np.ndarray) -> Placed:
    z = info.hull_N3 @ T[2, :3] + T[2, 3]
    return Placed(asset, T, outline, floor_m=float(z.min()), top_m=float(z.max()))


def _reordered(layout: Layout, order: list[int]) -> Layout:
    """Shuffle, so that an object's id says nothing about its size."""
    new_index = {old: new for new, old in enumerate(order)}
    placed = [layout.placed[i] for i in order]
    for p in placed:
        p.parent = None if p.parent is None else new_index[p.parent]
    return Layout(placed)
