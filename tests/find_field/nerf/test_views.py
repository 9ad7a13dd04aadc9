"""What a trained run renders at its own cameras, as posed RGB-D."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip(
    "nerfstudio", reason="nerfstudio is not installed (pip install find_ros[field])"
)

import yaml
from nerfstudio.configs.method_configs import method_configs

from find_core.errors import FieldError
from find_field.cli import main
from find_field.evaluation import toy_world
from find_field.nerf import views
from find_field.nerf.dataparser import PosedRGBDDataParserConfig
from find_field.nerf.pipeline import world_transform_of
from tests.find_field.folders import write_nerfstudio


class RayCaster(torch.nn.Module):
    """A 'trained' model whose renderings are exact, in nerfstudio's frame."""

    def __init__(self, world, transform):
        super().__init__()
        self.world, self.transform, self.device = world, transform, torch.device("cpu")
        self.extra = {}

    def get_outputs_for_camera(self, camera):
        bundle = camera.generate_rays(camera_indices=0, keep_shape=True)
        shape = bundle.origins.shape[:2]
        to_world = self.transform.to_world
        origins = bundle.origins.reshape(-1, 3).double().numpy()
        eye = to_world(origins)[0]
        rays = to_world(origins + bundle.directions.reshape(-1, 3).double().numpy()) - eye
        depth, labels = toy_world._table(eye, rays)
        for k, thing in enumerate(self.world.things):
            cast = toy_world._ball if thing.ball else toy_world.cast_box
            t = cast(eye, rays, thing)
            labels[t < depth] = k + 2
            depth = np.minimum(t, depth)
        hit = np.isfinite(depth)

        def put(values):
            filled = np.where(hit, values, 1e3)
            return torch.tensor(filled, dtype=torch.float32).reshape(*shape, 1)

        rgb = torch.tensor(labels.reshape(*shape, 1) / 20).expand(*shape, 3)
        outputs = {"rgb": rgb, "depth": put(depth), "expected_depth": put(depth),
                   "accumulation": put(1.0) * put(1.0).eq(1)}  # fmt: skip
        return outputs | {k: change(outputs) for k, change in self.extra.items()}


@pytest.fixture
def view(sequence, world):
    outputs = PosedRGBDDataParserConfig(data=sequence).setup().get_dataparser_outputs("train")
    to_world = world_transform_of(outputs)
    assert to_world.scale != 1
    camera = views._pinhole(outputs.cameras[0:1], 60)
    return views.RenderedView("view 1", RayCaster(world, to_world), camera, to_world)


def test_a_view_is_where_and_what_the_capture_saw(view, frames, world):
    frame, given = view.read(), frames[1]  # frame 0 is for evaluation
    np.testing.assert_allclose(frame.T_world_camera, given.T_world_camera, atol=1e-5)
    scale = frame.width / given.width
    assert scale == 0.5 and frame.height == 60
    np.testing.assert_allclose(frame.K[0, 2] + 0.5, (given.K[0, 2] + 0.5) * scale, atol=1e-4)
    _, depth, _ = world.render(frame.K, frame.T_world_camera, frame.rgb.shape[:2])
    known = np.isfinite(frame.depth_m)
    np.testing.assert_array_equal(known, depth > 0)
    np.testing.assert_allclose(frame.depth_m[known], depth[known], atol=2e-4)


def test_uncertain_depth_is_none(view):
    plain = np.isfinite(view.read().depth_m)
    left = torch.arange(60 * 80).reshape(60, 80, 1) % 80 < 40
    view.model.extra = {"accumulation": lambda o: torch.where(left, 0.5, o["accumulation"])}
    thin = np.isfinite(view.read().depth_m)
    assert not thin[:, :40].any() and (thin[:, 40:] == plain[:, 40:]).all() and plain[:, :40].any()
    view.model.extra = {
        "expected_depth": lambda o: torch.where(left, 1.1 * o["depth"], 1.01 * o["depth"])
    }
    spread = np.isfinite(view.read().depth_m)
    assert not spread[:, :40].any() and (spread[:, 40:] == plain[:, 40:]).all()


