"""Trainings on full COCO with today's frozen encoders: DINOv3, SigLIP 2, RADIO. All six tasks.

Nothing but the interface and its pixel decoder learns. The numbers are the paper's where it has any,
and none of these trainings was run at full size; docs/training.md has memory and hours by arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

from find_core.encoders import LanguageConfig, VisionConfig
from find_core.model.config import FindConfig
from training.config import BankConfig, DataConfig, LossConfig, OptimConfig, TrainConfig
from training.data.augment import ViewConfig
from training.data.batches import BatchConfig
from training.engine.stages import Recipe, single

COCO_IMAGES = 118_287
EPOCHS, IMAGES_A_STEP, PROCESSES = 20, 64, 8
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
HALF = (127.5, 127.5, 127.5)


def coco_recipe(name: str, vision: VisionConfig, language: LanguageConfig, purpose: str) -> Recipe:
    """A training on full COCO at 640 px; a batch is that of one of eight processes."""
    title = name.replace("_", "-")
    size = IMAGES_A_STEP // PROCESSES
    config = TrainConfig(
        name=title,
        model=FindConfig(name=title, vision=vision, language=language),
        losses=LossConfig(),
        bank=BankConfig(),
        # No released pixel decoder fits these encoders, so it is learnt too: a gradient of 0.01,
        # the paper's bound for an interface on a decoder that is trained, would hold it back.
        optim=OptimConfig(steps=EPOCHS * COCO_IMAGES // IMAGES_A_STEP, clip=1.0, warmup=1000),
        data=DataConfig(
            coco_split="train2017",
            view=ViewConfig(height=640, width=640, min_crop=0.1, photometric=0.0),
            batch=BatchConfig(size=size, partners=0, real=size),
        ),
        frozen=(), precision="bf16", save_every=1000,
    )  # fmt: skip
    return single(config, name, purpose)


def find_dinov3_coco() -> Recipe:
    """DINOv3 ViT-B (AutoBackbone) and SmolLM2-1.7B, read at two thirds of its blocks as the paper does."""
    vision = VisionConfig(
        "auto_backbone", {"model": "facebook/dinov3-vitb16-pretrain-lvd1689m"}, IMAGENET_MEAN,
        IMAGENET_STD, 640, 1024,
    )  # fmt: skip
    language = LanguageConfig("causal_lm", {"model": "HuggingFaceTB/SmolLM2-1.7B", "layer": -9})
    return coco_recipe("find_dinov3_coco", vision, language, "All tasks on DINOv3 and a causal LM.")


def find_siglip2_coco() -> Recipe:
    """SigLIP 2 Base at 512 px and its own text tower: images and texts were aligned before."""
    model = {"model": "google/siglip2-base-patch16-512"}
    vision = VisionConfig("siglip_vision", model, HALF, HALF, 640, 1024)
    language = LanguageConfig("siglip_text", model, max_tokens=64)
    return coco_recipe("find_siglip2_coco", vision, language, "All tasks on both towers of SigLIP 2.")  # fmt: skip


def find_radio_coco() -> Recipe:
    """C-RADIO v4 and Qwen3-1.7B, read at two thirds of its blocks."""
    vision = VisionConfig(
        "radio", {"model": "nvidia/C-RADIOv4-H"}, (0.0, 0.0, 0.0), (255.0, 255.0, 255.0), 640, 1024
    )
    language = LanguageConfig("causal_lm", {"model": "Qwen/Qwen3-1.7B-Base", "layer": -10})
    return coco_recipe("find_radio_coco", vision, language, "All tasks on RADIO and a causal LM.")


HUB_RECIPES: dict[str, Callable[[], Recipe]] = {
    "find_dinov3_coco": find_dinov3_coco,
    "find_siglip2_coco": find_siglip2_coco,
    "find_radio_coco": find_radio_coco,
}
