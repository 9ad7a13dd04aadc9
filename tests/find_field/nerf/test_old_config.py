"""Runs of before the packages were divided, and what a config.yml may not do.

`data/old_config.yml` was written by ns-train at commit eb56e15; only its folders are relative here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PosixPath

import pytest

pytest.importorskip(
    "nerfstudio", reason="nerfstudio is not installed (pip install find_ros[field])"
)

import torch
import yaml
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.writer import EventName

from find_core.errors import FieldError
from find_field.cli import main
from find_field.nerf import config as methods
from find_field.nerf import datamanager, dataparser, model, pipeline, runs
from tests.find_field.folders import write_sequence

OLD = Path(__file__).parents[1] / "data" / "old_config.yml"


def test_the_old_file_names_old_modules():
    text = OLD.read_text()
    assert text.count("find_field.find_field_") >= 8 and "find_field.nerf" not in text


def check(config: TrainerConfig) -> None:
    assert type(config) is TrainerConfig and config.method_name == "find-field-lite"
    assert type(config.pipeline) is pipeline.FindFieldPipelineConfig
    assert config.pipeline._target is pipeline.FindFieldPipeline
    assert config.pipeline.datamanager._target is datamanager.FindFieldDataManager
    assert type(config.pipeline.datamanager.dataparser) is dataparser.PosedRGBDDataParserConfig
    assert type(config.pipeline.model) is model.FindFieldModelConfig
    assert config.pipeline.model.feature_resolutions == (32, 160)
    scheduler = config.optimizers["fields"]["scheduler"]
    assert type(scheduler) is methods.PlainDecaySchedulerConfig
    assert scheduler._target is methods.PlainDecayScheduler
    assert config.optimizers["fields"]["optimizer"]._target is torch.optim.Adam
    assert config.data == PosixPath("seq") == config.pipeline.datamanager.data
    assert EventName.ITER_TRAIN_TIME in config.logging.local_writer.stats_to_track


def test_nerfstudio_reads_it():
    """As ns-eval, ns-render and ns-viewer do, in a process that imports nothing of ours itself."""
    code = (
        "import yaml, sys; "
        f"config = yaml.load(open({str(OLD)!r}), Loader=yaml.Loader); "
        "print(type(config.pipeline).__module__, config.pipeline._target.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["find_field.nerf.pipeline"] * 2
    check(yaml.load(OLD.read_text(), Loader=yaml.Loader))


def test_we_read_it_as_nerfstudio_does():
    ours = runs.read_config(OLD)
    check(ours)
    assert ours == yaml.load(OLD.read_text(), Loader=yaml.Loader)


def test_a_setting_it_was_written_without_has_its_default(tmp_path):
    lines = [line for line in OLD.read_text().splitlines() if "export" not in line]
    start = lines.index("    max_depth_m: 20.0")
    del lines[start : start + 6]
    path = tmp_path / "config.yml"
    path.write_text("\n".join(lines))
    assert runs.read_config(path).pipeline.export.voxel_size_m == 0.01


@pytest.fixture
def run(tmp_path, frames, oracle, monkeypatch):
    """A run folder with that configuration and a checkpoint of its (untrained) pipeline."""
    monkeypatch.setitem(datamanager.OTHER_MODELS, "exact", lambda data, device: oracle)
    write_sequence(tmp_path / "seq", frames)
    text = (
        OLD.read_text().replace("- seq", f"- {tmp_path}/seq").replace("- cache", f"- {tmp_path}/c")
    )
    text = text.replace("find: find-tabletop", "find: exact")
    for name, value in {"min_accumulation": 0, "min_cosine": 0, "max_depth_m": 1e6}.items():
        text = text.replace(f"    {name}: ", f"    {name}: {value} # ")
    folder = tmp_path / "run"
    (folder / "nerfstudio_models").mkdir(parents=True)
    path = folder / "config.yml"
    path.write_text(text)
    made = runs.read_config(path).pipeline.setup(device="cpu", test_mode="inference")
    state = {"pipeline": made.state_dict(), "step": 29}
    torch.save(state, folder / "nerfstudio_models" / "step-000000029.ckpt")
    return path


def test_an_old_run_is_exported(run, tmp_path):
    """By the command line: folder of the checkpoints beside the file, wherever both were moved."""
    out = tmp_path / "scene.npz"
    assert main(["export", str(run), str(out), "--voxel", "10"]) == 0
    assert out.stat().st_size > 1000


def test_exception_checkpoints(run, capsys, tmp_path):
    checkpoint = run.parent / "nerfstudio_models" / "step-000000029.ckpt"
    torch.save({"pipeline": Planted(tmp_path / "ran")}, checkpoint)
    assert main(["export", str(run), str(tmp_path / "a.npz")]) == 2
    assert "no checkpoint of plain tensors" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    checkpoint.unlink()
    assert main(["export", str(run), str(tmp_path / "a.npz")]) == 2
    assert "No checkpoint in" in capsys.readouterr().err


class Planted:
    """A pickle that touches a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "planted",
    [
        "!!python/object/apply:os.system ['touch {ran}']",
        "!!python/object/apply:subprocess.check_output [['touch', '{ran}']]",
        "!!python/object/apply:nerfstudio.utils.scripts.run_command ['touch {ran}']",
        "!!python/object/new:os.system ['touch {ran}']",
        "!!python/name:os.system ''",
        "!!python/name:nerfstudio.utils.scripts.run_command ''",
        "!!python/name:find_field.cli.main ''",
        "!!python/module:os ''",
        "!!python/object:pathlib.Path {{}}",
        "!!python/object:find_field.nerf.pipeline.FindFieldPipeline {{}}",
        "!!python/object/apply:find_field.nerf.pipeline.FindFieldPipelineConfig []",
        "!!python/object:nerfstudio_not.a.Config {{}}",
    ],
)
def test_nothing_that_a_config_names_is_run(planted, tmp_path, capsys):
    path, ran = tmp_path / "config.yml", tmp_path / "ran"
    text = OLD.read_text().replace(
        "experiment_name: e", "experiment_name: " + planted.format(ran=ran)
    )
    path.write_text(text)
    assert main(["export", str(path), str(tmp_path / "a.field")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("find-field: ") and "config.yml cannot be read" in said
    assert not ran.exists()


def test_nerfstudios_own_loader_would_have_run_it(tmp_path):
    """So the planted line above is a real one."""
    ran = tmp_path / "ran"
    yaml.load(f"!!python/object/apply:os.system ['touch {ran}']", Loader=yaml.Loader)
    assert ran.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1, 2", "cannot be read"),
        ("a: 1", "not the config.yml"),
        (
            "!!python/object:nerfstudio.engine.trainer.TrainerConfig {method_name: nerfacto}",
            "not the",
        ),
        ("!!python/object:find_field.nerf.no_such.Config {}", "lacks"),
    ],
)
def test_exception_what_is_no_run(text, says, tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(text)
    with pytest.raises(FieldError, match=says):
        runs.read_config(path)
    with pytest.raises(FieldError, match="cannot be read"):
        runs.read_config(tmp_path / "none.yml")
