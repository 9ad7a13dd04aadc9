"""ns-train find-field and ns-train find-field-lite."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.schedulers import (
    ExponentialDecayScheduler,
    ExponentialDecaySchedulerConfig,
)
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.plugins.types import MethodSpecification
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from find_field.nerf.datamanager import FindFieldDataManagerConfig
from find_field.nerf.export import ExportConfig
from find_field.nerf.model import FindFieldModelConfig
from find_field.nerf.pipeline import FindFieldPipelineConfig
from find_field.nerf.trainer import FindFieldTrainer

# tiny-cuda-nn where it is installed, plain torch everywhere else.
IMPLEMENTATION = "tcnn" if importlib.util.find_spec("tinycudann") else "torch"


@dataclass
class PlainDecaySchedulerConfig(ExponentialDecaySchedulerConfig):
    """Exponential decay whose state is plain Python."""

    _target: type = field(default_factory=lambda: PlainDecayScheduler)
    """target class to instantiate"""


class PlainDecayScheduler(ExponentialDecayScheduler):
    """Learning rates as floats rather than numpy scalars.

    Since torch 2.6 a checkpoint with a numpy scalar in it is refused on loading; with this one,
    resume, ns-eval, ns-render and ns-export read this method's checkpoints as they are.
    """

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        scheduler = super().get_scheduler(optimizer, lr_init)
        scheduler.lr_lambdas = [_as_float(f) for f in scheduler.lr_lambdas]
        for group in optimizer.param_groups:
            group["lr"] = float(group["lr"])
        scheduler._last_lr = [float(lr) for lr in scheduler._last_lr]
        return scheduler


def _as_float(function: Callable[[int], Any]) -> Callable[[int], float]:
    return lambda step: float(function(step))


def _optimizers(feature_lr: float) -> dict:
    def group(lr: float, lr_final: float, max_steps: int) -> dict:
        return {
            "optimizer": AdamOptimizerConfig(lr=lr, eps=1e-15),
            "scheduler": PlainDecaySchedulerConfig(lr_final=lr_final, max_steps=max_steps),
        }

    return {
        "proposal_networks": group(1e-2, 1e-4, 200_000),
        "fields": group(1e-2, 1e-4, 200_000),
        "feature_field": group(feature_lr, feature_lr / 10, 30_000),
        "camera_opt": group(1e-3, 1e-4, 5_000),
    }


find_field = MethodSpecification(
    config=TrainerConfig(
        _target=FindFieldTrainer,
        method_name="find-field",
        steps_per_eval_batch=500,
        steps_per_save=2000,
        max_num_iterations=30_000,
        mixed_precision=True,
        pipeline=FindFieldPipelineConfig(
            datamanager=FindFieldDataManagerConfig(
                dataparser=NerfstudioDataParserConfig(),
                train_num_rays_per_batch=4096,
                eval_num_rays_per_batch=4096,
            ),
            model=FindFieldModelConfig(
                eval_num_rays_per_chunk=1 << 15,
                average_init_density=0.01,
                implementation=IMPLEMENTATION,
                # A robot's poses are metric and known; moving cameras would move its world.
                camera_optimizer=CameraOptimizerConfig(mode="off"),
            ),
        ),
        optimizers=_optimizers(5e-3),
        viewer=ViewerConfig(num_rays_per_chunk=1 << 15),
        vis="viewer",
    ),
    description="nerfacto with FIND's embeddings: ask the scene in words and images.",
)

find_field_lite = MethodSpecification(
    config=TrainerConfig(
        _target=FindFieldTrainer,
        method_name="find-field-lite",
        steps_per_eval_batch=0,
        steps_per_eval_image=0,
        steps_per_save=500,
        max_num_iterations=1500,
        mixed_precision=False,
        pipeline=FindFieldPipelineConfig(
            datamanager=FindFieldDataManagerConfig(
                dataparser=NerfstudioDataParserConfig(),
                train_num_rays_per_batch=512,
                eval_num_rays_per_batch=512,
                feature_rank=32,
            ),
            model=FindFieldModelConfig(
                eval_num_rays_per_chunk=1 << 13,
                average_init_density=0.01,
                implementation=IMPLEMENTATION,
                num_levels=8,
                max_res=1024,
                log2_hashmap_size=16,
                hidden_dim=32,
                hidden_dim_color=32,
                appearance_embed_dim=8,
                num_nerf_samples_per_ray=32,
                num_proposal_samples_per_ray=(64, 32),
                proposal_net_args_list=[
                    {
                        "hidden_dim": 16,
                        "log2_hashmap_size": 15,
                        "num_levels": 4,
                        "max_res": res,
                        "use_linear": False,
                    }
                    for res in (128, 256)
                ],
                proposal_warmup=500,
                proposal_weights_anneal_max_num_iters=300,
                feature_resolutions=(32, 160),
                feature_samples=6,
                camera_optimizer=CameraOptimizerConfig(mode="off"),
            ),
            # Seconds where the method's own number takes minutes on two cores.
            export=ExportConfig(rays=100_000),
        ),
        optimizers=_optimizers(1e-2),
        viewer=ViewerConfig(num_rays_per_chunk=1 << 12),
        vis="viewer",
    ),
    description="find-field for machines without a GPU: minutes on two cores.",
)
