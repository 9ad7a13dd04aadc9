"""A recipe as data: the stages of a training, what each learns from, and all of its numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.config import RecipeError, TrainConfig, changed, flat, override


@dataclass(frozen=True)
class DataPart:
    """Views that a stage's feature store holds, as `training.cache` makes them.

    Attributes:
        what: "rendered" (training.tabletop), "photographs", "composites" or "references"
            (training/data/derived).
        scenes: first rendered scene and the one after the last (`--start`, `--scenes`).
        first_variant: 0 is the plain view, higher numbers are random ones.
        variants: views of each picture.
        min_crop: smallest side of a random crop, as a share of the largest that fits.
        count: of composites or references.
    """

    what: str
    scenes: tuple[int, int] | None = None
    first_variant: int = 0
    variants: int = 1
    min_crop: float = 0.6
    count: int = 0

    def __str__(self) -> str:
        scenes = f" {self.scenes[0]} to {self.scenes[1] - 1}" if self.scenes else ""
        scenes += f" {self.count}" if self.count else ""
        last = self.first_variant + self.variants - 1
        return (
            f"{self.what}{scenes}: views {self.first_variant} to {last}, crops from {self.min_crop}"
        )


@dataclass(frozen=True)
class Stage:
    """One run of a training; it goes on from the weights of the stage before.

    Attributes:
        purpose: what it is for, in a sentence.
        changes: settings that differ from the stage before, by dotted key.
        data: everything its feature store holds; empty where the store is the user's own.
        processes: how many share a step; each takes a batch of its own.
    """

    purpose: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[DataPart, ...] = ()
    processes: int = 1


@dataclass(frozen=True)
class Recipe:
    """A whole training.

    Attributes:
        first: every number of the first stage; the changes of the stages add up from there.
        export: settings that `training.export --set` is given for the finished model.
    """

    name: str
    first: TrainConfig
    stages: tuple[Stage, ...]
    export: Mapping[str, Any] = field(default_factory=dict)

    def config(self, stage: int = 1) -> TrainConfig:
        """All numbers of a stage, counted from 1.

        Raises:
            RecipeError: there is no such stage.
        """
        if not 1 <= stage <= len(self.stages):
            raise RecipeError(
                f"{self.name} has no stage {stage}: choose one of 1 to {len(self.stages)}."
            )
        config = self.first
        for part in self.stages[:stage]:
            config = changed(config, part.changes)
        return config

    def configs(self, overrides: Sequence[str] = ()) -> list[TrainConfig]:
        """All numbers of every stage, with the same `--set` overrides applied to each."""
        return [override(self.config(n + 1), overrides) for n in range(len(self.stages))]

    def to_dict(self, overrides: Sequence[str] = ()) -> dict[str, Any]:
        """For JSON: the stages with every resolved number."""
        stages = [
            {
                "stage": number,
                "purpose": stage.purpose,
                "starts_from_stage": number - 1 or None,
                "processes": stage.processes,
                "data": [dataclasses.asdict(part) for part in stage.data],
                "config": config.to_dict(),
            }
            for number, (stage, config) in enumerate(
                zip(self.stages, self.configs(overrides), strict=True), 1
            )
        ]
        return {"recipe": self.name, "stages": stages, "export": dict(self.export)}

    def table(self, overrides: Sequence[str] = ()) -> str:
        """For people: a line a number, a column a stage where the stages differ."""
        configs = [flat(config) for config in self.configs(overrides)]
        lines = [f"{self.name}: {len(self.stages)} stage{'s' * (len(self.stages) > 1)}"]
        for number, stage in enumerate(self.stages, 1):
            start = f"; starts from the weights of stage {number - 1}" if number > 1 else ""
            lines += ["", f"Stage {number}. {stage.purpose}"]
            lines += [f"  {stage.processes} process{'es' * (stage.processes > 1)}{start}"]
            lines += [f"  {part}" for part in stage.data]
        differ = [key for key in configs[0] if len({repr(c[key]) for c in configs}) > 1]
        same = [[key, _short(configs[0][key])] for key in configs[0] if key not in differ]
        if differ:
            head = ["setting", *(f"stage {n}" for n in range(1, len(configs) + 1))]
            rows = [[key, *(_short(c[key]) for c in configs)] for key in differ]
            lines += ["", "What differs between the stages:", *_aligned([head, *rows])]
        lines += ["", "What all stages share:" if differ else "Settings:", *_aligned(same)]
        if self.export:
            lines += ["", "Exported with:"]
            lines += _aligned([[key, _short(value)] for key, value in self.export.items()])
        return "\n".join(lines)


def single(config: TrainConfig, name: str, purpose: str) -> Recipe:
    """A recipe of one stage."""
    return Recipe(name, config, (Stage(purpose),))


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(_short(v) for v in value) or "none"
    return {"": "none", "True": "yes", "False": "no"}.get(str(value), str(value))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
