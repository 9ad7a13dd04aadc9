"""Every number of a training run, in one dataclass. The defaults are the paper's (docs/spec.md 3)."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from find_core.errors import FindError
from find_core.model.config import FindConfig
from training.data.augment import ViewConfig
from training.data.batches import BatchConfig
from training.losses.mask_criterion import MaskLossConfig


class RecipeError(FindError, ValueError):
    """A recipe, override or training folder cannot be used as given."""


@dataclass(frozen=True)
class TaskWeights:
    """Weights of one mask task; ce = 0 and masks = 0 leave it out of the forward altogether."""

    ce: float
    bce: float
    dice: float

    @property
    def active(self) -> bool:
        return self.ce > 0 or self.bce > 0 or self.dice > 0


@dataclass(frozen=True)
class LossConfig:
    """Terms and weights (docs/spec.md 3.1), and ours where the paper has none."""

    masks: MaskLossConfig = field(default_factory=MaskLossConfig)
    panoptic: TaskWeights = TaskWeights(2.0, 5.0, 5.0)
    interactive: TaskWeights = TaskWeights(0.4, 1.0, 1.0)
    grounding: TaskWeights = TaskWeights(0.4, 1.0, 1.0)
    interleave: TaskWeights = TaskWeights(0.4, 1.0, 1.0)
    interleave_semantic: float = 0.0
    """Ours: visual entities find their proposal by semantic cosine too (the paper: by pixels)."""
    interleave_itc: float = 8.0
    retrieval: float = 8.0
    retrieval_tokens: float = 0.5
    """Share of the token term within the retrieval loss."""
    referring: float = 2.0
    class_text: float = 0.5
    """Factors of the grounding cross-entropy: referring sentences, class names."""
    grounding_chance: float = 1.0
    interactive_chance: float = 1.0
    objects_first: int = 0
    """Steps at the start with the panoptic task alone: all proposals share their weights, and a
    step without the other tasks costs a third."""
    """Share of the steps that a task takes part in (the paper: all); saves time on small machines."""
    segment_sees_queries: float = 0.3
    """Chance that segments see what prompts became instead of their tokens (docs/spec.md 2.7)."""
    refine: float = 0.5
    """Chance of one more interactive round, with a corrective click and the memory."""
    presence: float = 0.0
    """Ours: is an entity there at all, and which proposals are it (absolute, calibrated)."""
    phrases: float = 0.0
    """Ours: true and false phrases against every object of the batch (training/losses/phrases.py)."""
    phrases_a_picture: int = 6
    """At most so many true ones, and so many false ones."""
    phrases_placed: int = 0
    """At most so many a picture that pick among look-alikes by place, and as many untrue ones."""
    instances: float = 0.0
    """Ours: mask features of one instance alike, of two unlike (training/losses/instance_contrast.py)."""
    alignment: float = 0.0
    """Ours: an entity's semantic embedding against the objects of the whole batch."""


@dataclass(frozen=True)
class BankConfig:
    """The class bank of panoptic training."""

    max_names: int = 134
    fresh: int = 0
    """Names recomputed with gradient each step, besides those of the batch's pictures."""
    fresh_present: bool = False
    """Recompute every name that is in the batch; the paper takes one random class a picture."""
    max_age: int = 1_000_000
    """Steps after which a remembered name is too old to serve."""


@dataclass(frozen=True)
class OptimConfig:
    """AdamW and its schedule."""

    lr: float = 1e-4
    muon: float = 0.0
    """Ours: Muon's rate for the interface's matrices; 0 = AdamW for everything."""
    weight_decay: float = 0.05
    """0 for norms, biases and embeddings."""
    clip: float = 0.01
    warmup: int = 10
    schedule: str = "steps"
    """"steps": x0.1 at 88.889 % and 96.296 %; "linear": flat, then down to 2 % from `decay_from`."""
    decay_from: float = 0.6
    steps: int = 100_000
    ema: float = 0.0
    """Decay of the weights' moving average that is exported; 0 = none."""


