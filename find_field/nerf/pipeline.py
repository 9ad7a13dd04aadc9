"""Pipeline: nerfstudio's own, which also writes a FeatureField when training ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerfstudio.engine.callbacks import (
    TrainingCallback,
    TrainingCallbackAttributes,
    TrainingCallbackLocation,
)
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils.rich_utils import CONSOLE

from find_core.errors import FieldError
from find_field.field.feature_field import FeatureField
from find_field.nerf.datamanager import FindFieldDataManager, FindFieldDataManagerConfig
from find_field.nerf.export import ExportConfig, export_field, similarity_of
from find_field.nerf.model import FindFieldModel, FindFieldModelConfig


@dataclass
class FindFieldPipelineConfig(VanillaPipelineConfig):
    """Datamanager and model of find-field, and what is written at the end."""

    _target: type = field(default_factory=lambda: FindFieldPipeline)
    """target class to instantiate"""
    datamanager: FindFieldDataManagerConfig = field(default_factory=FindFieldDataManagerConfig)
    """specifies the datamanager config"""
    model: FindFieldModelConfig = field(default_factory=FindFieldModelConfig)
    """specifies the model config"""
    export: ExportConfig = field(default_factory=ExportConfig)
    """The FeatureField that is written beside the checkpoints."""


class FindFieldPipeline(VanillaPipeline):
    """Connects the viewer's prompt box with the language side, and exports."""

    config: FindFieldPipelineConfig
    datamanager: FindFieldDataManager
    model: FindFieldModel

    def __init__(self, config: FindFieldPipelineConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.model.panel.find = self.datamanager.find
        self.model.panel.locate = self._locate

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """Load a checkpoint; features are spoken of in its basis from then on."""
        for name, value in loaded_state.items():
            if name.endswith(".basis"):
                self.datamanager.use_basis(value.cpu().numpy())
        super().load_pipeline(loaded_state, step)

    def export(self, path: str | Path | None = None, **options: Any) -> FeatureField:
        """The trained scene as a `FeatureField` in the input's metric frame; saved when asked."""
        exported = export_field(self, self.config.export, **options)
        if path is not None:
            exported.save(path)
        return exported

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        callbacks = super().get_training_callbacks(training_callback_attributes)
        trainer = training_callback_attributes.trainer
        if self.config.export.when_trained and trainer is not None:
            path = trainer.base_dir / "scene.field"
            callbacks.append(
                TrainingCallback(
                    [TrainingCallbackLocation.AFTER_TRAIN], lambda step: self._write(path)
                )
            )
        return callbacks

    def _write(self, path: Path) -> None:
        try:
            CONSOLE.print(f"{self.export(path)} -> {path}")
        except FieldError as error:  # a run too short to show a surface is still a run
            CONSOLE.print(f"[yellow]No field was written: {error}")

    def _locate(self, prompt: Any, **options: Any) -> tuple[Any, Any]:
        exported = self.export(rays=40_000)
        return exported.query(prompt, self.datamanager.find, **options), similarity_of(self)
