"""The nerfstudio method, in parts; whole runs of ns-train, ns-eval and resume are benchmarks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip(
    "nerfstudio", reason="nerfstudio is not installed (pip install find_ros[field])"
)

from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.models.nerfacto import NerfactoModel
from scipy.spatial.transform import Rotation

from find_core.errors import FieldError
from find_field.geometry.pinhole import backproject, transform
from find_field.geometry.up import angle_deg
from find_field.nerf.config import PlainDecaySchedulerConfig, find_field, find_field_lite
from find_field.nerf.dataparser import PosedRGBDDataParserConfig
from find_field.nerf.export import ExportConfig, export_field
from find_field.nerf.feature_head import FeatureHead
from find_field.nerf.pipeline import world_transform_of
from tests.find_field.folders import write_nerfstudio
from tests.find_field.nerf.rays import rays


def test_feature_planes_agree_with_a_slow_twin():
    torch.manual_seed(1)
    field = FeatureHead(resolutions=(4, 7), channels=3, hidden=8, out_dim=5)
    points = torch.rand(20, 3) * 2 - 1
    rows = []
    for point in points:
        features = []
        for planes in field.planes:
            side, product = planes.shape[-1], torch.ones(3)
            for plane, (a, b) in zip(planes, ((0, 1), (0, 2), (1, 2)), strict=True):
                x, y = ((point[axis] + 1) / 2 * (side - 1) for axis in (a, b))
                total = torch.zeros(3)
                for r in range(side):
                    for c in range(side):
                        share = max(0, 1 - abs(x - c)) * max(0, 1 - abs(y - r))
                        total = total + share * plane[:, r, c]
                product = product * total
            features.append(product)
        rows.append(field.network(torch.cat(features)))
    torch.testing.assert_close(field(points), torch.stack(rows), atol=1e-4, rtol=1e-4)


def test_outputs_hold_what_nerfstudio_reads(model):
    model.train()
    ours = model.get_outputs(rays())
    theirs = NerfactoModel.get_outputs(model, rays())
    assert set(theirs) <= set(ours)
    model.eval()
    with torch.no_grad():
        ours, theirs = model.get_outputs(rays()), NerfactoModel.get_outputs(model, rays())
    assert set(theirs) <= set(ours) and {"features", "feature_pca"} <= set(ours)
    assert ours["features"].shape == (6, 8)


def test_feature_loss_never_reaches_density_or_colour(model):
    model.train()
    outputs = model.get_outputs(rays())
    batch = {"image": torch.rand(6, 3), "features": torch.rand(6, 8)}
    losses = model.get_loss_dict(outputs, batch, model.get_metrics_dict(outputs, batch))
    losses["feature_loss"].backward()
    reached = {n.split(".")[0] for n, p in model.named_parameters()
               if p.grad is not None and p.grad.abs().sum() > 0}  # fmt: skip
    assert reached == {"feature_field"}


def test_feature_loss_earns_nothing_for_the_mean(model, monkeypatch):
    """Against a slow twin; what all pictures share is no merit of the centred loss."""
    mean = torch.tensor([3.0, 1, 0, 0, 0, 0, 0, 0])
    monkeypatch.setitem(model._buffers, "feature_mean", mean)
    target = mean + 0.3 * torch.randn(20, 8)
    found = mean + 0.3 * torch.randn(20, 8)
    rows = []
    for f, t in zip(found, target, strict=True):
        a, b = f - mean, t - mean
        rows.append(float((f - t) @ (f - t) + 1 - a @ b / (a.norm() * b.norm())))
    loss = model._feature_loss(found, target)
    assert float(loss) == pytest.approx(np.mean(rows), rel=1e-4)
    assert float(model._feature_loss(target, target)) == pytest.approx(0, abs=1e-5)
    constant = mean.expand_as(target)
    square = (constant - target).square().sum(-1).mean()
    assert float(model._feature_loss(constant, target) - square) == pytest.approx(1)
    monkeypatch.setattr(model.config, "feature_loss_centred", False)
    assert float(model._feature_loss(constant, target) - square) < 0.1


def test_depth_loss_prefers_the_right_depth(model):
    model.train()
    outputs = model.get_outputs(rays())
    batch = {"image": torch.rand(6, 3), "depth_image": outputs["expected_depth"].detach()}
    metrics = model.get_metrics_dict(outputs, batch)
    loss = model.get_loss_dict(outputs, batch, metrics)["depth_loss"]
    assert loss > 0 and loss.requires_grad


def test_survives_without_lpips_and_leaves_others_alone(model, monkeypatch):
    from torchmetrics.image import lpip

    assert isinstance(lpip.LearnedPerceptualImagePatchSimilarity, type)  # put back
    assert not [key for key in model.state_dict() if "lpips" in key]
    monkeypatch.setattr(
        model.lpips, "_build", lambda **_: (_ for _ in ()).throw(OSError("offline"))
    )
    monkeypatch.setattr(model.lpips, "_metric", None)
    model.eval()
    picture = {"rgb": (16, 16, 3), "accumulation": (16, 16, 1), "depth": (16, 16, 1),
               "prop_depth_0": (16, 16, 1), "prop_depth_1": (16, 16, 1), "features": (16, 16, 8)}  # fmt: skip
    outputs = {name: torch.rand(shape) for name, shape in picture.items()}
    batch = {"image": torch.rand(16, 16, 3), "features": torch.rand(4, 4, 8)}
    metrics, images = model.get_image_metrics_and_images(outputs, batch)
    assert "lpips" not in metrics and "psnr" in metrics
    assert {"feature_cosine", "feature_cosine_constant", "feature_cosine_centred"} <= set(metrics)
    assert images["feature_pca"].shape == (16, 16, 3)


def test_feature_metrics_of_a_perfect_and_a_constant_prediction(model):
    truth = torch.randn(4, 5, 8)
    large = truth.repeat_interleave(3, 0).repeat_interleave(3, 1)
    perfect = model._feature_metrics(large, truth)
    assert perfect["feature_cosine"] == pytest.approx(1, abs=1e-5)
    assert perfect["feature_cosine_centred"] == pytest.approx(1, abs=1e-5)


def test_checkpoints_load_with_weights_only(tmp_path):
    """What torch 2.6 and later refuse: numpy scalars in the schedulers' state."""
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([parameter], lr=1e-2)
    config = PlainDecaySchedulerConfig(lr_final=1e-4, max_steps=10)
    scheduler = config.setup().get_scheduler(optimizer, lr_init=1e-2)
    for _ in range(3):
        parameter.sum().backward()
        optimizer.step()
        scheduler.step()
    path = tmp_path / "step.ckpt"
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, path)
    loaded = torch.load(path, weights_only=True)
    assert loaded["optimizer"]["param_groups"][0]["lr"] == pytest.approx(1e-2 * 10 ** (-0.6))


