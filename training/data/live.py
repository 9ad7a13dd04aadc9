"""Frozen features without a store: views are made and encoded as batches ask for them.

A full-size store of COCO at 640 px would take 9 MB a view; here every view is new, at the price of
one pass of the frozen encoder per image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from find_core.encoders import VisionConfig, VisionEncoder, build_vision
from find_core.preprocess import normalise
from training.data.augment import ViewConfig
from training.data.formats.records import Record
from training.data.store import RowShape, StoredView
from training.data.views import view_of

VIEWS = 50
"""Different random views of one image (the paper has 50 epochs)."""


class LiveStore:
    """Reads like a `FeatureStore`."""

    def __init__(
        self, records: Mapping[str, Record], vision: VisionConfig, view: ViewConfig,
        encoder: VisionEncoder | None = None,
    ) -> None:  # fmt: skip
        self.records, self.vision, self.view = records, vision, view
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.encoder = encoder or build_vision(vision)
        if isinstance(self.encoder, nn.Module):
            self.encoder.to(self._device)
        self.shape = RowShape(tuple(self.encoder.channels), view.height, view.width)
        self._keys = list(records)
        # Whether a view is mirrored or cropped shows when it is made: `load` says so.
        self.views = {
            key: [StoredView("live", n, v, False, False) for v in range(1, VIEWS + 1)]
            for n, key in enumerate(self._keys)
        }

    def refresh(self) -> int:
        return len(self._keys) * VIEWS

    @torch.inference_mode()
    def load(self, view: StoredView) -> tuple[list[np.ndarray], np.ndarray, StoredView]:
        """Four float16 maps (C, h, w), the (H, W) uint8 instance numbers, and the view as made."""
        made = view_of(self.records[self._keys[view.row]], view.variant, self.view)
        maps = self.encoder(normalise([made.image], self.vision).to(self._device))
        as_made = dataclasses.replace(view, mirrored=made.mirrored, cropped=made.cropped)
        return [m[0].half().cpu().numpy() for m in maps], made.numbers, as_made
