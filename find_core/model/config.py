"""Sizes of the interface, as one dataclass that checkpoints carry as config.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from find_core.encoders.base import LanguageConfig, VisionConfig
from find_core.errors import CheckpointError, FindError
from find_core.support.printable import quoted, shown

if TYPE_CHECKING:
    from torch import Tensor

SELECTIONS = ("paper", "score")


@dataclass(frozen=True)
class FindConfig:
    """Everything needed to build a FIND model; weights come from a checkpoint.

    The defaults are the published sizes (docs/spec.md 2).
    """

    name: str = "find"
    vision: VisionConfig = field(default_factory=VisionConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    hidden_dim: int = 512
    """H: width of queries, tokens and semantic embeddings."""
    mask_dim: int = 512
    """P: width of pixel embeddings and mask features."""
    stride4_dim: int = 512
    """Width of the pixel decoder's 1/4 map; smaller than hidden_dim saves most of its time."""
    num_heads: int = 8
    ffn_dim: int = 2048
    num_queries: int = 100
    """Object queries; the image query comes on top."""
    num_layers: int = 9
    encoder_layers: int = 6
    norm_groups: int = 32
    mask_coordinates: bool = False
    """Ours: where a pixel is enters the mask features, so that look-alikes can be told apart by
    place after little training (as SOLOv2 and CondInst do)."""
    level_coordinates: bool = False
    """Ours: where a pixel is enters what proposals read from the three levels. In the paper it only
    steers where they look, so that a proposal hardly knows where it is: no ground for "left of"."""
    num_memories: int = 32
    """Rows of previous-mask memory per visual prompt."""
    max_spatial_points: int = 512
    """Sampled points over all visual prompts of an image, positive and negative each."""
    relevance_scale: float = 10.0
    """Calibration: `relevance`, fitted after training."""
    relevance_bias: float = 0.5
    selection: str = "paper"
    """How an entity's proposal is chosen: "paper", raw dot products of semantic embeddings for words
    and of pixel embeddings for pictures (docs/spec.md 2.9); "score", the best calibrated score."""
    single_things: bool = False
    """Take masks apart where they cover things that stand apart, and drop crumbs: the parts become
    instances. Small models leak onto look-alikes (find_core/masks.py)."""
    threshold: float = 0.5
    """Score above which an entity counts as found."""

    def relevance(self, cosine: Tensor) -> Tensor:
        """Calibrated scores in (0, 1) of cosines between entities and proposals, any shape."""
        return (self.relevance_scale * (cosine.float() - self.relevance_bias)).sigmoid()

    def at_input_px(self, short_side_px: int | None) -> FindConfig:
        """The same with another input size, of the same proportions; None leaves it.

        Raises:
            FindError: smaller than one cell of the coarsest feature map.
        """
        if short_side_px is None:
            return self
        vision = self.vision
        if short_side_px < vision.size_divisibility:
            raise FindError(
                f"An input of {short_side_px} px is too small: at least {vision.size_divisibility}."
            )
        long_px = round(vision.max_side_px * short_side_px / vision.short_side_px)
        scaled = dataclasses.replace(vision, short_side_px=short_side_px, max_side_px=long_px)
        return dataclasses.replace(self, vision=scaled)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> FindConfig:
        """Inverse of `to_dict`; an unknown or ill-typed key is a CheckpointError that names it."""
        values = dict(data)
        values["vision"] = _build(VisionConfig, values.get("vision", {}), "vision.")
        values["language"] = _build(LanguageConfig, values.get("language", {}), "language.")
        return _build(FindConfig, values, "")


def _build(cls: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise CheckpointError(f"Config {where or 'root'} is not an object: use a newer checkpoint.")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - set(fields)):
        raise CheckpointError(
            f"Config key {where}{shown(unknown[0])} is unknown to this version: update find_ros."
        )
    checked = {k: _convert(v, fields[k], where + k) for k, v in values.items()}
    return cls(**checked)


def _convert(value: Any, spec: dataclasses.Field, where: str) -> Any:
    kind = str(spec.type)
    if kind in ("int", "float", "str"):
        want: tuple[type, ...] = {"int": (int,), "float": (int, float), "str": (str,)}[kind]
        if not isinstance(value, want) or isinstance(value, bool):
            raise CheckpointError(f"Config key {where} must be {kind}, got {quoted(value)}.")
        if isinstance(value, float) and not -1e9 < value < 1e9:  # also refuses NaN
            raise CheckpointError(f"Config key {where} is out of range: {quoted(value)}.")
        if isinstance(value, int) and value < 0:
            raise CheckpointError(f"Config key {where} must not be negative, got {value}.")
    if kind.startswith("tuple"):
        return _three_numbers(value, where)
    if kind.startswith("dict") and not isinstance(value, dict):
        raise CheckpointError(f"Config key {where} must be an object, got {quoted(value)}.")
    if kind == "bool" and not isinstance(value, bool):
        raise CheckpointError(f"Config key {where} must be true or false, got {quoted(value)}.")
    if where == "threshold" and not 0 <= value <= 1:
        raise CheckpointError(f"Config key threshold lies between 0 and 1, got {value}.")
    if where == "selection" and value not in SELECTIONS:
        raise CheckpointError(f"Config key selection is one of {SELECTIONS}, got {quoted(value)}.")
    return value


def _three_numbers(value: Any, where: str) -> tuple[float, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else ()
    plain = all(type(v) in (int, float) and abs(v) < 1e9 for v in numbers)
    if len(numbers) != 3 or not plain or (where.endswith("std") and min(numbers) <= 0):
        raise CheckpointError(f"Config key {where} must be three numbers, got {quoted(value)}.")
    return numbers
