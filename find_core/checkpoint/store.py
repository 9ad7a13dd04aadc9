"""Checkpoints: a directory of `config.json` and `model.safetensors`, saved and read atomically.

The tensors are those of `FindModel`, and `vision.*` / `language.*` for frozen encoders whose
weights have no other source (the published backbones). Other encoders are referred to by name.
Nothing here ever unpickles code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from find_core.encoders.base import build_language, build_vision, freeze, weights_in_checkpoint
from find_core.errors import CheckpointError, EncoderError
from find_core.files import read_tensors, replace_file, write_tensors
from find_core.model.config import FindConfig
from find_core.model.find import FindModel

FORMAT, VERSION = "find_core", 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_MAX_SIZE = 100_000  # of any one dimension
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint holds, on the CPU, in float32.

    Attributes:
        config: sizes and the encoders' names.
        tensors: by our names.
        fingerprint: hash of the tensors as they were saved.
        notes: where it comes from (training data, script, source file); free-form JSON.
    """

    config: FindConfig
    tensors: Mapping[str, Tensor]
    fingerprint: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)


def save(
    directory: str | Path,
    model: FindModel,
    vision: Any = None,
    language: Any = None,
    *,
    dtype: torch.dtype = torch.float32,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write `model`, and those of the encoders whose weights have no other source.

    Args:
        directory: made if missing; what is there stays valid until the new files are complete.
        dtype: float16 or bfloat16 halve the file; they are read back as float32.
        notes: free-form JSON on where the weights come from.

    Raises:
        CheckpointError: the directory cannot be written.
    """
    tensors = dict(model.state_dict())
    config = model.config
    for kind, encoder, source in (
        ("vision", vision, config.vision),
        ("language", language, config.language),
    ):
        if not weights_in_checkpoint(source):
            continue
        if encoder is None:
            raise CheckpointError(f"Pass {kind}= too: {source.name!r} has no other weights.")
        tensors |= {f"{kind}.{k}": v for k, v in encoder.state_dict().items()}
    return write(directory, Checkpoint(config, tensors, notes=notes or {}), dtype=dtype)


def write(
    directory: str | Path, checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32
) -> Path:
    """Write a `Checkpoint`; see `save`."""
    directory = Path(directory)
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    fingerprint = _fingerprint(tensors)
    config = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint,
        "model": checkpoint.config.to_dict(),
        "notes": dict(checkpoint.notes),
    }
    metadata = {"fingerprint": fingerprint}  # one key: their order in the file is random
    text = json.dumps(config, indent=2) + "\n"
    write_tensors(directory / WEIGHTS_FILE, tensors, metadata, CheckpointError)
    replace_file(directory / CONFIG_FILE, lambda path: path.write_text(text), CheckpointError)
    return directory


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint directory, or a published .pt file.

    Raises:
        CheckpointError: missing, truncated, foreign, damaged, or of a newer version.
    """
    path = Path(path)
    if path.is_file():
        from find_core.checkpoint.published import read_published

        return read_published(path)
    config, header = read_config(path)
    tensors, metadata = _read_weights(path / WEIGHTS_FILE)
    if metadata.get("fingerprint") != header.get("fingerprint"):
        raise CheckpointError(
            f"{CONFIG_FILE} and {WEIGHTS_FILE} in {path} are not of one save: copy both again."
        )
    fingerprint, notes = str(header.get("fingerprint")), header.get("notes") or {}
    return Checkpoint(config, tensors, fingerprint, notes)


def read_config(directory: str | Path) -> tuple[FindConfig, dict[str, Any]]:
    """The model's config and the whole `config.json` of a checkpoint directory, without weights."""
    path = Path(directory) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{directory} is not a checkpoint: it has no {CONFIG_FILE}. Published .pt files are "
            "given directly, or converted by `find-core import FILE.pt --out DIR`."
        )
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): copy it again.") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not of the format {FORMAT!r}: is it another program's?")
    version = header.get("version")
    if version != VERSION:
        raise CheckpointError(
            f"{path} is of version {version!r}, this program reads {VERSION}: update find_ros."
        )
    if not isinstance(header.get("notes", {}), dict):
        raise CheckpointError(f"{path}: notes must be an object.")
    if not isinstance(header.get("model"), dict):
        raise CheckpointError(f'{path} has no object "model": copy it again.')
    config = FindConfig.from_dict(header["model"])
    _check_sizes(config)
    return config, header


@dataclass(frozen=True, eq=False)
class Parts:
    """A model and its frozen encoders; `language` is built when first called for."""

    model: FindModel
    vision: Any
    language: Any | Callable[[], Any]


def build(checkpoint: Checkpoint, language_cache: str | Path | None = None) -> Parts:
    """Build model and encoders, and fill in the weights; nothing is left at random.

    Args:
        language_cache: file of precomputed token states; the language model is then not needed.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape (each by name).
        EncoderError: a frozen encoder is unknown or not installed.
    """
    config, groups = checkpoint.config, _split(checkpoint.tensors)
    for kind, source in (("vision", config.vision), ("language", config.language)):
        if weights_in_checkpoint(source) and not groups[kind]:
            raise CheckpointError(f"The checkpoint lacks the weights of its {kind} encoder.")
    vision = _filled("vision", lambda: build_vision(config.vision), groups["vision"])
    width = groups["model"].get("lang_proj.weight", torch.empty(1, 1)).shape[-1]
    model = _on_meta(lambda: FindModel(config, vision.channels, width))
    fill(model, groups["model"])
    language: Any = _language_builder(config, width, language_cache)
    if groups["language"] and language_cache is None:
        language = _filled("language", language, groups["language"])
    return Parts(model.eval(), vision, language)


