"""Trainer: nerfstudio's own, whose checkpoints are whole or not there."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from nerfstudio.engine.trainer import Trainer
from nerfstudio.utils.rich_utils import CONSOLE

from find_core.errors import FindError
from find_core.support.files import sync
from find_core.support.printable import shown


class FindFieldTrainer(Trainer):
    """Saves beside, then moves into place.

    nerfstudio writes a checkpoint under its final name. A run that is killed in the midst of it leaves
    the newest one cut short, and `--load-dir`, which takes the newest, fails from then on.
    """

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """As nerfstudio's; what a user got wrong ends the command with one sentence and status 2."""
        try:
            super().setup(*args, **kwargs)
        except FindError as problem:
            CONSOLE.print(f"ns-train: {problem}", markup=False)
            sys.exit(2)

    def save_checkpoint(self, step: int) -> None:
        """Save model and optimizers; the former checkpoint goes when the new one is on the disk.

        Where that cannot be, the command ends with one sentence and status 2; what was there stays.
        """
        folder: Path = self.checkpoint_dir  # type: ignore[has-type]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder.parent) as beside:
                self.checkpoint_dir = Path(beside)
                super().save_checkpoint(step)
                self._put_in_place(Path(beside), folder)
        except (OSError, RuntimeError) as problem:  # the latter is what torch makes of a full disk
            CONSOLE.print(
                f"No checkpoint could be written ({shown(problem, 120)}): check the disk."
            )
            sys.exit(2)
        finally:
            self.checkpoint_dir = folder

    def _put_in_place(self, beside: Path, folder: Path) -> None:
        """Nothing where only the main process saves and this is another one."""
        saved = list(beside.glob("*.ckpt"))
        for file in saved:
            sync(file)
            file.replace(folder / file.name)
        if saved and self.config.save_only_latest_checkpoint:
            for old in folder.glob("*.ckpt"):
                if old.name not in {file.name for file in saved}:
                    old.unlink()
