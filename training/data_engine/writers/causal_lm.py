"""Sentences by a causal language model of transformers, greedy, so that a run can be repeated."""

from __future__ import annotations

from typing import Any

import torch

from find_core.encoders.hf_load import pretrained, pretrained_model
from training.data_engine.images import LabelledImage
from training.data_engine.writers.asking import messages, read_answers
from training.data_engine.writers.base import NoAnswerError, Reply, Usage, Wish


class CausalLMWriter:
    """
    Args:
        model: folder or hub name. gguf_file: name of a .gguf file in that folder.
        answer_tokens: most tokens of an answer.

    Raises:
        EncoderError: the model cannot be loaded.
    """

    def __init__(self, model: str, gguf_file: str | None = None, answer_tokens: int = 400) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        source = {"gguf_file": gguf_file} if gguf_file else {}
        self.tokenizer = pretrained(AutoTokenizer.from_pretrained, model, **source)
        network = pretrained_model(AutoModelForCausalLM.from_pretrained, model, **source)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network: Any = network.eval().requires_grad_(False).to(device)
        self.answer_tokens = answer_tokens

    @torch.inference_mode()
    def write(self, image: LabelledImage, wish: Wish) -> Reply:
        """
        Raises:
            NoAnswerError: what it wrote holds no marked sentence.
        """
        ids = self._ids(messages(image, wish)).to(self.network.device)
        longest = getattr(self.network.config, "max_position_embeddings", 1 << 30)
        if ids.shape[1] + self.answer_tokens > longest:
            raise NoAnswerError(
                f"The question has {ids.shape[1]} tokens, the model reads {longest}."
            )
        out = self.network.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
            max_new_tokens=self.answer_tokens,
            pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id,
        )[0, ids.shape[1] :]  # fmt: skip
        used = Usage(ids.shape[1], len(out))
        try:
            return Reply(read_answers(self.tokenizer.decode(out, skip_special_tokens=True)), used)
        except NoAnswerError as error:
            raise NoAnswerError(str(error), used=used) from None

    def _ids(self, conversation: list[dict[str, str]]) -> torch.Tensor:
        """(1, T) by the model's own chat template, or as plain text where it has none."""
        if self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(
                conversation, tokenize=False, add_generation_prompt=True
            )
            return self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        text = "\n\n".join(m["content"] for m in conversation) + "\n\n"
        return self.tokenizer(text, return_tensors="pt")["input_ids"]
