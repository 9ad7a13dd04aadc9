"""The viewer's prompt box: type what to look for, or show it, and see where it is.

Dimension letters: E entities, k coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import (
    ViewerButton,
    ViewerControl,
    ViewerSlider,
    ViewerText,
)
from torch import Tensor
from torch.nn import functional as F

from find_core.errors import FindError

if TYPE_CHECKING:
    from find_field.find_field_model import FindFieldModel
    from find_field.hits import FieldHits

# nerfstudio draws its scenes ten times larger than they are.
_SCENE_SCALE = 10.0


class PromptPanel:
    """Prompt, reference and threshold of the viewer, and the outputs they make.

    Args:
        model: whose features are asked.
    """

    def __init__(self, model: FindFieldModel) -> None:
        self._basis = lambda: model.basis
        self.find: Any = None
        self.locate: Callable[..., tuple[FieldHits, Any]] | None = None
        self._entities_Ek: Tensor | None = None
        self._prompt: Any = None
        self.status = "type a prompt"
        self.control = ViewerControl()
        self.prompt = ViewerText("Prompt", "", cb_hook=lambda _: self.ask(),
                                 hint='e.g. the <mug> left of <this>')  # fmt: skip
        self.reference = ViewerText("Reference", "", cb_hook=lambda _: self.ask(),
                                    hint="this=photo.jpg@box:x1,y1,x2,y2")  # fmt: skip
        self.threshold = ViewerSlider("Threshold", 0.5, 0.0, 1.0, 0.01)
        self.draw = ViewerButton("Locate in 3D", cb_hook=lambda _: self.draw_hits())

    def elements(self) -> dict[str, Any]:
        """What the viewer shows, by attribute name."""
        return {
            "viewer_control": self.control,
            "prompt_box": self.prompt,
            "reference_box": self.reference,
            "threshold_slider": self.threshold,
            "locate_button": self.draw,
        }

    def ask(self, text: str | None = None) -> bool:
        """Take the prompt box's text (or `text`); returns whether it could be understood."""
        from find_core.prompts import Prompt
        from find_field.cli import parse_reference

        text = self.prompt.value if text is None else text
        self._entities_Ek = self._prompt = None
        if not text.strip():
            return False
        try:
            lines = self.reference.value.split()
            self._prompt = Prompt.bind(text, dict(parse_reference(line) for line in lines))
            compiled = self.find.compile(self._prompt)
        except FindError as error:
            self.status = str(error)
            CONSOLE.print(f"[yellow]{error}")
            return False
        basis = self._basis()
        vectors = torch.from_numpy(np.asarray(compiled.entity_embeddings)).to(basis)
        self._entities_Ek = vectors @ basis
        return True

    def outputs(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Pictures of one chunk of rays: relevancy (R, 1) and composited (R, 3).

        `feature_pca` shows the first three coefficients: chunks are coloured alike, and the basis
        is ordered by energy.
        """
        features = outputs["features"]
        pca = F.normalize(features, dim=-1)[..., :3] * 0.5 + 0.5
        if self._entities_Ek is None:
            return {"feature_pca": pca}
        cosine = F.normalize(features, dim=-1) @ self._entities_Ek.T
        config = self.find.config
        score = (config.relevance_scale * (cosine - config.relevance_bias)).sigmoid()
        relevancy = score.amax(-1, keepdim=True)
        heat = torch.cat([relevancy, 0.2 * (1 - relevancy), 1 - relevancy], -1)
        shown = relevancy >= self.threshold.value
        grey = outputs["rgb"].mean(-1, keepdim=True).expand_as(outputs["rgb"])
        composited = torch.where(shown, 0.5 * heat + 0.5 * outputs["rgb"], 0.6 * grey)
        return {"feature_pca": pca, "relevancy": relevancy, "composited": composited}

    def draw_hits(self) -> FieldHits | None:
        """Export, query, and draw the hits' boxes into the viewer's scene."""
        from scipy.spatial.transform import Rotation

        if self._prompt is None or self.locate is None:
            CONSOLE.print("[yellow]Type a prompt first.")
            return None
        hits, similarity = self.locate(self._prompt, threshold=self.threshold.value)
        scene = self.control.viser_server.scene
        for i, hit in enumerate(hits):
            R = similarity.M[:, :3] @ hit.T_world_object[:3, :3]
            centre = similarity.from_world(hit.T_world_object[:3, 3]) * _SCENE_SCALE
            size = hit.extent_m * similarity.scale * _SCENE_SCALE
            wxyz = Rotation.from_matrix(R / np.cbrt(np.linalg.det(R))).as_quat()[[3, 0, 1, 2]]
            scene.add_box(f"/find/{i}", (255, 40, 160), size, wxyz, centre)
            scene.add_label(f"/find/{i}/label", f"{hit.label} {hit.score:.2f}")
        CONSOLE.print(hits.to_json())
        return hits
