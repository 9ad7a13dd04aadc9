"""What belongs together is compared before nerfstudio trains on it; its checkpoints are whole."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip(
    "nerfstudio", reason="nerfstudio is not installed (pip install find_ros[field])"
)

from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from PIL import Image

from find_core.errors import FieldError
from find_core.images import read_image
from find_field.nerf import config as methods
from find_field.nerf.datamanager import FindFieldDataManagerConfig, FindFieldDataset, check_sizes
from find_field.nerf.dataparser import PosedRGBDDataParserConfig
from find_field.nerf.trainer import FindFieldTrainer
from tests.find_field.folders import write_nerfstudio, write_sequence


@pytest.fixture
def trainer(tmp_path):
    """As much of a trainer as saving takes."""
    made = FindFieldTrainer.__new__(FindFieldTrainer)
    made.checkpoint_dir = tmp_path / "run" / "nerfstudio_models"
    made.pipeline = torch.nn.Linear(2, 3)
    made.optimizers = SimpleNamespace(optimizers={}, schedulers={})
    made.grad_scaler = torch.amp.GradScaler("cpu", enabled=False)
    made.config = SimpleNamespace(save_only_latest_checkpoint=True)
    return made


def saved(trainer):
    return sorted(path.name for path in trainer.checkpoint_dir.iterdir())


def test_checkpoints_replace_each_other(trainer):
    folder = trainer.checkpoint_dir
    for step in (2, 4):
        trainer.save_checkpoint(step)
        assert trainer.checkpoint_dir == folder and saved(trainer) == [f"step-00000000{step}.ckpt"]
        state = torch.load(folder / saved(trainer)[0], weights_only=True)
        assert state["step"] == step and set(state["pipeline"]) == {"weight", "bias"}
    trainer.config.save_only_latest_checkpoint = False
    trainer.save_checkpoint(6)
    assert saved(trainer) == ["step-000000004.ckpt", "step-000000006.ckpt"]
    assert [p.name for p in folder.parent.iterdir()] == ["nerfstudio_models"]


@pytest.mark.parametrize(
    "problem",
    [
        OSError(28, "No space left on device"),
        RuntimeError("PytorchStreamWriter failed"),
        KeyboardInterrupt(),
    ],
)
def test_a_checkpoint_is_whole_or_not_there(trainer, monkeypatch, capsys, problem):
    trainer.save_checkpoint(2)

    def save(data, path):
        path.write_bytes(b"half")
        raise problem

    monkeypatch.setattr(torch, "save", save)
    expected = KeyboardInterrupt if isinstance(problem, KeyboardInterrupt) else SystemExit
    with pytest.raises(expected) as ended:
        trainer.save_checkpoint(4)
    if expected is SystemExit:
        assert ended.value.code == 2 and "check the disk" in " ".join(
            capsys.readouterr().out.split()
        )
    assert saved(trainer) == ["step-000000002.ckpt"]
    assert trainer.checkpoint_dir.name == "nerfstudio_models"


def test_both_methods_train_with_it():
    for method in (methods.find_field, methods.find_field_lite):
        assert method.config._target is FindFieldTrainer


def changed(folder, **meta):
    path = folder / "transforms.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | meta))
    return folder


def cameras_of(folder, parser=PosedRGBDDataParserConfig):
    outputs = parser(data=folder).setup().get_dataparser_outputs("train")
    return outputs, outputs.cameras


def test_intrinsics_of_another_size_are_scaled(frames, tmp_path):
    folder = write_nerfstudio(tmp_path, frames[:4], depth=False)
    _, plain = cameras_of(folder)
    meta = json.loads((folder / "transforms.json").read_text())
    twice = {key: 2 * meta[key] for key in ("fl_x", "fl_y", "cx", "cy", "w", "h")}
    _, scaled = cameras_of(changed(folder, **twice))
    for name in ("fx", "fy", "cx", "cy", "height", "width"):
        torch.testing.assert_close(getattr(scaled, name), getattr(plain, name))
    with pytest.raises(FieldError, match="intrinsics are of"):
        cameras_of(changed(folder, w=meta["h"], h=meta["w"], cx=10, cy=10))


def test_distortion_reaches_the_cameras(frames, tmp_path):
    folder = write_nerfstudio(tmp_path, frames[:3], depth=False)
    assert cameras_of(folder)[1].distortion_params is None
    _, cameras = cameras_of(changed(folder, k1=0.1, k2=0.2, p1=0.3, p2=0.4, k3=0.5))
    for row in cameras.distortion_params:
        torch.testing.assert_close(row, torch.tensor([0.1, 0.2, 0.5, 0, 0.3, 0.4]))


def test_exception_of_a_folder_of_one_image(frames, tmp_path):
    with pytest.raises(FieldError, match="none is left for train"):
        cameras_of(write_sequence(tmp_path, frames[:1]))


@pytest.mark.parametrize("parser", [PosedRGBDDataParserConfig, NerfstudioDataParserConfig])
def test_images_and_cameras_have_one_size(frames, tmp_path, parser):
    folder = write_nerfstudio(tmp_path, frames[:4], depth=False)
    outputs, _ = cameras_of(folder, parser)
    check_sizes(FindFieldDataset(outputs))
    check_sizes(None)
    path = outputs.image_filenames[1]
    Image.fromarray(read_image(path)[::2, ::2]).save(path)
    with pytest.raises(FieldError, match=r"its camera .*correct w and h"):
        check_sizes(FindFieldDataset(outputs))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_features_are_of_the_pixels_that_rays_are_drawn_for(frames, tmp_path, orientation):
    """nerfstudio trains on stored pixels: EXIF turns neither its images nor ours."""
    folder = write_nerfstudio(tmp_path, frames[:3], depth=False)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in (folder / "images").iterdir():
        Image.fromarray(read_image(path)).save(path, exif=exif.tobytes())
    for parser in (PosedRGBDDataParserConfig, NerfstudioDataParserConfig):
        dataset = FindFieldDataset(cameras_of(folder, parser)[0])
        check_sizes(dataset)
        for n in range(len(dataset)):
            assert np.array_equal(dataset.image_rgb(n), dataset.get_numpy_image(n)[..., :3])


@pytest.mark.parametrize("what", ["paths of Windows", "no transforms.json"])
def test_exception_of_images_that_are_not_there(frames, tmp_path, what):
    write_nerfstudio(tmp_path, frames[:4])
    file = tmp_path / "transforms.json"
    if what == "paths of Windows":
        file.write_text(file.read_text().replace("images/", "images\\\\"))
    else:
        file.unlink()
    parser = NerfstudioDataParserConfig(data=tmp_path)
    with pytest.raises(FieldError, match=r"There is no .*written with /"):
        FindFieldDataManagerConfig(dataparser=parser, data=tmp_path).setup(device="cpu")