def test_methods_are_told_apart_and_keep_poses():
    for method, name in ((find_field, "find-field"), (find_field_lite, "find-field-lite")):
        assert method.config.method_name == name and method.description
        assert method.config.pipeline.model.camera_optimizer.mode == "off"
        assert set(method.config.optimizers) >= {"proposal_networks", "fields", "feature_field"}


def test_dataparser_module_closes_no_circle():
    code = (
        "import sys, find_field.nerf.dataparser as m; "
        "bad = [n for n in sys.modules if n.startswith(('nerfstudio.engine', "
        "'nerfstudio.data.datamanagers', 'nerfstudio.pipelines'))]; assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_dataparser_rays_meet_the_world_where_it_is(sequence, frames):
    """A pixel's ray, as long as its z-depth says, ends at the backprojected point in metres."""
    outputs = PosedRGBDDataParserConfig(data=sequence).setup().get_dataparser_outputs("train")
    to_metres = world_transform_of(outputs)
    assert len(outputs.image_filenames) == 8 and to_metres.scale != 1.0
    bundle = outputs.cameras.generate_rays(0, coords=torch.tensor([[40.5, 70.5], [90.5, 20.5]]))
    frame = frames[1]  # frame 0 is for evaluation
    for i, (v, u) in enumerate(((40, 70), (90, 20))):
        z = float(frame.depth_m[v, u])
        length = z * to_metres.scale * float(bundle.metadata["directions_norm"][i])
        point = to_metres.to_world((bundle.origins[i] + bundle.directions[i] * length).numpy())
        want = transform(frame.T_world_camera, backproject(np.array(z), frame.K, u, v))
        np.testing.assert_allclose(point, want, atol=2e-3)


def test_a_checkpoints_basis_is_spoken(manager):
    """Rotated within what the features span: the same embeddings, in other coefficients."""
    at = torch.tensor([[0, 50, 60], [3, 20, 90]])
    own, before = manager.features.basis, manager._features_at(at).numpy()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0].astype(np.float32)
    manager.use_basis(own @ turn)
    after = manager._features_at(at).numpy()
    np.testing.assert_allclose(after, before @ turn, atol=2e-3)
    assert np.abs(after - before).max() > 0.05
    maps = manager.eval_dataset.feature_set
    np.testing.assert_array_equal(maps.basis, own @ turn)


