"""The gallery: every object of the world, with its looks, names and truths.

Built from a seed: LIBERO's objects, their recoloured variants, random meshes and household models
of other packages, procedural shapes. An *asset* is one geometry in one paint; its id is stable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.tabletop.assets import colors, kinds, textures
from training.tabletop.assets.meshes import Geometry, Part
from training.tabletop.assets.models import Loaded, load_geometries

GALLERY_SEED = 20261123
N_RANDOM_MESHES = 480
GENERIC_NOUNS = ("object", "thing", "item")


@dataclass
class Asset:
    """One object in one paint: what it looks like and what is true of it."""

    id: str
    geometry: str
    """Key of the geometry in `Gallery.geometries`."""
    kind: str
    name: str
    names: list[str]
    nouns: list[str]
    color: str
    category: str
    shape: str
    material: str
    held_out: bool
    source: str
    pattern: str = ""
    also_colors: tuple[str, ...] = ()
    maybe_nouns: tuple[str, ...] = ()
    lies: bool = False
    shade: tuple[float, float, float] | None = None
    """Paint over the geometry's own look; None leaves it as it is."""
    painted: tuple[bool, ...] = ()
    """Which parts the paint covers."""
    texture_seed: int = 0
    gloss: float = 0.3
    train_only: bool = False

    def to_json(self) -> dict:
        """The asset's entry in gallery.json."""
        keys = (
            "kind",
            "name",
            "names",
            "color",
            "category",
            "shape",
            "material",
            "held_out",
            "source",
            "pattern",
        )
        return {key: getattr(self, key) for key in keys}


@dataclass
class Gallery:
    """All assets, and the geometries that they paint."""

    assets: dict[str, Asset]
    geometries: dict[str, Geometry]
    _painted: dict[str, list[Part]] = field(default_factory=dict)

    def known(self, split: str = "train") -> list[str]:
        """Ids of known kinds that a split may show."""
        later = split == "train"
        return [
            a.id for a in self.assets.values() if not a.held_out and (later or not a.train_only)
        ]

    def held_out(self) -> list[str]:
        """Ids of the held-out kinds."""
        return [a.id for a in self.assets.values() if a.held_out]

    def parts(self, asset_id: str) -> list[tuple[str, Part]]:
        """(mesh name, painted part) pairs of an asset, as `palette.Shown` takes them."""
        asset = self.assets[asset_id]
        if asset_id not in self._painted:
            if len(self._painted) > 400:  # bounds the textures held in memory
                self._painted.clear()
            self._painted[asset_id] = paint(asset, self.geometries[asset.geometry])
        return [(f"{asset.geometry}#{i}", p) for i, p in enumerate(self._painted[asset_id])]

    def meshes(self) -> dict[str, Part]:
        """Every mesh that a palette must hold."""
        return {
            f"{name}#{i}": part
            for name, geometry in self.geometries.items()
            for i, part in enumerate(geometry.parts)
        }


def paint(asset: Asset, geometry: Geometry) -> list[Part]:
    """The geometry's parts in the asset's paint."""
    if asset.shade is None:
        return geometry.parts
    shade = np.array(asset.shade)
    rng = np.random.default_rng(asset.texture_seed)
    covered = asset.painted or (True,) * len(geometry.parts)
    out = []
    for part, cover in zip(geometry.parts, covered, strict=True):
        texture, rgba = part.texture, part.rgba
        if cover and asset.pattern:
            texture = textures.pattern(asset.pattern, shade, rng)
        elif cover and texture is not None:
            texture = colors.tinted(texture, shade, part.uvs_T2)
        elif cover:
            rgba = (*shade, 1.0)
        out.append(
            Part(
                part.verts_V3,
                part.faces_F3,
                part.uvs_T2,
                part.face_uvs_F3,
                rgba,
                texture,
                part.specular,
            )
        )
    return out


def build_gallery(
    sources: tuple[str, ...] = ("libero", "shapes", "random", "models"),
    n_random: int = N_RANDOM_MESHES,
) -> Gallery:
    """The whole gallery; `sources` narrows it (tests)."""
    geometries = load_geometries(sources, n_random)
    assets: list[Asset] = []
    for name, loaded in geometries.items():
        child = np.random.default_rng([GALLERY_SEED, *name.encode()])
        assets += _MAKERS[loaded.source](name, loaded, child)
    return Gallery({a.id: a for a in assets}, {n: g.geometry for n, g in geometries.items()})


