"""Text encoders by name through `transformers`: CLIP's text tower, and any encoder-only model."""

from __future__ import annotations

from torch import Tensor

from find_core.encoders.base import missing_package
from find_core.encoders.hf_load import pretrained, pretrained_model
from find_core.encoders.language.text_model import TransformersText, weights_hash


class ClipText(TransformersText):
    """Token states of CLIP's text tower after its last LayerNorm, begin and end marks included.

    Args:
        max_tokens: longest text (CLIP itself reads 77 at most).
        model: hub name or folder of a CLIP model.

    Raises:
        EncoderError: the model cannot be loaded.
    """

    class_name, default_model = "CLIPTextModel", "openai/clip-vit-base-patch32"

    def __init__(self, max_tokens: int = 77, model: str = "") -> None:
        model = model or self.default_model
        try:
            import transformers
        except ImportError:
            raise missing_package(model, "transformers") from None
        loader = getattr(transformers, self.class_name)
        network = pretrained_model(loader.from_pretrained, model)
        config = network.config
        super().__init__(
            lambda: pretrained(transformers.AutoTokenizer.from_pretrained, model),
            min(max_tokens, getattr(config, "max_position_embeddings", max_tokens)),
            config.hidden_size,
        )
        self.network = network

    @property
    def fingerprint(self) -> str:
        words = self.network.get_input_embeddings().weight
        return f"{self.network.config.model_type}:{weights_hash(words)}"

    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) ids and mask -> (B, T, W)."""
        return self.network(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state


class SiglipText(ClipText):
    """Token states of the text tower of SigLIP, or of a SigLIP 2 of one resolution, after its last norm.

    SigLIP pads texts to 64 tokens and lets all attend to the padding; here padding is left out.

    Args:
        max_tokens: longest text (SigLIP itself reads 64 at most).
        model: hub name or folder.
    """

    class_name, default_model = "SiglipTextModel", "google/siglip2-base-patch16-512"


class TextModel(ClipText):
    """Token states of the last layer of any encoder-only model (BERT, MPNet, ModernBERT...).

    Args:
        max_tokens: longest text, special tokens included.
        model: hub name or folder.
    """

    class_name, default_model = "AutoModel", "sentence-transformers/all-mpnet-base-v2"