def test_another_models_checkpoint_is_refused(manager):
    foreign = np.linalg.qr(np.random.default_rng(2).normal(size=(64, 12)))[0].astype(np.float32)
    with pytest.raises(FieldError, match="other features than oracle"):
        manager.use_basis(foreign)
    with pytest.raises(FieldError, match="other features than oracle"):
        manager.use_basis(np.eye(40, 12, dtype=np.float32))


class ExactModel(torch.nn.Module):
    """A 'trained' model whose renderings are the ray caster's: export's own error remains."""

    def __init__(self, world, oracle, transform, basis):
        super().__init__()
        self.world, self.oracle, self.transform = world, oracle, transform
        self.config = SimpleNamespace(eval_num_rays_per_chunk=5000)
        self.register_buffer("basis", basis)
        self.device = torch.device("cpu")

    def forward(self, bundle):
        from find_field.evaluation import toy_world as testing

        to_world = self.transform.to_world
        origins, ends = bundle.origins.numpy(), (bundle.origins + bundle.directions).numpy()
        eye, rays = to_world(origins), to_world(ends) - to_world(origins)
        assert np.ptp(eye, axis=0).max() < 1e-6  # export renders one camera at a time
        depth, labels = testing._table(eye[0], rays)
        for k, thing in enumerate(self.world.things):
            cast = testing._ball if thing.ball else testing.cast_box
            t = cast(eye[0], rays, thing)
            labels[t < depth] = k + 2
            depth = np.minimum(t, depth)
        names = {0: "background", **self.world.names}
        vectors = np.stack([self.oracle.vector(names[int(label)]) for label in labels])
        hit = np.isfinite(depth)
        return {
            "rgb": torch.rand(len(rays), 3),
            "depth": torch.tensor(np.where(hit, depth, 1e6), dtype=torch.float32)[:, None],
            "accumulation": torch.tensor(hit, dtype=torch.float32)[:, None],
            "features": torch.tensor(vectors) @ self.basis,
        }


def test_export_answers_in_the_inputs_metric_frame(sequence, world, oracle):
    outputs = PosedRGBDDataParserConfig(data=sequence).setup().get_dataparser_outputs("train")
    transform = world_transform_of(outputs)
    basis = torch.from_numpy(
        np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    ).float()
    model = ExactModel(world, oracle, transform, basis)
    field = export_field(
        model, outputs.cameras, transform, oracle, ExportConfig(rays=24_000), frame="map"
    )
    assert model.training, "left as it was"
    assert field.frame == "map" and field.provenance["source"] == "ns-train find-field"
    np.testing.assert_allclose(field.up_world, [0, 0, 1])
    for thing in world.things:
        hit = field.query(thing.name, oracle)[0]
        assert np.linalg.norm(hit.T_world_object[:3, 3] - thing.centre_m) < 0.02


@pytest.mark.parametrize("turn_deg", [0, 100])
def test_up_is_the_captures_own_not_the_cameras_pitch(frames, world, oracle, tmp_path, turn_deg):
    """nerfstudio turns its world to the cameras' mean top, which leans with their pitch."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("x", turn_deg, degrees=True).as_matrix()
    leaning = [frames[i] for i in (0, 1, 2, 3, 9)]  # from one side: their mean top leans
    turned = [replace(f, T_world_camera=turn @ f.T_world_camera) for f in leaning]
    folder = write_nerfstudio(tmp_path, turned, depth=False)
    outputs = NerfstudioDataParserConfig(data=folder).setup().get_dataparser_outputs("train")
    world_of = world_transform_of(outputs)
    nerfstudio_up = np.linalg.inv(world_of.M[:, :3]) @ [0, 0, 1]
    assert angle_deg(nerfstudio_up, turn[:3, 2]) > 15
    back = np.linalg.inv(turn)
    toy = SimpleNamespace(to_world=lambda points: transform(back, world_of.to_world(points)))
    exact = ExactModel(world, oracle, toy, torch.eye(64))

    def exported(**options):
        config = ExportConfig(rays=8_000, **options)
        return export_field(exact, outputs.cameras, world_of, oracle, config)

    field = exported()
    assert angle_deg(field.up_world, turn[:3, 2]) < 2
    if not turn_deg:
        assert field.up_world.tolist() == [0, 0, 1] and field.provenance["up_source"] == "frame"
    given = exported(up="0 1 0").provenance
    assert given["up_world"] == [0, 1, 0] and given["up_source"] == "given"
