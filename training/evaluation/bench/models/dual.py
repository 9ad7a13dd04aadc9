"""CLIP, SigLIP and what else has one vector an image and one a text, of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from training.evaluation.bench.model import Vectors, unit_rows
from training.evaluation.bench.models.hub import HubModel, as_pil, load_pair


class DualEncoder(HubModel):
    """`AutoModel` with `get_image_features` and `get_text_features`."""

    def __init__(self, model: Any, processor: Any, path: str = "") -> None:
        super().__init__(model.config.model_type, path, model)
        self.model, self.processor = model, processor
        # SigLIP was trained on texts of one length; CLIP masks what is padded.
        self._padding = "max_length" if "siglip" in model.config.model_type else True

    @classmethod
    def load(cls, path: str) -> DualEncoder:
        return cls(*load_pair("AutoModel", path), path)

    @torch.inference_mode()
    def embed_image(self, image: np.ndarray) -> Vectors:
        inputs = self.processor(images=as_pil(image), return_tensors="pt").to(self.device)
        return _vectors(self.model.get_image_features(**inputs))

    @torch.inference_mode()
    def embed_text(self, text: str) -> Vectors:
        inputs = self.processor(
            text=[text], padding=self._padding, truncation=True, return_tensors="pt"
        ).to(self.device)
        return _vectors(self.model.get_text_features(**inputs))


def _vectors(features: Any) -> Vectors:
    """The pooled output of new versions, the features themselves of older ones."""
    rows = getattr(features, "pooler_output", features)
    return Vectors(unit_rows(rows.float().cpu().numpy())[0])
