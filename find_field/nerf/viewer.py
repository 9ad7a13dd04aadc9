"""The viewer's panel: type what to look for, or show it, or click on it, and see where it is.

Dimension letters: R rays, E entities, k coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import (
    ViewerButton,
    ViewerClick,
    ViewerControl,
    ViewerSlider,
    ViewerText,
)
from torch import Tensor
from torch.nn import functional as F

from find_core.errors import FieldError, FindError
from find_core.prompts.prompt import Prompt
from find_core.prompts.text_form import parse_references
from find_core.protocols import CompiledLike, FindLike
from find_core.support.printable import quoted
from find_field.field.hits import FieldHits
from find_field.geometry.boxes import box_corners
from find_field.nerf.rendering import FeatureModel, render
from find_field.nerf.world_transform import WorldTransform
from find_field.view.picked import PickedObject

# nerfstudio draws its scenes ten times larger than they are.
_SCENE_SCALE = 10.0
# A path over `box_corners` that goes along each of the twelve edges.
_EDGE_PATH = [0, 1, 3, 2, 0, 4, 5, 1, 5, 7, 3, 7, 6, 2, 6, 4]
_NO_PROMPT = "type a prompt, or pick an object"


class Locate(Protocol):
    """Answers a prompt in 3D, and says where that world lies in the trained one."""

    def __call__(
        self, prompt: Prompt | CompiledLike, threshold: float
    ) -> tuple[FieldHits, WorldTransform]: ...


class PromptPanel:
    """Prompt, reference and threshold of the viewer, and the outputs they make.

    Args:
        model: whose features are asked. find: the model that they were learned from.
        locate: asks the whole scene in 3D.
    """

    def __init__(self, model: FeatureModel, find: FindLike, locate: Locate) -> None:
        self.model, self.find, self.locate = model, find, locate
        self._entities_Ek: Tensor | None = None
        self._prompt: Prompt | CompiledLike | None = None
        self._drawn: list[Any] = []
        self.control = ViewerControl()
        self.prompt = ViewerText("Prompt", "", cb_hook=lambda _: self.ask(),
                                 hint='e.g. the <mug> left of <this>')  # fmt: skip
        self.reference = ViewerText("Reference", "", cb_hook=lambda _: self.ask(),
                                    hint="this=photo.jpg:box=x1,y1,x2,y2")  # fmt: skip
        self.threshold = ViewerSlider("Threshold", 0.5, 0.0, 1.0, 0.01)
        self.pick = ViewerButton("Pick an object", cb_hook=lambda _: self.await_click())
        self.draw = ViewerButton("Locate in 3D", cb_hook=lambda _: self.draw_hits())
        self.answer = ViewerText("Answer", _NO_PROMPT, disabled=True)

    def elements(self) -> dict[str, Any]:
        """What the viewer shows, by attribute name; it orders them by these names."""
        return {
            "panel_0_control": self.control,
            "panel_1_prompt": self.prompt,
            "panel_2_reference": self.reference,
            "panel_3_threshold": self.threshold,
            "panel_4_pick": self.pick,
            "panel_5_locate": self.draw,
            "panel_6_answer": self.answer,
        }

    @property
    def status(self) -> str:
        """The panel's last line: what was understood, found, or wrong."""
        return self.answer.value

    def _say(self, text: str) -> None:
        self.answer.value = text
        self.answer.default_value = text  # what `value` is without a viewer

    def ask(self, text: str | None = None) -> bool:
        """Take the prompt box's text (or `text`); returns whether it could be understood.

        The viewer asks at every key: half a prompt leaves the last whole one active.
        """
        text = self.prompt.value if text is None else text
        if not text.strip():
            self._look_for(None, None)
            self._say(_NO_PROMPT)
            return False
        try:
            prompt = Prompt.bind(text, parse_references(self.reference.value.split()))
            compiled = self.find.compile(prompt)
        except FindError as error:
            self._say(str(error))
            return False
        basis = self.model.basis
        vectors = torch.from_numpy(np.asarray(compiled.entity_embeddings)).to(basis)
        self._look_for(prompt, vectors @ basis)
        self._say("see output composited")
        return True

    def begin_with(self, text: str) -> None:
        """Fill in the prompt box and ask, before anyone looks.

        Raises:
            FieldError: it cannot be understood.
        """
        self.prompt.default_value = text
        if not self.ask(text):
            raise FieldError(f"The prompt {quoted(text)} cannot be asked: {self.status}")

    def _look_for(self, prompt: Prompt | CompiledLike | None, entities_Ek: Tensor | None) -> None:
        self._prompt, self._entities_Ek = prompt, entities_Ek
        self._erase()  # boxes of the question before

    def _erase(self) -> None:
        for handle in self._drawn:
            handle.remove()
        self._drawn = []

    def await_click(self) -> None:
        """Make what is clicked on next the object that is looked for."""

        def clicked(click: ViewerClick) -> None:
            self.control.unregister_pointer_cb()
            self.look_for_ray(click.origin, click.direction)

        self.control.register_pointer_cb("click", clicked)
        self._say("click on an object in the scene")

    def look_for_ray(self, origin: Sequence[float], direction: Sequence[float]) -> None:
        """Look for what a ray meets; origin and direction (3,) of the trained (scaled) frame."""
        device = self.model.device
        towards = torch.tensor([direction], dtype=torch.float32, device=device)
        rays = RayBundle(
            origins=torch.tensor([origin], dtype=torch.float32, device=device),
            directions=F.normalize(towards, dim=-1),
            pixel_area=torch.full((1, 1), 1e-6, device=device),
            camera_indices=torch.zeros((1, 1), dtype=torch.long, device=device),
            metadata={"directions_norm": torch.ones((1, 1), device=device)},
        )
        feature = F.normalize(render(self.model, rays)["features"], dim=-1)
        self._look_for(PickedObject((feature @ self.model.basis.T).cpu().numpy()), feature)
        self._say("picked; see output composited")

    def outputs(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Images of one chunk of rays: relevancy (R, 1) and composited (R, 3).

        They are there without a prompt too: the viewer forgets an output that went missing.
        """
        features, rgb = F.normalize(outputs["features"], dim=-1), outputs["rgb"]
        relevancy = torch.zeros_like(rgb[..., :1])
        if self._entities_Ek is not None:
            score = self.find.config.relevance(features @ self._entities_Ek.T)
            relevancy = score.amax(-1, keepdim=True)
        heat = torch.cat([relevancy, 0.2 * (1 - relevancy), 1 - relevancy], -1)
        shown = (relevancy >= self.threshold.value) & (relevancy > 0)
        grey = rgb.mean(-1, keepdim=True).expand_as(rgb)
        return {
            "relevancy": relevancy,
            "composited": torch.where(shown, 0.5 * heat + 0.5 * rgb, 0.6 * grey),
        }

    def draw_hits(self) -> FieldHits | None:
        """Export, query, and draw the hits' boxes into the viewer's scene."""
        if self._prompt is None:
            self._say("type a prompt first")
            return None
        try:
            hits, world = self.locate(self._prompt, self.threshold.value)
        except FindError as error:
            self._say(str(error))
            return None
        self._erase()
        scene = self.control.viser_server.scene
        for i, hit in enumerate(hits):
            corners = world.from_world(box_corners(hit.T_world_object, hit.extent_m))
            corners = corners * _SCENE_SCALE
            text = f"{hit.label} {hit.score:.2f}"
            self._drawn += [
                # Without tension, and as many pieces as corners: straight edges.
                scene.add_spline_catmull_rom(
                    f"/find/{i}/box", corners[_EDGE_PATH], curve_type="catmullrom", tension=0.0,
                    segments=len(_EDGE_PATH) - 1, line_width=3.0, color=(255, 40, 160),
                ),
                scene.add_label(f"/find/{i}/label", text, position=corners.mean(axis=0)),
            ]  # fmt: skip
        CONSOLE.print(hits.to_json())
        found = ", ".join(f"{hit.label} {hit.score:.2f}" for hit in hits)
        self._say(f"{len(hits)} found: {found}" if hits else f"not here ({hits.best_score:.2f})")
        return hits
