"""Encoders by name: every built-in place exists, nothing is imported early, others can register."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from find_core.encoders import (
    LanguageConfig,
    VisionConfig,
    build_language,
    build_vision,
    register_language,
    register_vision,
    registry,
)
from find_core.encoders.tiny import TinyConv, TinyText


@pytest.mark.parametrize("place", [*registry.VISION.values(), *registry.LANGUAGE.values()])
def test_every_place_exists(place):
    module, _, name = place.partition(":")
    assert callable(getattr(import_module(module), name))


def test_weights_in_the_checkpoint():
    assert set(registry.VISION) | set(registry.LANGUAGE) >= registry.WEIGHTS_IN_CHECKPOINT
    assert registry.weights_in_checkpoint(VisionConfig("davit_d5"))
    assert not registry.weights_in_checkpoint(VisionConfig())


def test_encoders_are_imported_when_they_are_built():
    code = (
        "import sys, find_core.encoders as e; "
        "e.build_language(e.LanguageConfig('tiny_text')); "
        "print(sorted(m for m in sys.modules if m.startswith('find_core.encoders.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        ["find_core.encoders.base", "find_core.encoders.registry", "find_core.encoders.tiny"]
    )


def test_programs_can_register_their_own(monkeypatch):
    monkeypatch.setattr(registry, "VISION", dict(registry.VISION))
    monkeypatch.setattr(registry, "LANGUAGE", dict(registry.LANGUAGE))
    monkeypatch.setattr(registry, "WEIGHTS_IN_CHECKPOINT", set(registry.WEIGHTS_IN_CHECKPOINT))

    @register_vision("mine", weights_in_checkpoint=True)
    class Mine(TinyConv):
        pass

    @register_language("words")
    def words(max_tokens: int, width: int = 5) -> TinyText:
        return TinyText(max_tokens=max_tokens, width=width)

    assert isinstance(build_vision(VisionConfig("mine")), Mine)
    assert registry.weights_in_checkpoint(VisionConfig("mine"))
    assert build_language(LanguageConfig("words", {"width": 7})).width == 7