def _libero_assets(name: str, loaded: Loaded, rng: np.random.Generator) -> list[Asset]:
    look = kinds.LIBERO[name]
    noun = look.nouns[0]
    primary = f"{look.color} {noun}" if look.color and not look.names else noun
    names = (
        list(dict.fromkeys([*look.names, *look.nouns]))
        if look.names
        else list(dict.fromkeys([primary, *look.nouns]))
    )
    shared: dict[str, Any] = dict(
        geometry=name,
        kind=look.names[0] if look.names else noun,
        nouns=list(look.nouns),
        category=look.category,
        shape=noun,
        maybe_nouns=look.maybe,
        lies=look.lies,
    )
    out = [
        Asset(
            id=name,
            name=names[0],
            names=names,
            color=look.color,
            material=look.material,
            held_out=look.held_out,
            source="libero",
            also_colors=look.also,
            **shared,
        )
    ]
    shared["kind"] = noun
    for word in _colors_for(look, noun, rng):
        out.append(
            Asset(
                id=f"{name}.{word}",
                name=f"{word} {noun}",
                names=list(look.nouns),
                color=word,
                material="",
                held_out=look.held_out,
                source="libero-recoloured",
                shade=tuple(colors.sample_shade(word, rng)),
                **shared,
            )
        )
    return out


def _colors_for(look: kinds.Look, noun: str, rng: np.random.Generator) -> list[str]:
    banned = {"mug": {"red"}, "book": {"black"}}.get(noun, set())
    words = [w for w in colors.WORDS if w != look.color and w not in banned]
    return [str(w) for w in rng.choice(words, size=look.recolor, replace=False)]


def _shape_assets(name: str, loaded: Loaded, rng: np.random.Generator) -> list[Asset]:
    kind_name = name.split(".")[0].removeprefix("s-")
    kind = kinds.SHAPES[kind_name]
    words = list(kind.colors or colors.WORDS)
    chosen = rng.choice(words, size=min(4, len(words)), replace=False)
    assets = [
        _painted_asset(
            name,
            str(w),
            kind.names,
            kind.category,
            kind.maybe,
            kind.patterned,
            "procedural",
            loaded.painted,
            rng,
        )
        for w in chosen
    ]
    for asset in assets:
        asset.train_only = kind.train_only
    return assets


def _random_assets(name: str, loaded: Loaded, rng: np.random.Generator) -> list[Asset]:
    word = str(rng.choice(colors.WORDS))
    asset = _painted_asset(
        name, word, ("object",), "object", (), True, "random-mesh", loaded.painted, rng
    )
    asset.maybe_nouns = (
        "block",
        "toy",
        "cube",
        "box",
        "cylinder",
        "brick",
        "cone",
        "wedge",
        "prism",
        "hexagonal prism",
        "triangular prism",
        "pyramid",
        "arch",
        "cross",
        "star",
        "lego brick",
        "toy brick",
        "shape sorter",
    )
    return [asset]


def _model_assets(name: str, loaded: Loaded, rng: np.random.Generator) -> list[Asset]:
    model = loaded.model
    if model is None:
        raise ValueError(f"{name} is no household model")
    out = []
    if model.color is not None:
        out.append(
            Asset(
                id=name,
                geometry=name,
                kind=model.names[0],
                name=model.names[0],
                names=list(model.names),
                nouns=list(model.names),
                color=model.color,
                category=model.category,
                shape=model.names[0],
                material="",
                held_out=False,
                source=model.source,
                also_colors=model.also,
                maybe_nouns=model.maybe,
                lies=model.lies,
            )
        )
    for word in rng.choice(model.colors or colors.WORDS, size=model.recolor, replace=False):
        out.append(
            _painted_asset(
                name,
                str(word),
                model.names,
                model.category,
                model.maybe,
                model.color is None,
                model.source,
                loaded.painted,
                rng,
            )
        )
    return out


def _painted_asset(
    geometry: str,
    word: str,
    nouns: tuple[str, ...],
    category: str,
    maybe: tuple[str, ...],
    patterned: bool,
    source: str,
    painted: tuple[bool, ...],
    rng: np.random.Generator,
) -> Asset:
    pattern = str(rng.choice(textures.PATTERNS[:4])) if patterned and rng.random() < 0.3 else ""
    if pattern == "wooden" and word not in ("brown", "yellow", "orange"):
        pattern = "striped"
    looks = f"{pattern} {word}" if pattern == "wooden" else f"{word} {pattern}".strip()
    return Asset(
        id=f"{geometry}.{word}",
        geometry=geometry,
        kind=nouns[0],
        name=f"{looks} {nouns[0]}",
        names=list(nouns),
        nouns=list(nouns),
        color=word,
        category=category,
        shape=nouns[0],
        material="wooden" if pattern == "wooden" else "",
        held_out=False,
        source=source,
        pattern=pattern,
        also_colors=tuple(colors.CONFUSABLE[word]) if pattern else (),
        maybe_nouns=maybe,
        shade=tuple(colors.sample_shade(word, rng)),
        painted=tuple(painted),
        texture_seed=int(rng.integers(2**31)),
        gloss=float(rng.uniform(0.05, 0.7)),
    )


_MAKERS = {
    "libero": _libero_assets,
    "shapes": _shape_assets,
    "random": _random_assets,
    "models": _model_assets,
}
