"""Sentences and captions by models of transformers, tiny and random: through their public classes."""

from __future__ import annotations

import json

import pytest
import torch

from tests.training.data_engine.conftest import image, segment
from tests.training.evaluation.bench import tiny_hub
from training.data_engine.__main__ import main
from training.data_engine.writers.asking import messages
from training.data_engine.writers.base import NoAnswerError, Wish
from training.data_engine.writers.causal_lm import CausalLMWriter

transformers = pytest.importorskip("transformers")
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """A random LLaMA of bytes."""
    import tokenizers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: n for n, c in enumerate([*alphabet, "</s>"])}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=model, eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    out = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                      vocab_size=len(vocabulary), max_position_embeddings=4096, eos_token_id=256, bos_token_id=256)  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return str(out)


DOGS = image(segment(3, "dog"), segment(4, "grass", thing=False), captions=("A dog.",))


def test_what_a_random_model_writes_is_no_sentence(folder) -> None:
    with pytest.raises(NoAnswerError, match="no marked sentence") as error:
        CausalLMWriter(folder, answer_tokens=8).write(DOGS, Wish())
    assert error.value.used.answered == 8 and error.value.used.asked > 500


def test_the_question_and_the_answer_pass_through_the_chat_template(folder, monkeypatch) -> None:
    """A model that repeats the example's answer gives its sentence."""
    writer = CausalLMWriter(folder, answer_tokens=200)
    asked = []

    def generate(input_ids, **options):
        asked.append(writer.tokenizer.decode(input_ids[0]))
        answer = writer.tokenizer('{"sentences": ["[3]<A dog> on [4]<the grass>."]}')["input_ids"]
        return torch.cat([input_ids, torch.tensor([answer])], 1)

    monkeypatch.setattr(writer.network, "generate", generate)
    assert writer.write(DOGS, Wish()).answers == ("[3]<A dog> on [4]<the grass>.",)
    assert asked[0].endswith("assistant:") and messages(DOGS, Wish())[-1]["content"] in asked[0]


def test_a_question_longer_than_the_model_reads(folder) -> None:
    with pytest.raises(NoAnswerError, match="the model reads 4096"):
        CausalLMWriter(folder, answer_tokens=4000).write(DOGS, Wish())


def test_a_run_with_a_model(root, tmp_path, folder) -> None:
    command = ["sentences", "--data", str(root), "--out", str(tmp_path), "--writer", "transformers", "--name", folder,
               "--answer-tokens", "16", "--attempts", "1", "--limit", "2"]  # fmt: skip
    assert main(command) == 0
    report = (tmp_path / "report_val2017.md").read_text()
    assert "| no answer | 2 |" in report and "| asked, without one | 2 |" in report


def test_pseudo_captions(root, tmp_path) -> None:
    """A random BLIP: its captions stand in COCO's form, and are told to the writer as a model's."""
    tokenizer = tiny_hub.bert_tokenizer()
    text = {"hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "vocab_size": len(tokenizer), "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}  # fmt: skip
    config = transformers.BlipConfig(
        text_config=text, vision_config=vision, image_text_hidden_size=16
    )
    processor = transformers.BlipProcessor(transformers.BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer)  # fmt: skip
    model = tiny_hub.save(
        tmp_path / "blip", transformers.BlipForConditionalGeneration, config, processor
    )
    command = [
        "captions",
        "--data",
        str(root),
        "--out",
        str(tmp_path),
        "--name",
        model,
        "--limit",
        "3",
    ]
    assert main(command) == 0
    path = tmp_path / "pseudo_captions_val2017.json"
    data = json.loads(path.read_text())
    assert data["provenance"]["captions_by"] == model and data["annotations"], "letters at random"
    before = path.read_bytes()
    assert main(command) == 0 and path.read_bytes() == before
    assert (
        main(
            [
                "sentences",
                "--data",
                str(root),
                "--out",
                str(tmp_path),
                "--pseudo-captions",
                str(path),
            ]
        )
        == 0
    )
