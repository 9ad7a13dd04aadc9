"""Ask a place where objects are: a 3D feature field, queried with words and images.

field = find_field.lift(frames, find)
hits = field.query("the <mug> next to <ref>", find)
hits[0].centroid_world_m, hits[0].T_world_object
"""

from __future__ import annotations

from find_core.support.moved import keep_old_names
from find_field.field.basis import fit_basis
from find_field.field.data import Channel
from find_field.field.feature_field import FeatureField, load
from find_field.field.hits import FieldEntity, FieldHit, FieldHits
from find_field.field.merge import merge
from find_field.field.query import QueryConfig
from find_field.field.surroundings import Surroundings
from find_field.frames import PosedFrame
from find_field.geometry.pinhole import register_depth
from find_field.lift import LiftConfig, Lifter, lift
from find_field.moved import OLD_NAMES

keep_old_names(OLD_NAMES)

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
    "Surroundings",
    "fit_basis",
    "lift",
    "load",
    "merge",
    "register_depth",
]
