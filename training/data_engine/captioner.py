"""Captions by a vision-language model of transformers, for images that have none or few.

The paper adds a model's descriptions to people's captions before sentences are written (3.1.2). They
are kept apart: the file says which model made them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from find_core.encoders.hf_load import pretrained, pretrained_model
from training.data.formats.oriented import read_as_labelled
from training.data_engine.images import Item
from training.data_engine.journal import Journal
from training.engine.spread import Spread, each_done, open_workers

QUESTION = "Describe the image in one sentence."
MOST_TOKENS = 60
Progress = Callable[[int, int], None]


class Captioner:
    """
    Args:
        model: folder or hub name of an image-text-to-text model, e.g. BLIP or LLaVA.

    Raises:
        EncoderError: it cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = pretrained(AutoProcessor.from_pretrained, model)
        network = pretrained_model(AutoModelForImageTextToText.from_pretrained, model)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network: Any = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def caption(self, image: np.ndarray) -> str:
        """One caption of an (H, W, 3) uint8 RGB image, greedy."""
        from PIL import Image

        inputs = self._inputs(Image.fromarray(image)).to(self.network.device)
        out = self.network.generate(**inputs, do_sample=False, max_new_tokens=MOST_TOKENS)[0]
        asked = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
        text = self.processor.decode(out[asked:], skip_special_tokens=True)
        return " ".join(text.split())

    def _inputs(self, image: Any) -> Any:
        """With the question, in the model's own chat form, where it has one; else the image alone."""
        if not getattr(self.processor, "chat_template", None):
            return self.processor(images=image, return_tensors="pt")
        content = [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True,
            return_dict=True, return_tensors="pt",
        )  # fmt: skip

    def __call__(self, item: Item) -> str:
        height, width = item.image.read_ids().shape
        return self.caption(read_as_labelled(item.image.file, height, width))


def caption_items(
    model: str, items: Sequence[Item], path: Path, spread: Spread, progress: Progress
) -> dict[str, Any]:
    """Captions of all items in COCO's form, empty ones left out; `path` keeps them as they come."""
    with Journal(path, {"pseudo-captions": model, "question": QUESTION}) as journal:
        known = {e["image"]: e["caption"] for e in journal.entries}
        waiting = [i for i in items if i.image_id not in known]
        if waiting:
            with open_workers(functools.partial(Captioner, model), spread) as workers:
                for place, text in each_done(workers, [(i,) for i in waiting], progress):
                    known[waiting[place].image_id] = text
                    journal.add({"image": waiting[place].image_id, "caption": text})
    annotations = [
        {"id": n, "image_id": i.image_id, "caption": known[i.image_id]}
        for n, i in enumerate(items, 1) if known[i.image_id]
    ]  # fmt: skip
    images = [{"id": i.image_id, "file_name": i.image.key} for i in items]
    provenance = {"captions_by": model, "question": QUESTION, "pseudo": True}
    return {"provenance": provenance, "images": images, "annotations": annotations}
