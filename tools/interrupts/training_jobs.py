"""Training's jobs: train, teach, cache, export."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import FindError
from find_core.support.files import read_tensors
from tools.interrupts.job import (
    HEIGHT,
    WIDTH,
    DamagedError,
    Job,
    checkpoint_hash,
    hash_of,
    picture,
    write_checkpoint,
)


def _main(main: Callable[[], Any], *argv: object) -> int:
    """A command of `training`, which reads sys.argv."""
    sys.argv = ["command", *map(str, argv)]
    main()
    return 0


def _draw_one_curve() -> None:
    """All 25 panels take seconds, in which little is written."""
    from training.engine import trainer

    draw = trainer.draw_curves
    trainer.draw_curves = lambda metrics, path: draw(
        [{k: m[k] for k in ("step", "loss") if k in m} for m in metrics], path
    )


class Train(Job):
    name = "train"
    command = "python -m training.train --recipe tiny"
    STEPS = 6

    def prepare(self) -> None:
        from tests.training.worlds import write_world

        write_world(self.inputs / "world", count=8)
        _fill_store(self.inputs / "world", self.inputs / "store")

    def run(self, out: Path) -> int:
        from training.train import main

        _draw_one_curve()
        settings = [f"data.tabletop={self.inputs / 'world'}", f"data.store={self.inputs / 'store'}",
                    f"optim.steps={self.STEPS}", "save_every=2", "data.batch.size=4"]  # fmt: skip
        return _main(main, "--recipe", "tiny", "--out", out / "run", "--set", *settings)

    def result(self, out: Path) -> Any:
        lines = (out / "run/metrics.jsonl").read_text().splitlines()
        steps = [json.loads(line)["step"] for line in lines]
        if steps != list(range(self.STEPS)):
            raise DamagedError(f"metrics.jsonl holds the steps {steps}")
        return self._weights(out / "run/last.safetensors")

    def look(self, out: Path) -> str:
        import torch

        run = out / "run"
        if (run / "last.safetensors").exists():
            self._weights(run / "last.safetensors")
        if not (run / "state.pt").exists():
            return "nothing"
        try:
            state = torch.load(run / "state.pt", weights_only=True)
        except Exception as error:
            raise DamagedError(f"state.pt: {error}") from None
        return "all" if state["step"] == self.STEPS else "a stage"

    def _weights(self, path: Path) -> str:
        try:
            return hash_of(read_tensors(path)[0])
        except FindError as error:
            raise DamagedError(str(error)) from None


def _fill_store(world: Path, store: Path) -> None:
    from find_core.encoders import build_vision
    from training.cache import CacheJob, fill, open_writer
    from training.data.formats import tabletop
    from training.recipes import recipe

    config = recipe("tiny")
    encoder = build_vision(config.model.vision)
    writer = open_writer(str(store), "a", encoder, config.model.vision, config.data.view)
    records = [tabletop.record_of(s) for s in tabletop.read_split(world, "train")]
    fill(writer, encoder, config.model.vision, CacheJob(records, [0], config.data.view))
    writer.close()


class _OneCheckpoint(Job):
    """Writes a checkpoint, over another one."""

    def prepare(self) -> None:
        self.old = write_checkpoint(self.inputs / "old", seed=1)
        self.old_hash = checkpoint_hash(self.old)

    def begin(self, out: Path) -> None:
        shutil.copytree(self.old, out / "find")

    def result(self, out: Path) -> Any:
        return checkpoint_hash(out / "find")

    def look(self, out: Path) -> str:
        return "the old one" if checkpoint_hash(out / "find") == self.old_hash else "the new one"


class Teach(_OneCheckpoint):
    name = "teach"
    command = "python -m training.teach"

    def prepare(self) -> None:
        super().prepare()
        write_checkpoint(self.inputs / "model")
        for n in range(4):
            for folder, image in (("images", picture(n)), ("masks", _mask(n))):
                (self.inputs / folder).mkdir(exist_ok=True)
                cv2.imwrite(str(self.inputs / folder / f"{n}.png"), image)
        (self.inputs / "names.json").write_text('{"1": "my thing"}')

    def run(self, out: Path) -> int:
        from training.teach import main

        _draw_one_curve()
        i = self.inputs
        return _main(main, "--images", i / "images", "--masks", i / "masks", "--names",
                     i / "names.json", "--model", i / "model", "--out", out / "find", "--steps", 2)  # fmt: skip


def _mask(n: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (10 + 3 * n % 70, 20 + 2 * n % 30), 9, 1, -1)
    return mask


class Export(_OneCheckpoint):
    name = "export"
    command = "python -m training.export"

    def prepare(self) -> None:
        from find_core.encoders import build_language, build_vision
        from find_core.model.find import FindModel
        from training.engine.checkpoints import save_config, save_weights
        from training.recipes import recipe

        super().prepare()
        config = recipe("tiny")
        vision, language = build_vision(config.model.vision), build_language(config.model.language)
        model = FindModel(config.model, vision.channels, language.width)
        (self.inputs / "run").mkdir()
        save_config(self.inputs / "run", config)
        save_weights(self.inputs / "run/last.safetensors", dict(model.state_dict()))

    def run(self, out: Path) -> int:
        from training.export import main

        return _main(main, "--run", self.inputs / "run", "--out", out / "find")


class Cache(Job):
    name = "cache"
    command = "python -m training.cache"

    def prepare(self) -> None:
        from tests.training.worlds import write_world

        write_world(self.inputs / "world", count=16)

    def run(self, out: Path) -> int:
        from training.cache import main

        return _main(main, "--tabletop", self.inputs / "world", "--store", out / "store", "--variants",
                     2, "--height", HEIGHT, "--width", WIDTH)  # fmt: skip

    def result(self, out: Path) -> Any:
        from training.data.store import FeatureStore

        try:
            store = FeatureStore(out / "store")
            return {
                (key, view.variant): hash_of({str(n): m for n, m in enumerate(store.load(view)[0])})
                for key, views in store.views.items() for view in views
            }  # fmt: skip
        except Exception as error:
            raise DamagedError(f"{type(error).__name__}: {error}") from None

    def look(self, out: Path) -> str:
        if not (out / "store/layout.json").exists():
            return "nothing"
        return "all" if len(self.result(out)) == 32 else "a stage"