def load_find(
    name: str | Path = "find-tabletop",
    device: str = "auto",
    language_cache: str | Path | None = None,
    **options: Any,
) -> Any:
    """Resolve, read and build a `Find`; see `find_core.load`."""
    from find_core.checkpoint.published import resolve
    from find_core.predictor import Find

    parts = build(read(resolve(name)), language_cache)
    return Find(parts.model, parts.vision, parts.language, device=device, **options)


def expected_shapes(config: FindConfig, language_width: int) -> dict[str, torch.Size]:
    """Names and shapes of the tensors that a checkpoint of `config` holds; uses no memory."""
    vision = _on_meta(lambda: build_vision(config.vision))
    model = _on_meta(lambda: FindModel(config, vision.channels, language_width))
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    parts = {"vision": vision} if weights_in_checkpoint(config.vision) else {}
    if weights_in_checkpoint(config.language):
        parts["language"] = _on_meta(lambda: build_language(config.language))
    for prefix, encoder in parts.items():
        for name, tensor in encoder.state_dict().items():
            shapes[f"{prefix}.{name}"] = tensor.shape
    return shapes


def check_tensors(
    expected: Mapping[str, torch.Size], given: Mapping[str, Tensor], what: str = "The checkpoint"
) -> None:
    """Demand exactly the expected names and shapes.

    Raises:
        CheckpointError: names the first tensors that are missing, unknown or mis-shaped.
    """
    wrong = [
        f"{name} has shape {tuple(given[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in given and given[name].shape != shape
    ]
    missing = [f"{name} is missing" for name in expected if name not in given]
    unknown = [f"{name} is unknown" for name in given if name not in expected]
    if problems := missing + unknown + wrong:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise CheckpointError(
            f"{what} does not fit the model its config describes: {'; '.join(problems[:3])}{more}."
        )


def fill(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Give every parameter of `module` (also one on the meta device) its tensor, strictly."""
    expected = {prefix + name: tensor.shape for name, tensor in module.state_dict().items()}
    check_tensors(expected, {prefix + name: tensor for name, tensor in tensors.items()})
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{prefix}{name} holds NaN or infinity: the file is damaged.")
    module.load_state_dict(dict(tensors), strict=True, assign=True)


def _check_sizes(config: FindConfig) -> None:
    """Sizes that no model has; a config is as little trusted as the rest of the file."""
    sizes = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if type(getattr(config, field.name)) is int  # a bool is no size
    }
    for name, size in sizes.items():
        if not (0 if name == "encoder_layers" else 1) <= size <= _MAX_SIZE:
            raise CheckpointError(f"Config key {name} = {size} does not describe a model.")
    if config.hidden_dim % config.num_heads or config.num_layers + config.encoder_layers > 1000:
        raise CheckpointError(
            f"The config does not describe a model: hidden_dim {config.hidden_dim} in "
            f"{config.num_heads} heads, {config.num_layers} + {config.encoder_layers} layers."
        )


def _filled(kind: str, builder: Callable[[], Any], tensors: Mapping[str, Tensor]) -> Any:
    """An encoder with the weights of the checkpoint if it has any, else with its own."""
    if not tensors:
        return builder()
    encoder = _on_meta(builder)
    fill(encoder, tensors, prefix=f"{kind}.")
    return freeze(encoder)


def _on_meta(builder: Callable[[], Any]) -> Any:
    """Build without memory and without the time to initialise; `fill` brings the weights."""
    try:
        with torch.device("meta"):
            return builder()
    except (
        AssertionError,
        ArithmeticError,
        IndexError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        if isinstance(error, EncoderError):
            raise
        raise CheckpointError(f"Its config does not describe a model: {error}.") from None


def _language_builder(
    config: FindConfig, width: int, language_cache: str | Path | None
) -> Callable[[], Any]:
    def language() -> Any:
        if language_cache is None:
            encoder = build_language(config.language)
        else:
            from find_core.encoders.token_cache import CachedText

            encoder = CachedText(language_cache, expected=config.language)
        if encoder.width != width:
            raise EncoderError(
                f"The checkpoint was trained on token states of width {width}, this language "
                f"encoder gives {encoder.width}: use the model named in its config.json."
            )
        return encoder

    return language


def _split(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"vision": {}, "language": {}, "model": {}}
    for name, tensor in tensors.items():
        head, _, rest = name.partition(".")
        if head in ("vision", "language"):
            groups[head][rest] = tensor
        else:
            groups["model"][name] = tensor
    return groups


def _read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: copy the whole checkpoint directory.")
    tensors, metadata = read_tensors(path, CheckpointError)
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS:
            raise CheckpointError(f"{name} is {tensor.dtype}, not a float: the file is foreign.")
    return {name: tensor.float() for name, tensor in tensors.items()}, metadata


def _fingerprint(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
