"""`ns-train find-field-lite`: the real command, killed, and given again with --load-dir.

    VENV_WITH_NERFSTUDIO/bin/python -m tools.interrupts --job ns_train --trials 20

Rays are drawn anew by a resumed run, so that its weights are not those of an unbroken one: what is
compared is that it ends, with a checkpoint of its last step and a field that is whole.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from find_core.errors import FindError
from tools.interrupts.job import DamagedError, Job, write_checkpoint


class NsTrain(Job):
    name = "ns_train"
    command = "ns-train find-field-lite"
    STEPS, SAVE_EVERY = 6, 2
    SPEAKS = False
    # What nerfstudio's logging leaves, a different set each time.
    STAGES = (*Job.STAGES, ".log", ".yml", "transforms.json", ".npy")

    def prepare(self) -> None:
        from find_field.evaluation.toy_world import sample_world
        from tests.find_field.folders import write_nerfstudio

        method = (
            "find-field-lite=find_field.nerf.config:find_field_lite"  # as an installed one is known
        )
        os.environ["NERFSTUDIO_METHOD_CONFIGS"] = method
        import_module("nerfstudio.scripts.train")  # once, in the parent: half a minute
        self.model = write_checkpoint(self.inputs / "model")
        frames = sample_world(seed=0, count=2).frames(4, (24, 32))
        write_nerfstudio(self.inputs / "room", frames)

    def checkpoints(self, out: Path) -> Path:
        return out / "room/find-field-lite/run/nerfstudio_models"

    def run(self, out: Path) -> int:
        from nerfstudio.scripts.train import entrypoint

        folder = self.checkpoints(out)
        saved = [int(p.stem.partition("-")[2]) for p in folder.glob("step-*.ckpt")]
        # A resumed run adds its steps to those that were done.
        left = self.STEPS - (max(saved) + 1 if saved else 0)
        if left <= 0:
            return 0
        given = {
            "data": self.inputs / "room", "output-dir": out, "timestamp": "run", "vis": "tensorboard",
            "machine.device-type": "cpu", "max-num-iterations": left,
            "steps-per-save": self.SAVE_EVERY, "steps-per-eval-all-images": 0,
            "pipeline.datamanager.find": self.model,
            "pipeline.datamanager.feature-cache": out / "cache",
            "pipeline.datamanager.feature-rank": 4,
            "pipeline.datamanager.train-num-rays-per-batch": 64,
            "pipeline.export.rays": 2000, "pipeline.export.min-accumulation": 0.01,
            "pipeline.export.max-depth-m": 1e6, "pipeline.model.log2-hashmap-size": 10,
            "pipeline.model.feature-resolutions": "8 16",
        }  # fmt: skip
        given |= {"load-dir": folder} if saved else {}
        options = [
            word for key, value in given.items() for word in (f"--{key}", *str(value).split())
        ]
        sys.argv = ["ns-train", "find-field-lite", *options]
        entrypoint()
        return 0

    def result(self, out: Path) -> Any:
        import find_field as ff

        step = self._newest(out)
        fields = list(out.rglob("scene.field"))
        try:
            sizes = [len(ff.load(field).points_world_m) > 0 for field in fields]
        except FindError as error:
            raise DamagedError(str(error)) from None
        return step, sizes

    def look(self, out: Path) -> str:
        step = self._newest(out)
        if list(out.rglob("scene.field")):
            self.result(out)
        return {-1: "nothing", self.STEPS - 1: "all"}.get(step, "a stage")

    def _newest(self, out: Path) -> int:
        """Step of the newest checkpoint, -1 without any; every one there is read."""
        step = -1
        for path in sorted(self.checkpoints(out).glob("*.ckpt")):
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:
                raise DamagedError(f"{path.name}: {error}") from None
            step = max(step, int(state["step"]))
        return step
