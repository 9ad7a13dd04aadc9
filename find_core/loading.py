"""`load`: from a model's name to a `Find`. The only file that knows checkpoints and `Find`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from find_core.checkpoint.build import build
from find_core.checkpoint.open import read, resolve
from find_core.places.store import PLACES_FILE, load_places
from find_core.predictor import Find
from find_core.recognition.store import RECOGNIZER_FILE, load_recognizer


def load(
    name: str | Path = "find-tabletop",
    device: str = "auto",
    language_cache: str | Path | None = None,
    places: bool = True,
    recognition: bool = True,
    **options: Any,
) -> Find:
    """Load a model: the packaged default, a directory, a hub id, or an imported checkpoint.

    Args:
        name: "find-tabletop"; a directory written by `find-core import` or by training;
            "xueyanz/FIND:focalt"; or a published .pt file.
        device: "auto", "cpu", "cuda", ...
        language_cache: file of ready texts (`python -m find_core.encoders.precompute`); the
            language model is then not needed.
        places: let the checkpoint's judge of places decide between candidates in sentences of
            several entities; without it, or where a checkpoint has none, scores alone decide.
        recognition: let the checkpoint's recogniser score proposals beside the interface, by what the
            frozen encoder sees under their masks; without it, or where a checkpoint has none, the
            interface's cosines alone decide.
        options: of `Find` (dtype, compile, input_px, runtime).

    Raises:
        CheckpointError: missing, truncated, foreign. EncoderError: a frozen encoder is missing.
    """
    path = resolve(name)
    parts = build(read(path), language_cache)
    judge = path / PLACES_FILE
    if places and judge.is_file():
        options["places"] = load_places(judge, parts.model.config.language)
    recognizer = path / RECOGNIZER_FILE
    if recognition and recognizer.is_file():
        config = parts.model.config
        options["recognizer"] = load_recognizer(recognizer, config.vision, config.language)
    return Find(parts.model, parts.vision, parts.language, device=device, **options)


load_find = load  # its name in `find_core.checkpoint`
