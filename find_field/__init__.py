"""Ask a place where things are: a 3D feature field, queried with words and pictures.

field = find_field.lift(frames, find)
hits = field.query("the <mug> next to <ref>", find)
hits[0].centroid_world_m, hits[0].T_world_object
"""

from __future__ import annotations

from find_field.basis import fit_basis
from find_field.feature_field import Channel, FeatureField
from find_field.frames import PosedFrame, register_depth
from find_field.hits import FieldEntity, FieldHit, FieldHits
from find_field.lift import LiftConfig, Lifter, lift
from find_field.merge import merge
from find_field.query import QueryConfig
from find_field.storage import load

__all__ = [
    "Channel",
    "FeatureField",
    "FieldEntity",
    "FieldHit",
    "FieldHits",
    "LiftConfig",
    "Lifter",
    "PosedFrame",
    "QueryConfig",
    "fit_basis",
    "lift",
    "load",
    "merge",
    "register_depth",
]
