"""Token states on disk: the same states, fewer calls, and clear words when a text is unknown."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import find_core as fc
from find_core import checkpoint as ck
from find_core.encoders import LanguageConfig, build_language
from find_core.encoders.precompute import main, precompute, texts_of
from find_core.encoders.token_cache import (
    CachedText,
    fingerprint_of,
    read_vocabulary,
    write_vocabulary,
)
from find_core.errors import EncoderError, PromptError
from find_core.prompts.prompt import Prompt, Reference
from find_core.support.files import read_tensors
from find_core.testing import tiny_find

CONFIG = LanguageConfig("tiny_text")
TEXTS = ["the white mug", "a can", "the white mug left of the can"]


class Counting:
    """An encoder that counts what reaches it."""

    def __init__(self):
        self.encoder = build_language(CONFIG)
        self.width, self.fingerprint = self.encoder.width, self.encoder.fingerprint
        self.seen: list[str] = []

    def encode(self, texts):
        self.seen += texts
        return self.encoder.encode(texts)


def _equal(a, b, tolerance=0.0) -> bool:
    return bool((a.states - b.states).abs().max() <= tolerance) and np.array_equal(
        a.offsets, b.offsets
    )


def test_encoder_without_a_fingerprint():
    class Nameless:
        width = 3

        def encode(self, texts):
            return []

    with pytest.raises(EncoderError, match="give it a `fingerprint`"):
        fingerprint_of(Nameless())


@pytest.fixture()
def vocabulary(tmp_path) -> Path:
    encoder = build_language(CONFIG)
    precompute(encoder, CONFIG, TEXTS, tmp_path / "kitchen.cache")
    return tmp_path / "kitchen.cache"


def test_cached_encoder(vocabulary):
    """The states of the file, to half precision, without the encoder."""
    cached = build_language(LanguageConfig("cached", {"path": str(vocabulary)}))
    assert cached.width == 16 and sorted(cached.texts) == sorted(TEXTS)
    assert cached.fingerprint == build_language(CONFIG).fingerprint
    for a, b in zip(cached.encode(TEXTS), build_language(CONFIG).encode(TEXTS), strict=True):
        assert _equal(a, b, tolerance=2e-3) and a.states.dtype == torch.float32


def test_values_beyond_half_precision_stay_exact(tmp_path):
    tokens = build_language(CONFIG).encode(TEXTS)[0]
    big = type(tokens)(tokens.states * 1e5, tokens.offsets)
    write_vocabulary(tmp_path / "big.cache", {"a": big}, CONFIG, "f")
    assert _equal(read_vocabulary(tmp_path / "big.cache")[0]["a"], big)


def test_unknown_text_names_the_command(vocabulary):
    cached = CachedText(vocabulary)
    with pytest.raises(
        PromptError, match=r"'a fork' is not in the language cache kitchen.cache"
    ) as e:
        cached.encode(["a can", "a fork"])
    assert f'precompute MODEL --out {vocabulary} --text "a fork"`' in str(e.value)


def test_adding_to_a_vocabulary(vocabulary):
    encoder = Counting()
    assert precompute(encoder, CONFIG, [*TEXTS, "a fork"], vocabulary) == 1
    assert encoder.seen == ["a fork"]
    assert sorted(CachedText(vocabulary).texts) == sorted([*TEXTS, "a fork"])
    assert precompute(encoder, CONFIG, TEXTS, vocabulary) == 0
    with pytest.raises(EncoderError, match="another language model"):
        precompute(
            build_language(LanguageConfig("tiny_text", {"width": 9})), CONFIG, [], vocabulary
        )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: p.unlink(), "There is no language cache .* make it with"),
        (lambda p: p.write_bytes(p.read_bytes()[:-9]), "truncated, damaged or"),
        (lambda p: p.write_bytes(b"\x80\x04cos\nsystem\n"), "truncated, damaged or"),
        (lambda p: _foreign(p), "not a language cache of version 1"),
        (lambda p: _foreign(p, format="find_core language cache", version="2"), "of version 1"),
        (
            lambda p: _foreign(p, format="find_core language cache", version="1", texts="[]"),
            "contradicts itself",
        ),
        (lambda p: _changed(p, states=lambda t: t * float("nan")), "'states' is not finite"),
        (lambda p: _changed(p, states=lambda t: t[:-1]), "'offsets' has shape"),
        (lambda p: _changed(p, states=lambda t: t.flatten()), "'states' has shape"),
        (lambda p: _changed(p, states=lambda t: t.double()), "'states' has type float64"),
        (lambda p: _changed(p, lengths=lambda t: t + 1), "differ in number"),
        (lambda p: _changed(p, lengths=lambda t: -t), "'lengths' has values"),
        (lambda p: _changed(p, lengths=lambda t: t.sum()), "'lengths' has shape"),
        (lambda p: _changed(p, texts="[" * 90_000), "nested deeper"),
        (lambda p: _changed(p, texts="{}"), "no list of texts"),
        (lambda p: _changed(p, texts="[1, 2]"), "no list of texts"),
    ],
)
def test_exception(vocabulary, damage, words):
    damage(vocabulary)
    with pytest.raises(EncoderError, match=words):
        CachedText(vocabulary)


def _changed(path: Path, **changes) -> None:
    """The file with some of its tensors or strings changed."""
    from safetensors.torch import save_file

    tensors, metadata = read_tensors(path)
    for name, change in changes.items():
        if name in tensors:
            tensors[name] = change(tensors[name]).contiguous()
        else:
            metadata[name] = change
    save_file(tensors, path, metadata)


@pytest.mark.parametrize("language", ["null", "3", "{", '{"options": 3}', '{"name": []}'])
def test_exception_of_a_source_that_cannot_be_read(vocabulary, language):
    _changed(vocabulary, language=language)
    with pytest.raises(EncoderError, match="source"):
        CachedText(vocabulary, expected=LanguageConfig("tiny_text"))


def _foreign(path: Path, **metadata: str) -> None:
    from safetensors.torch import save_file

    save_file({"states": torch.zeros(2, 2)}, path, metadata)


def test_of_another_encoder(vocabulary):
    with pytest.raises(EncoderError, match=r"of 'tiny_text' .* the model needs 'causal_lm'"):
        CachedText(vocabulary, expected=LanguageConfig("causal_lm", {"layer": -12}))
    CachedText(vocabulary, expected=LanguageConfig("tiny_text"))


@pytest.fixture()
def model(tmp_path) -> Path:
    return ck.save(tmp_path / "model", tiny_find(seed=1).model)


def test_a_robot_runs_without_the_language_model(model, tmp_path, monkeypatch, capsys):
    """precompute on one machine, load with the cache on another: the same answers."""
    photo = np.random.default_rng(0).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    prompts = ["the <white mug> left of the <can>", "the <mug> next to <thing>", "fork"]
    cache = tmp_path / "robot.cache"
    arguments = [str(model), "--out", str(cache), "--reference", "thing", "--class", "plate"]
    assert main(arguments + [x for p in prompts for x in ("--prompt", p)]) == 0
    assert "texts added" in capsys.readouterr().out
    live = fc.load(str(model), device="cpu")
    assert live.language.width == 16  # built now, before it becomes impossible
    monkeypatch.setattr(import_module("find_core.checkpoint.build"), "build_language", None)
    robot = fc.load(str(model), device="cpu", language_cache=cache)
    thing = Reference(photo, box=(10, 10, 40, 40))
    scenes = [find.encode(photo) for find in (live, robot)]
    for prompt in (
        prompts[0],
        Prompt.parse(prompts[1], thing=thing),
        prompts[2],
    ):
        a, b = (scene.localize(prompt) for scene in scenes)
        assert a.relevance == pytest.approx(b.relevance, abs=2e-3)
    torch.testing.assert_close(
        robot.classes(["plate"]), live.classes(["plate"]), rtol=2e-3, atol=2e-3
    )
    scenes[1].ground(["white mug", "can"])
    with pytest.raises(PromptError, match="not in the language cache"):
        robot.compile("a spoon")


def test_texts_of():
    thing = Reference(np.zeros((4, 4, 3), np.uint8), box=(0, 0, 2, 2))
    texts = texts_of([Prompt.parse("a <mug> by <it>", it=thing)], ["plate"], ["hello"])
    assert texts == sorted(
        # The judge of places reads the sentence with its names blanked.
        ["a mug by [INTERACTIVE]", "a mug by it", "a thing by thing", "mug", "plate", "hello"]
        + ["Describe the concept of plate."]
    )


def test_command_line(model, tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    help_text = capsys.readouterr().out
    assert "Example:" in help_text and "--texts-file" in help_text
    (tmp_path / "words.txt").write_text("a fork\n\na spoon\n")
    arguments = [
        str(model),
        "--out",
        str(tmp_path / "c"),
        "--texts-file",
        str(tmp_path / "words.txt"),
    ]
    assert main(arguments) == 0 and CachedText(tmp_path / "c").texts == ["a fork", "a spoon"]


def test_command_line_errors(model, tmp_path, capsys):
    assert main(["nothing-here", "--out", str(tmp_path / "c"), "--text", "a"]) == 2
    assert capsys.readouterr().err.startswith("precompute: There is no checkpoint 'nothing-here'")
    assert main([str(model), "--out", str(tmp_path / "c"), "--text", "a " * 99]) == 2
    assert "at most 77" in capsys.readouterr().err and not (tmp_path / "c").exists()
