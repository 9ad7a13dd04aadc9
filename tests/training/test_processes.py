"""Several processes, as accelerate starts them: they never wait for one another in vain, and agree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from training.config import TrainConfig
from training.engine.curves import read_metrics

ROOT = Path(__file__).parents[2]

WORKER = """
import sys
from pathlib import Path
import torch
import training.train as script
from training.engine.checkpoints import save_weights

class Kept(script.Trainer):
    def __init__(self, config, folder, module, batches, val, report, changed=False):
        super().__init__(config, folder, module, batches, [batches.batch(999)], report)

    def run(self, until=None):
        super().run(until)
        name = "rank%d.safetensors" % self.accelerator.process_index
        save_weights(Path(sys.argv[0]) / name, self.state.module.state_dict())

script.Trainer = Kept
sys.argv = [{folder!r}, *{arguments!r}]
script.main()
"""


def test_two_processes_end_and_hold_the_same_weights(config: TrainConfig, tmp_path: Path) -> None:
    """Tasks that come and go by chance: both processes must draw the same ones in every step."""
    settings = [
        f"data.tabletop={config.data.tabletop}", f"data.store={config.data.store}", "data.batch.size=2",
        "optim.steps=8", "save_every=8", "log_every=1", "losses.refine=0.5",
        "losses.grounding_chance=0.5", "losses.interactive_chance=0.5",
    ]  # fmt: skip
    arguments = ["--recipe", "tiny", "--out", str(tmp_path / "run"),
                 "--set", *settings]  # fmt: skip
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(folder=str(tmp_path), arguments=arguments))
    # Nothing tells accelerate that this is a CPU: the trainer does.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("ACCELERATE_USE_CPU", None)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    done = subprocess.run(
        [*command, str(worker)], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:3000]
    metrics = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [m["step"] for m in metrics if "loss" in m] == list(range(8))
    from safetensors.torch import load_file

    first, second = (load_file(tmp_path / f"rank{n}.safetensors") for n in (0, 1))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], msg=name)
