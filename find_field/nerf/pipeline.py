"""Pipeline: nerfstudio's own, which also writes a FeatureField when training ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.engine.callbacks import (
    TrainingCallback,
    TrainingCallbackAttributes,
    TrainingCallbackLocation,
)
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils.rich_utils import CONSOLE

from find_core.errors import FieldError
from find_core.prompts.prompt import Prompt
from find_core.protocols import CompiledLike
from find_field.field.feature_field import FeatureField
from find_field.field.hits import FieldHits, hits_text
from find_field.nerf.datamanager import FindFieldDataManager, FindFieldDataManagerConfig
from find_field.nerf.export import ExportConfig, export_field
from find_field.nerf.model import FindFieldModel, FindFieldModelConfig
from find_field.nerf.viewer import PromptPanel
from find_field.nerf.world_transform import WorldTransform


def world_transform_of(outputs: DataparserOutputs) -> WorldTransform:
    """What a dataparser did to the world that the poses came in."""
    M = outputs.dataparser_transform.double().numpy()[:3]
    return WorldTransform(M, outputs.dataparser_scale)


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
        # Not a module: its prompts are the viewer's, and no part of a checkpoint.
        self.panel = PromptPanel(self.model, self.datamanager.find, self._locate)
        self.model.viewer_outputs = self.panel.outputs
        # The viewer looks for its elements among a module's own attributes only.
        for name, element in self.panel.elements().items():
            setattr(self, name, element)
        self._ask_given()

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """Load a checkpoint; features are spoken of in its basis from then on."""
        for name, value in loaded_state.items():
            if name.endswith(".basis"):
                self.datamanager.use_basis(value.cpu().numpy())
        super().load_pipeline(loaded_state, step)
        self._ask_given()

    def _ask_given(self) -> None:
        """Ask the prompt of `ns-train --prompt`, which config.yml keeps for ns-render and ns-viewer.

        Raises:
            FindError: it cannot be understood.
        """
        if self.config.model.prompt is not None:
            self.panel.begin_with(self.config.model.prompt)

    @property
    def world_transform(self) -> WorldTransform:
        """What nerfstudio did to the world the poses came in."""
        return world_transform_of(self.datamanager.train_dataparser_outputs)

    def export(self, path: str | Path | None = None, rays: int | None = None) -> FeatureField:
        """The trained scene as a `FeatureField` in the input's metric frame; saved when asked.

        Args:
            path: to save it at. rays: rendered in all, instead of the configuration's.

        Raises:
            FieldError: no surface was met, or the file cannot be written.
        """
        dataset = self.datamanager.train_dataset
        exported = export_field(
            self.model, dataset.cameras, self.world_transform, self.datamanager.find,
            self.config.export, frame=dataset.metadata.get("frame", "world"),
            up=dataset.metadata.get("up", "check"), rays=rays,
        )  # fmt: skip
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
            exported = self.export(path)
            x, y, z = exported.provenance["up_world"] or (0, 0, 0)
            how = exported.provenance["up_source"]
            CONSOLE.print(f"{exported} -> {path}\nUp is ({x:.3f}, {y:.3f}, {z:.3f}) ({how}).")
            if self.config.model.prompt is not None:
                hits = exported.query(self.config.model.prompt, self.datamanager.find)
                CONSOLE.print(hits_text(hits), markup=False)
        except FieldError as error:  # a run too short to show a surface is still a run
            CONSOLE.print(f"[yellow]No field was written: {error}")

    def _locate(
        self, prompt: Prompt | CompiledLike, threshold: float
    ) -> tuple[FieldHits, WorldTransform]:
        exported = self.export(rays=40_000)
        hits = exported.query(prompt, self.datamanager.find, threshold=threshold)
        return hits, self.world_transform