@dataclass(frozen=True)
class DataConfig:
    """Where pictures come from."""

    tabletop: str = ""
    """Folder of rendered scenes (training.tabletop), or several joined by os.pathsep."""
    coco_panoptic: str = ""
    coco_captions: str = ""
    coco_split: str = "train2017"
    coco_refs: str = ""
    """Folder of refs.json (RefCOCO/+/g): referring sentences."""
    coco_entities: str = ""
    """FIND-Bench's entity_train2017.json: interleaved sentences."""
    karpathy: str = ""
    """dataset_coco.json: its val and test pictures leave training."""
    store: str = ""
    """Feature store folder (training.cache fills it); empty: encode as pictures are read."""
    view: ViewConfig = field(default_factory=ViewConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    name: str
    model: FindConfig = field(default_factory=FindConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    bank: BankConfig = field(default_factory=BankConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: DataConfig = field(default_factory=DataConfig)
    frozen: tuple[str, ...] = ("pixel_decoder.",)
    """Prefixes of interface parameters that stay as they are (backbones always do)."""
    init: str = ""
    """Checkpoint folder (its frozen encoders are used too) or safetensors file to start from."""
    logit_scale: float = 1.0
    """Start of the shared temperature (its logarithm)."""
    precision: str = "fp32"
    """fp32, bf16 or fp16 (autocast)."""
    seed: int = 0
    log_every: int = 20
    save_every: int = 200
    refresh_every: int = 200
    """Steps between looks at whether the feature store has grown."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def override(config: TrainConfig, assignments: list[str]) -> TrainConfig:
    """Apply `--set optim.lr=5e-4 losses.panoptic.ce=1` style overrides.

    Raises:
        RecipeError: unknown key, or a value of the wrong type.
    """
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign:
            raise RecipeError(f"Override {assignment!r} is not KEY=VALUE: e.g. optim.lr=5e-4.")
        config = _replace(config, key.strip().split("."), value.strip(), key.strip())
    check_ranges(config)
    return config


AT_LEAST_ONE = (
    "optim.steps", "data.batch.size", "log_every", "save_every", "refresh_every",
    "data.view.height", "data.view.width",
)  # fmt: skip


def check_ranges(config: TrainConfig) -> None:
    """Numbers with which nothing could be trained.

    Raises:
        RecipeError: names the setting.
    """
    values = flat(config.to_dict())
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"{key} is {value}: give a finite number.")
    for key in AT_LEAST_ONE:
        if values.get(key, 1) < 1:
            raise RecipeError(f"{key} is {values[key]}: give at least 1.")
    if values["optim.lr"] <= 0:
        raise RecipeError(f"optim.lr is {values['optim.lr']}: give a rate above 0.")


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted keys, as `--set` takes them."""
    out: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and value:
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out


# A run that goes on may go on longer, elsewhere, and tell more or less of itself.
MAY_CHANGE = (
    "name", "optim.steps", "log_every", "save_every", "refresh_every", "init", "data.tabletop",
    "data.coco_panoptic", "data.coco_captions", "data.coco_refs", "data.coco_entities",
    "data.karpathy", "data.store",
)  # fmt: skip


def check_same_run(before: TrainConfig, now: TrainConfig, folder: Path) -> None:
    """A run goes on with the settings that it was begun with.

    Raises:
        RecipeError: names the first that differs.
    """
    old, new = (json.loads(json.dumps(flat(c.to_dict()))) for c in (before, now))
    for key in sorted(set(old) | set(new)):
        if key not in MAY_CHANGE and old.get(key) != new.get(key):
            raise RecipeError(
                f"{folder} was begun with {key}={old.get(key)}, not {new.get(key)}: give the same, or "
                "another --out."
            )


def _replace(node: Any, path: list[str], value: str, key: str) -> Any:
    names = [f.name for f in dataclasses.fields(node)] if dataclasses.is_dataclass(node) else []
    if path[0] not in names:
        known = f"choose one of {', '.join(names)}" if names else "it has no parts"
        raise RecipeError(f"No setting {key!r} ({path[0]!r} is unknown): {known}.")
    old = getattr(node, path[0])
    if len(path) > 1:
        return dataclasses.replace(node, **{path[0]: _replace(old, path[1:], value, key)})
    return dataclasses.replace(node, **{path[0]: _parse(value, old, key)})


def _parse(value: str, old: Any, key: str) -> Any:
    if isinstance(old, str):
        return value
    try:
        parsed = json.loads(value.lower() if value in ("True", "False") else value)
    except json.JSONDecodeError:
        raise RecipeError(
            f"{key}={value!r} is no {type(old).__name__}: e.g. {key}={old!r}."
        ) from None
    except (ValueError, RecursionError):
        raise RecipeError(f"{key} is too large or too deep: e.g. {key}={old!r}.") from None
    if isinstance(old, bool) != isinstance(parsed, bool):
        raise RecipeError(f"{key}={value!r} is no {type(old).__name__}: e.g. {key}={old!r}.")
    if isinstance(old, float) and isinstance(parsed, int):
        return float(parsed)
    if isinstance(old, tuple) and isinstance(parsed, list):
        return tuple(tuple(x) if isinstance(x, list) else x for x in parsed)
    if not isinstance(parsed, type(old)):
        raise RecipeError(f"{key}={value!r} is no {type(old).__name__}: e.g. {key}={old!r}.")
    return parsed


def from_dict(cls: type, data: dict[str, Any]) -> Any:
    """Rebuild a config dataclass from `dataclasses.asdict`."""
    hints = typing.get_type_hints(cls)
    values = {}
    for name, value in data.items():
        kind = hints[name]
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            value = from_dict(kind, value)
        elif isinstance(value, list):
            value = tuple(tuple(x) if isinstance(x, list) else x for x in value)
        values[name] = value
    return cls(**values)
