"""Finished training runs: read from their config.yml without running what stands in it.

nerfstudio writes its configuration as YAML that names Python classes, and reads it with a loader
that calls whatever is named. Runs are passed on; so here only configuration classes of nerfstudio
and find_field are made, and nothing else is called.
"""

from __future__ import annotations

import dataclasses
import enum
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig

from find_core.errors import FieldError
from find_field.field.feature_field import FeatureField
from find_field.nerf.pipeline import FindFieldPipeline, FindFieldPipelineConfig

_PACKAGES = ("nerfstudio", "find_field")
# Optimizers are named, not made, by a configuration.
_NAMED = (*_PACKAGES, "torch.optim")
_FUNCTIONS = ("nerfstudio.data.utils.nerfstudio_collate.nerfstudio_collate",)
_PATHS = ("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.Path", "pathlib._local.PosixPath")
_TAG = "tag:yaml.org,2002:python/"


class ConfigLoader(yaml.SafeLoader):
    """Plain YAML, and configuration classes, their enums, paths and tuples."""


def _named(name: str, packages: tuple[str, ...]) -> Any:
    module, _, attribute = name.rpartition(".")
    if not any(module == p or module.startswith(f"{p}.") for p in packages):
        raise _foreign(name)
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise FieldError(f"It names {name}, which this installation lacks ({error}).") from None


def _foreign(name: str) -> FieldError:
    return FieldError(
        f"It names {name}, which is no configuration of nerfstudio or find_field. Nothing of the "
        "file was run: do not trust where it comes from."
    )


def _construct_name(loader: ConfigLoader, name: str, node: yaml.Node) -> Any:
    """`!!python/name:`: a class that a configuration says it is for."""
    found = _named(name, _NAMED)
    if not isinstance(found, type) and name not in _FUNCTIONS:
        raise _foreign(name)
    return found


def _construct_object(loader: ConfigLoader, name: str, node: yaml.Node) -> Any:
    """`!!python/object:`: a configuration; what it was written without has its default."""
    kind = _named(name, _PACKAGES)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise _foreign(name)
    made = kind.__new__(kind)
    yield made
    values = loader.construct_mapping(node, deep=True)
    for spec in dataclasses.fields(kind):
        if spec.name not in values and spec.default_factory is not dataclasses.MISSING:
            values[spec.name] = spec.default_factory()
    made.__dict__.update(values)


def _construct_call(loader: ConfigLoader, name: str, node: yaml.Node) -> Any:
    """`!!python/object/apply:`: a path, or a value of an enum; no other call."""
    arguments = loader.construct_sequence(node, deep=True)
    if name in _PATHS:
        return Path(*arguments)
    kind = _named(name, _PACKAGES)
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        raise _foreign(name)
    return kind(*arguments)


def _construct_tuple(loader: ConfigLoader, node: yaml.Node) -> Any:
    return tuple(loader.construct_sequence(node, deep=True))


ConfigLoader.add_multi_constructor(f"{_TAG}name:", _construct_name)
ConfigLoader.add_multi_constructor(f"{_TAG}object:", _construct_object)
ConfigLoader.add_multi_constructor(f"{_TAG}object/apply:", _construct_call)
ConfigLoader.add_constructor(f"{_TAG}tuple", _construct_tuple)


def read_config(path: str | Path, any_method: bool = False) -> TrainerConfig:
    """The configuration of a run of `ns-train find-field*`, given its config.yml.

    Args:
        any_method: of a run of any other method of nerfstudio too.

    Raises:
        FieldError: no such file, not such a configuration, or one that names other classes.
    """
    wanted = VanillaPipelineConfig if any_method else FindFieldPipelineConfig
    path = Path(path)
    try:
        config = yaml.load(path.read_text("utf-8"), Loader=ConfigLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FieldError(f"{path} cannot be read as a run's config.yml ({error}).") from None
    except FieldError as error:
        raise FieldError(f"{path} cannot be read as a run's config.yml. {error}") from None
    except (TypeError, ValueError) as error:
        raise FieldError(f"{path} is damaged ({error}): copy it again.") from None
    pipeline = getattr(config, "pipeline", None)
    if not isinstance(config, TrainerConfig) or not isinstance(pipeline, wanted):
        method = "" if any_method else " find-field"
        raise FieldError(f"{path} is not the config.yml of a run of ns-train{method}.")
    return config


def load_run(path: str | Path) -> FindFieldPipeline:
    """The trained pipeline of a run, given its config.yml; for rendering, not for training.

    Raises:
        FieldError: as `read_config`; no checkpoint; or one of another model.
    """
    config = read_config(path)
    newest = _newest_checkpoint(path, config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = config.pipeline.setup(device=device, test_mode="inference")
    pipeline.eval()
    state = _tensors(newest)
    pipeline.load_pipeline(state["pipeline"], state["step"])
    return pipeline


def read_checkpoint(path: str | Path, config: TrainerConfig) -> dict[str, torch.Tensor]:
    """What the newest checkpoint of a run holds of its pipeline, by name.

    Raises:
        FieldError: none there, or it holds more than tensors and numbers.
    """
    return _tensors(_newest_checkpoint(path, config))["pipeline"]


def _newest_checkpoint(path: str | Path, config: TrainerConfig) -> Path:
    """Beside the config.yml, or else where the run wrote it."""
    folders = [Path(path).parent / config.relative_model_dir, config.get_checkpoint_dir()]
    checkpoints = sorted(file for folder in folders[::-1] for file in folder.glob("step-*.ckpt"))
    beside = [file for file in checkpoints if file.parent == folders[0]]
    if not checkpoints:
        raise FieldError(f"No checkpoint in {folders[0]}: train longer than steps_per_save.")
    return (beside or checkpoints)[-1]


def _tensors(file: Path) -> dict[str, Any]:
    # Stock nerfstudio leaves NumPy's numbers in its schedulers' state.
    numbers: list[Any] = [np.dtype, type(np.dtype(np.float64)), np.float64(0).__reduce__()[0]]
    try:
        with torch.serialization.safe_globals(numbers):
            state = torch.load(file, map_location="cpu", weights_only=True)
        return {"pipeline": state["pipeline"], "step": int(state["step"])}
    except Exception as error:  # torch has no one class for what is wrong with a file
        raise FieldError(f"{file} is no checkpoint of plain tensors ({error}).") from None


def export_run(path: str | Path, **options: Any) -> FeatureField:
    """The field of a finished training run, given its config.yml.

    Args:
        options: of `find_field.nerf.export.ExportConfig`, instead of the run's own.

    Raises:
        FieldError: as `load_run`; or no surface was met.
    """
    pipeline = load_run(path)
    pipeline.config.export = dataclasses.replace(pipeline.config.export, **options)
    if not isinstance(pipeline.config.export.up, str):
        x, y, z = pipeline.config.export.up
        pipeline.config.export.up = f"{x} {y} {z}"
    return pipeline.export()
