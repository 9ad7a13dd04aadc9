"""A model by what the command line says: NAME, or NAME:PATH[,PATH]."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from find_core.errors import FindError

ADAPTERS = "training.evaluation.bench.models"


@dataclass(frozen=True)
class Adapter:
    """Where an adapter is and what stands behind the colon."""

    place: str
    paths: str
    about: str


HUB: Mapping[str, Adapter] = {
    "mask2former": Adapter("universal:Mask2Former", "MODEL", "panoptic segmentation"),
    "oneformer": Adapter("universal:OneFormer", "MODEL", "panoptic segmentation"),
    "clipseg": Adapter("clipseg:ClipSeg", "MODEL", "phrases and visual examples to masks"),
    "grounding-dino+sam": Adapter(
        "boxes:GroundingDinoSam", "DINO,SAM", "phrases to masks; strokes"
    ),
    "owlv2+sam": Adapter("boxes:Owlv2Sam", "OWLV2,SAM", "phrases, examples to masks; strokes"),
    "sam3": Adapter("sam3:Sam3", "MODEL", "phrases and exemplar boxes to masks"),
    "clip": Adapter("dual:DualEncoder", "MODEL", "image-text retrieval"),
    "siglip": Adapter("dual:DualEncoder", "MODEL", "image-text retrieval"),
}


FLOORS = {"ridge": "RidgeRetrieval", "probe": "LinearProbe"}


def model_names() -> list[str]:
    """What `open_model` takes, a line each."""
    own = ["find[:WHAT find_core.load TAKES]", "oracle", "blind", "ridge:FOLDER", "probe:FOLDER"]
    return own + [f"{name}:{a.paths} ({a.about})" for name, a in HUB.items()]


def open_model(text: str, input_px: int | None = None, limit: int | None = None) -> Any:
    """The model that `text` names; see `model_names`. Anything else is what `find_core.load` takes.

    Args:
        input_px: short side of find_core's input. limit: images that a floor is fitted on.

    Raises:
        FindError: an adapter's paths are missing, or its weights cannot be loaded.
    """
    kind, _, rest = text.partition(":")
    if kind in HUB:
        module, _, name = HUB[kind].place.partition(":")
        if not rest or rest.count(",") != HUB[kind].paths.count(","):
            raise FindError(f"{kind} needs its weights: write {kind}:{HUB[kind].paths}.")
        return _class(module, name).load(*rest.split(","))
    if kind in ("oracle", "blind"):
        return _class("ends", kind.capitalize())()
    if kind in FLOORS:
        if not rest:
            raise FindError(f"{kind} is fitted on a folder: write {kind}:FOLDER.")
        find = _find("find-tabletop", input_px)
        return _class("frozen", FLOORS[kind])(find, Path(rest), limit=limit)
    what = (rest or "find-tabletop") if kind == "find" else text
    return _class("find", "FindAdapter")(_find(what, input_px))


def _class(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{ADAPTERS}.{module}"), name)


def _find(what: str, input_px: int | None) -> Any:
    import find_core as fc

    return fc.load(what, input_px=input_px)
