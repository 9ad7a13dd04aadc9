"""A recipe in miniature: small random encoders of the same classes of transformers, a miniature COCO.

    python -m training.train --recipe find_dinov3_coco --dry-run --out runs/dry

Everything runs as at full size: the encoders are saved as hub folders are and loaded by the recipe's
own names and options, COCO's files have the published forms, FIND-Bench's sentences come from the data
engine. Only sizes differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.config import RecipeError, TrainConfig, changed
from training.data.miniature import write_coco

SIDE_PX, STEPS, IMAGES = 96, 4, 8
SIZES: Mapping[str, Any] = {
    "model.hidden_dim": 32, "model.mask_dim": 32, "model.stride4_dim": 32, "model.num_heads": 2,
    "model.ffn_dim": 64, "model.num_queries": 10, "model.num_layers": 3, "model.encoder_layers": 1,
    "model.norm_groups": 4, "model.max_spatial_points": 24,
    "model.vision.short_side_px": SIDE_PX, "model.vision.max_side_px": 128,
    "losses.masks.num_points": 256, "bank.max_names": 8,
    "optim.steps": STEPS, "optim.warmup": 1, "data.view.height": SIDE_PX, "data.view.width": 128,
    "data.view.min_crop": 0.6, "data.batch.size": 2, "data.batch.real": 2,
    "log_every": 1, "save_every": 2,
}  # fmt: skip
"""Of the interface and the run; the tasks and their weights stay the recipe's."""
WORDS = "a an the photo of and in on is to left right above below next cup bowl book wall floor there here one can see picture shows this . ,"  # fmt: skip


def in_miniature(config: TrainConfig, folder: Path) -> TrainConfig:
    """The recipe's config with small sizes, on files that are written below `folder`.

    Raises:
        RecipeError: its encoders are not of the kinds that this can make.
    """
    vision, language = config.model.vision, config.model.language
    folder = folder.resolve()
    models = {
        "model.vision.options": {**vision.options, "model": _vision(vision.name, vision.options, folder)},
        "model.language.options": {**language.options, "model": _language(language.name, language.options, folder)},
    }  # fmt: skip
    if language.name == "causal_lm":
        models["model.language.options"]["layer"] = -2
    coco = folder / "coco"
    if not (coco / "dataset_coco.json").is_file():
        write_coco(coco, "val2017", IMAGES // 2, seed=1)
        write_coco(coco, "train2017", IMAGES)
    data = {
        "data.coco_panoptic": str(coco), "data.coco_refs": str(coco / "refs"),
        "data.coco_entities": str(_entities(coco)), "data.karpathy": str(coco / "dataset_coco.json"),
    }  # fmt: skip
    return changed(config, {**SIZES, **models, **data, "name": f"{config.name}-dry"})


def _entities(coco: Path) -> Path:
    """FIND-Bench's sentences about the miniature images, by the data engine."""
    from training.data_engine.__main__ import main as engine

    out = coco / "entities"
    if engine(["sentences", "--data", str(coco), "--split", "train2017", "--out", str(out)]):
        raise RecipeError(f"The data engine wrote no sentences to {out}: see above.")
    return out / "entity_train2017.json"


def _vision(name: str, options: Mapping[str, Any], folder: Path) -> str:
    import transformers as hf

    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16}  # fmt: skip
    if name == "siglip_vision":
        return _siglip(folder)
    if name == "radio":
        radio = hf.RadioConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, max_img_size=256)  # fmt: skip
        return _saved(folder / "radio", lambda: hf.RadioModel(radio))
    if name == "auto_backbone" and "dinov3" in str(options.get("model")):
        config = hf.DINOv3ViTConfig(**sizes, image_size=64)
        return _saved(folder / "dinov3", lambda: hf.AutoBackbone.from_config(config))
    raise RecipeError(f"No miniature of the vision encoder {name!r} ({options.get('model')}): --dry-run is for the recipes of training/hub_recipes.py.")  # fmt: skip


def _language(name: str, options: Mapping[str, Any], folder: Path) -> str:
    import transformers as hf

    if name == "siglip_text":
        return _siglip(folder)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2,
             "num_key_value_heads": 1, "head_dim": 16, "vocab_size": _tokenizer().vocab_size}  # fmt: skip
    if name == "causal_lm" and "Qwen3" in str(options.get("model")):
        return _saved(folder / "qwen3", lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**sizes)), _tokenizer())  # fmt: skip
    if name == "causal_lm":
        return _saved(folder / "llama", lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**sizes)), _tokenizer())  # fmt: skip
    raise RecipeError(f"No miniature of the language encoder {name!r}: --dry-run is for the recipes of training/hub_recipes.py.")  # fmt: skip


def _siglip(folder: Path) -> str:
    """One folder for both towers, as SigLIP 2 is published."""
    import transformers as hf

    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}  # fmt: skip
    config = hf.SiglipConfig(
        text_config={**sizes, "vocab_size": _tokenizer().vocab_size, "max_position_embeddings": 64, "projection_size": 32},
        vision_config={**sizes, "image_size": 64, "patch_size": 16},
    )  # fmt: skip
    return _saved(folder / "siglip2", lambda: hf.SiglipModel(config), _tokenizer())


def _saved(folder: Path, make: Callable[[], Any], tokenizer: Any = None) -> str:
    """Seeded random weights and a tokenizer, as a hub folder holds them; made once."""
    import torch

    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        make().save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    return str(folder)


def _tokenizer() -> Any:
    """Words of the miniature world; all others are one unknown word."""
    import tokenizers
    import transformers as hf

    vocabulary = {w: n for n, w in enumerate(["<s>", "</s>", "<unk>", *dict.fromkeys(WORDS.split())])}  # fmt: skip
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    model.normalizer = tokenizers.normalizers.Lowercase()
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])  # fmt: skip
    return hf.PreTrainedTokenizerFast(tokenizer_object=model, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>")  # fmt: skip
