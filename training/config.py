"""Every number of a training run, in one dataclass. The defaults are the paper's (docs/spec.md 3).

`changed` and `override` give a copy with other numbers, `from_dict` reads one back from JSON; all
three check every value against the type that its field declares.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from find_core.errors import FindError
from find_core.model.config import FindConfig
from find_core.support.printable import quoted
from training.data.augment import ViewConfig
from training.data.batches import BatchConfig
from training.losses.mask_criterion import MaskLossConfig

PRECISIONS = ("fp32", "bf16", "fp16")
SCHEDULES = ("steps", "linear")


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
    """Share of the steps that a task takes part in (the paper: all); saves time on small machines."""
    objects_first: int = 0
    """Steps at the start with the panoptic task alone: all proposals share their weights, and a
    step without the other tasks costs a third."""
    segment_sees_queries: float = 0.3
    """Chance that segments see what prompts became instead of their tokens (docs/spec.md 2.7)."""
    refine: float = 0.5
    """Chance of one more interactive round, with a corrective click and the memory."""
    relevance: float = 0.0
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
    photos: str = ""
    """Folder of photograph sets (training/data/formats/photos.py): those that may feed shipped weights."""
    composites: int = 0
    """Rendered things in photographs (training/data/derived/composites.py), so many."""
    references: int = 0
    """Pictures of the thing alone (training/data/derived/references.py), so many."""
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

    def __post_init__(self) -> None:
        """Refuse numbers that no run can have.

        Raises:
            RecipeError: a count below 1, or a word that is not among those to choose from.
        """
        counts = {
            "optim.steps": self.optim.steps, "data.batch.size": self.data.batch.size,
            "log_every": self.log_every, "save_every": self.save_every,
            "refresh_every": self.refresh_every, "losses.masks.aux_every": self.losses.masks.aux_every,
        }  # fmt: skip
        if not self.optim.lr > 0:
            raise RecipeError(f"optim.lr={self.optim.lr} is no rate: give a number above 0.")
        for key, count in counts.items():
            if count < 1:
                raise RecipeError(f"{key}={count} must be at least 1.")
        words = {"precision": (self.precision, PRECISIONS),
                 "optim.schedule": (self.optim.schedule, SCHEDULES)}  # fmt: skip
        for key, (word, known) in words.items():
            if word not in known:
                raise RecipeError(f"{key}={word!r} is unknown: choose one of {', '.join(known)}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)


T = TypeVar("T")


def override(config: TrainConfig, assignments: Sequence[str]) -> TrainConfig:
    """Apply `--set optim.lr=5e-4 losses.panoptic.ce=1` style overrides.

    Raises:
        RecipeError: unknown key, or a value of the wrong type.
    """
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign:
            raise RecipeError(f"Override {assignment!r} is not KEY=VALUE: e.g. optim.lr=5e-4.")
        config = _replace(config, key.strip(), _Text(value.strip()))
    return config


def changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """A copy with other values, by dotted key: `{"optim.lr": 5e-4}`.

    Raises:
        RecipeError: unknown key, or a value of the wrong type.
    """
    for key, value in changes.items():
        config = _replace(config, key, value)
    return config


def flat(config: TrainConfig) -> dict[str, Any]:
    """Every number by its dotted key, in the order of the fields."""

    def walk(node: Any, path: str) -> dict[str, Any]:
        if not dataclasses.is_dataclass(node):
            return {path: node}
        out: dict[str, Any] = {}
        for item in dataclasses.fields(node):
            out |= walk(getattr(node, item.name), f"{path}.{item.name}".lstrip("."))
        return out

    return walk(config, "")


def from_dict(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """Rebuild a config dataclass from `dataclasses.asdict`, or from JSON made of it.

    Args:
        where: dotted key of the whole, for error messages.

    Raises:
        RecipeError: unknown key, or a value of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise RecipeError(f"{where or 'The recipe'} is no JSON object, but {data!r:.40}.")
    hints = typing.get_type_hints(cls)
    values = {}
    for name, value in data.items():
        name = OLD_KEYS.get((cls.__name__, name), name)
        if name not in hints:
            raise _unknown(f"{where}.{name}".lstrip("."), name, list(hints))
        values[name] = _typed(value, hints[name], f"{where}.{name}".lstrip("."))
    return cls(**values)


OLD_KEYS = {("LossConfig", "presence"): "relevance"}
"""Names that settings had before, per dataclass: still read, never written."""


@dataclass(frozen=True)
class _Text:
    """A value as it was typed on the command line."""

    text: str


def _replace(node: Any, key: str, value: Any, done: str = "") -> Any:
    """`node` with the value at a dotted key; `done` is the part of the key that led here."""
    first, _, rest = key.partition(".")
    whole = f"{done}.{key}".lstrip(".")
    names = [f.name for f in dataclasses.fields(node)] if dataclasses.is_dataclass(node) else []
    first = OLD_KEYS.get((type(node).__name__, first), first)
    if first not in names:
        raise _unknown(whole, first, names)
    old = getattr(node, first)
    if rest:
        new = _replace(old, rest, value, f"{done}.{first}")
    else:
        hint = typing.get_type_hints(type(node))[first]
        new = _typed(_parsed(value, hint, old, whole), hint, whole, old)
    return dataclasses.replace(node, **{first: new})


def _parsed(value: Any, hint: Any, old: Any, key: str) -> Any:
    """What a typed text stands for: itself where a text is wanted, else JSON."""
    if not isinstance(value, _Text):
        return value
    if hint is str:
        return value.text
    try:
        return json.loads(value.text.lower() if value.text in ("True", "False") else value.text)
    except (ValueError, RecursionError):  # no JSON, a number of 5,000 digits, too deep
        raise _ill_typed(value.text, hint, key, old) from None


def _typed(value: Any, hint: Any, key: str, old: Any = None) -> Any:
    """The value as the type that a field declares; lists become tuples, integers floats."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_dict(hint, value, key)
    if origin in (typing.Union, types.UnionType) and value is None and type(None) in inner:
        return None
    if origin in (typing.Union, types.UnionType):
        return _typed(value, next(t for t in inner if t is not type(None)), key, old)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else list(inner)
        if len(kinds) == len(value):
            return tuple(_typed(v, k, key, old) for v, k in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(hint, type) or type(value) is not hint:
        raise _ill_typed(value, hint, key, old)
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{key}={value!r} is no finite number.")
    return value


def _ill_typed(value: Any, hint: Any, key: str, old: Any) -> RecipeError:
    kind = hint.__name__ if isinstance(hint, type) and not typing.get_origin(hint) else str(hint)
    example = "" if old is None else f": e.g. {key}={old!r}"
    return RecipeError(f"{key}={quoted(value)} is no {kind}{example}.")


def _unknown(whole: str, name: str, names: Sequence[str]) -> RecipeError:
    known = f"choose one of {', '.join(names)}" if names else "it has no parts"
    return RecipeError(f"No setting {whole!r} ({name!r} is unknown): {known}.")
