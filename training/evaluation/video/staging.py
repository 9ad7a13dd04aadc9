"""Which objects play in a clip, where they stand, and what the prompt says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation.video.scripts import SCENARIOS, Script, write_script

if TYPE_CHECKING:
    from training.tabletop.assets.gallery import Asset
    from training.tabletop.assets.palette import Camera
    from training.tabletop.scene.world import Setting, World

EVERYDAY = (
    "mug", "cup", "bottle", "bowl", "can", "soda can", "book", "box", "carton", "jar", "teapot",
    "pitcher", "vase", "ramekin", "plate", "milk", "ketchup", "orange juice", "cream cheese",
    "butter", "tomato sauce", "alphabet soup", "duck", "teddy bear", "thermos",
)  # fmt: skip
ATTEMPTS = 60


@dataclass
class Stage:
    """A clip ready to render.

    Attributes:
        setting: surroundings, lights, layout; the objects stand in `setting.layout.placed`.
        script: what moves. phrase: what the prompt calls the target, e.g. "red mug".
        asset: the target's, also when it is absent.
    """

    setting: Setting
    script: Script
    phrase: str
    asset: Asset


class Director:
    """Stages clips in a rendered world, everything from the seed."""

    def __init__(self, world: World) -> None:
        self.world = world
        assets = world.gallery.assets.values()
        self.known = [a for a in assets if a.kind in EVERYDAY and a.color and self._handy(a)]
        self.known = [a for a in self.known if not a.held_out]
        self.held = [a for a in assets if a.held_out and self._handy(a)]

    def _extent_m(self, asset: Asset) -> np.ndarray:
        return self.world.gallery.geometries[asset.geometry].extent_m()

    def _handy(self, asset: Asset) -> bool:
        return 0.05 <= float(self._extent_m(asset).max()) <= 0.3

    def stage(self, scenario: str, seed: int, held: bool, duration_s: float) -> Stage:
        """A clip of `scenario`; with `held` its target is of a kind training never saw."""
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([seed, SCENARIOS.index(scenario), int(held), attempt])
            stage = self._try(scenario, rng, held, duration_s)
            if stage is not None:
                return stage
        raise RuntimeError(f"No arrangement for {scenario} with seed {seed}: try another seed.")

    def _try(
        self, scenario: str, rng: np.random.Generator, held: bool, duration_s: float
    ) -> Stage | None:
        target = _pick(rng, self.held if held else self.known)
        cast = self._cast(scenario, target, rng)
        if cast is None:
            return None
        setting = self.world.arrange("val", rng)
        ids = list(cast.values()) + self._extras(target, rng)
        half = (0.42, 0.34)
        setting.layout = self.world.composer.place(ids, half, rng)
        roles = _roles(setting, cast)
        if roles is None:
            return None
        setting.camera = self._camera(setting, rng)
        fov_x = 2 * np.arctan(np.tan(np.radians(setting.camera.fovy_deg) / 2) * 4 / 3)
        placed = setting.layout.placed
        spot = placed[roles["target"]].T_world_object[:3, 3] if "target" in roles else None
        if spot is not None and not _well_framed(setting.camera, spot, self._extent_m(target)):
            return None
        script = write_script(
            scenario,
            [p.T_world_object for p in placed],
            roles,
            setting.camera.T_world_camera,
            float(fov_x),
            np.stack([self._extent_m(p.asset) for p in placed]),
            duration_s,
            rng,
        )
        return Stage(setting, script, target.name, target)

    def _camera(self, setting: Setting, rng: np.random.Generator) -> Camera:
        from training.tabletop.scene.cameras import sample_camera

        spots = np.stack([p.T_world_object[:3, 3] for p in setting.layout.placed])
        reach = np.array([[-0.08, -0.08, 0.0], [0.08, 0.08, 0.15]])
        points = (spots[:, None] + reach[None]).reshape(-1, 3)
        return sample_camera(rng, points, 4 / 3)

    def _cast(self, scenario: str, target: Asset, rng: np.random.Generator) -> dict | None:
        """role -> asset id; None where the gallery has nobody for a role."""
        cast = {} if scenario == "absent" else {"target": target.id}
        if scenario == "twins":
            cast["twin"] = target.id
        if scenario in ("lookalike", "absent"):
            others = [a for a in self.known if a.kind == target.kind and a.color != target.color]
            others = others or [
                a for a in self.known if a.shape == target.shape and a is not target
            ]
            if not others:
                return None
            cast["lookalike"] = _pick(rng, others).id
        if scenario == "occluded":
            need = 1.25 * self._extent_m(target)
            tall = [
                a for a in self.world.gallery.assets.values()
                if not (a.held_out or a.train_only) and a.kind != target.kind and a.source != "random"
                and need[2] <= self._extent_m(a)[2] <= 0.45
                and need[:2].max() <= self._extent_m(a)[:2].min() <= 0.45
            ]  # fmt: skip
            if not tall:
                return None
            cast["occluder"] = _pick(rng, tall).id
        return cast

    def _extras(self, target: Asset, rng: np.random.Generator) -> list[str]:
        """Bystanders of other kinds."""
        others = [a for a in self.known if not set(a.nouns) & set(target.nouns)]
        return [_pick(rng, others).id for _ in range(int(rng.integers(2, 5)))]


def _well_framed(camera: Camera, spot_m: np.ndarray, extent_m: np.ndarray) -> bool:
    """Does an object that stands at (3,) `spot_m` show well inside the image and not too small?"""
    K = camera.K(400, 300)
    centre = np.append(spot_m + [0, 0, extent_m[2] / 2], 1)
    x, y, z = (np.linalg.inv(camera.T_world_camera) @ centre)[:3]
    u, v = (K @ [x / z, y / z, 1])[:2]
    size_px = K[0, 0] * float(extent_m.max()) / z
    return bool(z > 0 and 70 < u < 330 and 60 < v < 225 and 32 < size_px < 140)


def _pick(rng: np.random.Generator, assets: list[Asset]) -> Asset:
    return assets[int(rng.integers(len(assets)))]


def _roles(setting: Setting, cast: dict[str, str]) -> dict[str, int] | None:
    """role -> object index; None where somebody of the cast found no place of their own."""
    placed = setting.layout.placed
    carrying = {p.parent for p in placed}
    free = [n for n, p in enumerate(placed) if p.parent is None and n not in carrying]
    roles: dict[str, int] = {}
    for role, asset_id in cast.items():
        fits = [n for n in free if placed[n].asset.id == asset_id and n not in roles.values()]
        if not fits:
            return None
        roles[role] = fits[0]
    return roles