@pytest.fixture
def run(frames, tmp_path):
    """A run of nerfacto as ns-train leaves it, untrained."""
    data = write_nerfstudio(tmp_path / "data", frames, depth=False)
    config = copy.deepcopy(method_configs["nerfacto"])
    config.pipeline.datamanager.data = data
    config.pipeline.model.log2_hashmap_size, config.pipeline.model.num_levels = 8, 2
    config.pipeline.model.implementation = "torch"
    config.pipeline.model.average_init_density = 10.0  # rays end soon, untrained as it is
    config.output_dir, config.experiment_name, config.timestamp = tmp_path / "outputs", "toy", "t"
    folder = config.get_checkpoint_dir()
    folder.mkdir(parents=True)
    parser = config.pipeline.datamanager.dataparser
    parser.data = data
    parsed = parser.setup().get_dataparser_outputs("train")
    with views.lpips_on_demand():
        model = config.pipeline.model.setup(
            scene_box=parsed.scene_box, num_train_data=len(parsed.image_filenames),
            metadata=parsed.metadata, device="cpu", grad_scaler=None, seed_points=None,
        )  # fmt: skip
    state = {f"_model.{k}": v for k, v in model.state_dict().items()}
    state["_model.lpips.net.weight"] = torch.zeros(1)  # as stock nerfacto keeps it
    schedule = {"last_lr": [np.float64(0.01)]}  # what torch 2.6 refuses by itself
    torch.save(
        {"step": 3, "pipeline": state, "schedulers": schedule}, folder / "step-000000003.ckpt"
    )
    path = config.get_base_dir() / "config.yml"
    path.write_text(yaml.dump(config))
    return SimpleNamespace(path=path, model=model, checkpoint=folder / "step-000000003.ckpt")


def test_any_methods_run_is_opened(run, frames):
    opened = views.open_run(run.path, 20)
    assert opened.up == "check" and 0 < len(opened) <= len(frames)
    got = opened.files[0].model.state_dict()
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(got[name], value)
    poses = [view.T_world_camera for view in opened.files]
    want = {
        view.name: f
        for view in opened.files
        for i, f in enumerate(frames)
        if view.name == f"{i:04d}.png"
    }
    assert len(want) == len(poses)
    for view, pose in zip(opened.files, poses, strict=True):
        np.testing.assert_allclose(pose, want[view.name].T_world_camera, atol=1e-4)
    frame = opened.files[0].read()
    assert frame.rgb.shape == (20, 27, 3) or frame.rgb.shape == (20, 26, 3)


def test_a_run_is_lifted(run, oracle, frames, tmp_path, monkeypatch, capsys):
    """The command; an untrained model's surface is anywhere."""
    import find_core
    from find_field.evaluation.oracle import OracleScene

    monkeypatch.setattr(find_core, "load", lambda name, **options: oracle, raising=False)
    monkeypatch.setattr(
        type(oracle), "encode",
        lambda self, rgb: OracleScene(self, np.ones(rgb.shape[:2], int), {1: "table"}),
    )  # fmt: skip
    monkeypatch.setattr(views, "MIN_ACCUMULATION", 0.0)
    monkeypatch.setattr(views, "MAX_SPREAD", 1e9)
    out = tmp_path / "room.field"
    told = ["lift", "--nerf", str(run.path), "--out", str(out), "--render-px", "20", "--limit", "2",
            "--max-depth", "1e5", "--voxel", "1", "--json"]  # fmt: skip
    assert main(told) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == 2 and summary["source"] == "lift --nerf" and summary["voxels"] > 0


def test_what_is_wrong_is_said(run, capsys, tmp_path):
    state = torch.load(run.checkpoint, weights_only=False)
    del state["pipeline"][next(iter(state["pipeline"]))]
    torch.save(state, run.checkpoint)
    with pytest.raises(FieldError, match="not of"):
        views.open_run(run.path)
    torch.save({"step": 3, "pipeline": {}, "other": Foreign()}, run.checkpoint)
    with pytest.raises(FieldError, match="plain tensors"):
        views.open_run(run.path)
    run.checkpoint.unlink()
    with pytest.raises(FieldError, match="No checkpoint"):
        views.open_run(run.path)
    assert main(["lift", "--out", "a.field"]) == 2
    assert "either a folder, or --nerf" in capsys.readouterr().err
    assert main(["lift", str(tmp_path), "--nerf", str(run.path), "--out", "a.field"]) == 2
    assert main(["lift", "--nerf", "nowhere.yml", "--out", "a.field"]) == 2
    assert "ns-train prints" in capsys.readouterr().err


class Foreign:
    """Something that only running code could make."""
