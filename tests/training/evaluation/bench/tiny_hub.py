"""Tiny random models of transformers, saved as their hub folders are: config, weights, processor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as hf

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NAMES = {0: "person", 1: "cup", 2: "grass-merged", 3: "sky-other-merged"}
SIZE, LARGER = {"height": 32, "width": 32}, {"height": 64, "width": 64}


def clip_tokenizer(kind: Any = None) -> Any:
    """Letters as CLIP's byte pairs have them, with the two marks."""
    tokens = list(LETTERS) + [f"{c}</w>" for c in LETTERS] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {t: n for n, t in enumerate(tokens)}
    return (kind or hf.CLIPTokenizer)(vocab=vocabulary, merges=[], model_max_length=16)


def bert_tokenizer(words: Sequence[str] = ()) -> Any:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?", *LETTERS, *(f"##{c}" for c in LETTERS)]
    return hf.BertTokenizer(vocab={t: n for n, t in enumerate([*tokens, *words])})


def save(folder: Path, model_class: Any, config: Any, processor: Any) -> str:
    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def text_config(**more: Any) -> dict[str, Any]:
    return {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "vocab_size": 54, "max_position_embeddings": 16, "bos_token_id": 52, "eos_token_id": 53,
            "pad_token_id": 53, **more}  # fmt: skip


def vision_config(**more: Any) -> dict[str, Any]:
    return {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8, **more}  # fmt: skip


def swin_config(first: int = 1) -> Any:
    return hf.SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2],
                         window_size=4, out_features=[f"stage{n}" for n in range(first, 5)])  # fmt: skip


def mask2former(folder: Path) -> str:
    config = hf.Mask2FormerConfig(
        backbone_config=swin_config(), feature_size=32, mask_feature_size=32, hidden_dim=32,
        encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
        dim_feedforward=16, num_queries=8, id2label=NAMES, label2id={v: k for k, v in NAMES.items()},
    )  # fmt: skip
    processor = hf.Mask2FormerImageProcessorPil(size=LARGER, num_labels=4)
    return save(folder, hf.Mask2FormerForUniversalSegmentation, config, processor)


def oneformer(folder: Path) -> str:
    folder.mkdir(parents=True)
    classes = {str(k): {"name": v, "isthing": int(k < 2)} for k, v in NAMES.items()}
    (folder / "classes.json").write_text(json.dumps(classes))
    config = hf.OneFormerConfig(
        backbone_config=swin_config(), num_queries=8, conv_dim=32, mask_dim=32, hidden_dim=32,
        encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
        dim_feedforward=16, text_encoder_width=32, text_encoder_context_length=16,
        text_encoder_num_layers=1, text_encoder_vocab_size=54, text_encoder_proj_layers=1,
        text_encoder_n_ctx=2, query_dec_layers=1, max_seq_len=16, task_seq_len=16, use_task_norm=True,
        id2label=NAMES, label2id={v: k for k, v in NAMES.items()},
    )  # fmt: skip
    images = hf.OneFormerImageProcessorPil(
        size=LARGER, repo_path=str(folder), class_info_file="classes.json", num_labels=4, num_text=4
    )
    processor = hf.OneFormerProcessor(images, clip_tokenizer(), max_seq_length=16, task_seq_length=16)  # fmt: skip
    return save(folder, hf.OneFormerForUniversalSegmentation, config, processor)


def clipseg(folder: Path) -> str:
    config = hf.CLIPSegConfig(text_config=text_config(), vision_config=vision_config(num_hidden_layers=3),
                              projection_dim=16, extract_layers=[0, 1, 2], reduce_dim=16,
                              decoder_num_attention_heads=2, decoder_intermediate_size=16)  # fmt: skip
    images = hf.ViTImageProcessorPil(size=SIZE)
    processor = hf.CLIPSegProcessor(images, clip_tokenizer())
    return save(folder, hf.CLIPSegForImageSegmentation, config, processor)


def sam(folder: Path) -> str:
    vision = {**vision_config(), "output_channels": 16, "global_attn_indexes": [1], "window_size": 2,
              "num_pos_feats": 8, "mlp_dim": 16}  # fmt: skip
    config = hf.SamConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 16, "image_size": 32, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                             "iou_head_hidden_dim": 16, "attention_downsample_rate": 2},
    )  # fmt: skip
    images = hf.SamImageProcessorPil(
        size={"longest_edge": 32}, pad_size=SIZE, mask_size={"longest_edge": 16}, mask_pad_size={"height": 16, "width": 16}
    )  # fmt: skip
    return save(folder, hf.SamModel, config, hf.SamProcessor(images))


def owlv2(folder: Path) -> str:
    config = hf.Owlv2Config(text_config=text_config(), vision_config=vision_config(), projection_dim=16)  # fmt: skip
    processor = hf.Owlv2Processor(hf.Owlv2ImageProcessorPil(size=SIZE), clip_tokenizer())
    return save(folder, hf.Owlv2ForObjectDetection, config, processor)


def grounding_dino(folder: Path) -> str:
    tokenizer = bert_tokenizer()
    text = hf.BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16, max_position_embeddings=128)  # fmt: skip
    config = hf.GroundingDinoConfig(
        backbone_config=swin_config(2), text_config=text, num_queries=10, encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2,
        decoder_layers=2, decoder_ffn_dim=16, decoder_attention_heads=2, d_model=32, max_text_len=64,
        num_feature_levels=4,
    )  # fmt: skip
    images = hf.GroundingDinoImageProcessorPil(size={"shortest_edge": 96, "longest_edge": 128})
    return save(folder, hf.GroundingDinoForObjectDetection, config, hf.GroundingDinoProcessor(images, tokenizer))  # fmt: skip


def clip(folder: Path) -> str:
    config = hf.CLIPConfig(text_config=text_config(projection_dim=16), vision_config=vision_config(projection_dim=16),
                           projection_dim=16)  # fmt: skip
    images = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIZE)
    return save(folder, hf.CLIPModel, config, hf.CLIPProcessor(images, clip_tokenizer()))


def siglip(folder: Path) -> str:
    config = hf.SiglipConfig(
        text_config=text_config(projection_size=16), vision_config=vision_config()
    )
    images = hf.SiglipImageProcessorPil(size=SIZE)
    return save(folder, hf.SiglipModel, config, hf.SiglipProcessor(images, clip_tokenizer()))


def sam3(folder: Path) -> str:
    vit = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
           "image_size": 56, "patch_size": 14, "pretrain_image_size": 28, "window_size": 2, "global_attn_indexes": [1]}  # fmt: skip
    small = {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = hf.Sam3Config(
        vision_config={"backbone_config": {"model_type": "sam3_vit_model", **vit}, "fpn_hidden_size": 16, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]},
        text_config=text_config(), geometry_encoder_config=small, detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 8}, mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )  # fmt: skip
    images = hf.Sam3ImageProcessor(size={"height": 56, "width": 56}, mask_size={"height": 16, "width": 16})  # fmt: skip
    return save(folder, hf.Sam3Model, config, hf.Sam3Processor(images, clip_tokenizer()))
