"""The viewer's panel and the pipeline that builds it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip(
    "nerfstudio", reason="nerfstudio is not installed (pip install find_ros[field])"
)

from find_core.errors import FieldError
from find_field.geometry.boxes import box_corners
from find_field.nerf.config import find_field_lite
from find_field.nerf.export import ExportConfig
from find_field.nerf.pipeline import FindFieldPipelineConfig
from find_field.nerf.trainer import FindFieldTrainer
from find_field.nerf.viewer import PromptPanel
from find_field.nerf.world_transform import WorldTransform
from tests.find_field.nerf.rays import rays


@pytest.fixture
def panel(model, oracle):
    """In the model's viewer, with nothing in 3D."""

    def locate(prompt, threshold):
        raise AssertionError("not asked for")

    panel = PromptPanel(model, oracle, locate)
    model.viewer_outputs = panel.outputs
    yield panel
    model.viewer_outputs = None


def test_panel_asks_and_says_what_is_wrong(model, oracle, panel):
    panel.find = SimpleNamespace(config=oracle.config, compile=lambda prompt: SimpleNamespace(
        entity_embeddings=np.eye(12, dtype=np.float32)[: len(prompt.entities)]))  # fmt: skip
    assert panel.ask("the <mug> by the <book>")
    model.eval()
    bundle = rays()
    with torch.no_grad():
        outputs = model.get_outputs(bundle)
    assert outputs["relevancy"].shape == (6, 1) and outputs["composited"].shape == (6, 3)
    want = torch.nn.functional.normalize(outputs["features"], dim=-1)[:, :2].amax(-1)
    config = oracle.config
    want = (config.relevance_scale * (want - config.relevance_bias)).sigmoid()
    torch.testing.assert_close(outputs["relevancy"][:, 0], want, atol=1e-5, rtol=1e-4)
    assert not panel.ask("the <mug") and "never closed" in panel.status
    assert relevancy_of(model, bundle).max() > 0  # half a prompt leaves the last whole one active
    assert not panel.ask("")
    assert relevancy_of(model, bundle).max() == 0


def relevancy_of(model, bundle):
    with torch.no_grad():
        return model.get_outputs(bundle)["relevancy"]


def test_a_picked_object_is_looked_for(model, oracle, panel):
    """The clicked ray itself is as relevant as can be; the query gets the same vector."""
    model.train()
    bundle = rays(1)
    bundle.nears = bundle.fars = None  # as the viewer's: the model sets its own
    panel.look_for_ray(bundle.origins[0].tolist(), (3 * bundle.directions[0]).tolist())
    assert model.training and "picked" in panel.status
    model.eval()
    with torch.no_grad():
        outputs = model(bundle)
    config = oracle.config
    most = torch.tensor(config.relevance_scale * (1 - config.relevance_bias)).sigmoid()
    assert float(outputs["relevancy"]) == pytest.approx(float(most), abs=1e-4)
    vector = panel._prompt.entity_embeddings
    own = torch.nn.functional.normalize(outputs["features"], dim=-1) @ model.basis.T
    np.testing.assert_allclose(vector, own.numpy(), atol=1e-4)
    assert [e.label for e in panel._prompt.prompt.entities] == ["picked"]


def make_pipeline(manager, **model):
    """The whole pipeline, untrained, on the exact sequence."""
    config = FindFieldPipelineConfig(
        datamanager=manager.config, model=replace(find_field_lite.config.pipeline.model, **model)
    )
    return config.setup(device="cpu", test_mode="inference")


@pytest.fixture
def pipeline(manager):
    return make_pipeline(manager)


def test_the_prompt_of_ns_train_is_asked(manager, capsys, tmp_path):
    """In the pictures that ns-render makes, in a checkpoint's own basis; and of the field."""
    torch.manual_seed(3)
    bundle, pipeline = rays(), make_pipeline(manager, prompt="the <red box>")
    assert pipeline.panel.prompt.value == "the <red box>"
    pipeline.eval()
    asked = relevancy_of(pipeline.model, bundle)
    state = {f"_model.{name}": value for name, value in pipeline.model.state_dict().items()}
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0].astype(np.float32)
    turned = state["_model.basis"] @ torch.from_numpy(turn)
    pipeline.load_pipeline(state | {"_model.basis": turned}, 1)
    direct = make_pipeline(manager)
    direct.load_pipeline(state | {"_model.basis": turned}, 1)
    direct.eval()
    assert relevancy_of(direct.model, bundle).max() == 0
    assert direct.panel.ask("the <red box>")
    got, want = relevancy_of(pipeline.model, bundle), relevancy_of(direct.model, bundle)
    torch.testing.assert_close(got, want)
    assert (got - asked).abs().max() > 1e-7
    pipeline.config.export = ExportConfig(
        voxel_size_m=10, min_accumulation=0, min_cosine=0, max_depth_m=1e6
    )
    pipeline._write(tmp_path / "scene.field")
    assert "red box" in capsys.readouterr().out.split("Up is")[1]


@pytest.mark.parametrize("prompt", ["the <red box", ""])
def test_a_prompt_that_cannot_be_asked_is_refused_before_training(manager, prompt, capsys):
    with pytest.raises(FieldError, match="cannot be asked"):
        make_pipeline(manager, prompt=prompt)
    trainer = FindFieldTrainer.__new__(FindFieldTrainer)
    trainer.device, trainer.world_size, trainer.local_rank = "cpu", 1, 0
    trainer.grad_scaler = None
    model = replace(find_field_lite.config.pipeline.model, prompt=prompt)
    pipeline = FindFieldPipelineConfig(datamanager=manager.config, model=model)
    trainer.config = SimpleNamespace(pipeline=pipeline)
    with pytest.raises(SystemExit) as ended:
        trainer.setup()
    assert ended.value.code == 2 and "ns-train: The prompt" in capsys.readouterr().out


def test_pipeline_connects_panel_model_and_field(pipeline, oracle):
    from nerfstudio.viewer.utils import parse_object
    from nerfstudio.viewer.viewer_elements import ViewerControl, ViewerElement

    shown = {element.name for _, element in parse_object(pipeline, ViewerElement, "Custom")}
    assert {"Prompt", "Reference", "Threshold", "Locate in 3D", "Answer"} <= shown
    controls = parse_object(pipeline, ViewerControl, "Custom")
    assert [control for _, control in controls] == [pipeline.panel.control]
    assert not [key for key in pipeline.state_dict() if "panel" in key]
    pipeline.eval()
    assert pipeline.panel.ask("the <red box>")
    with torch.no_grad():
        assert {"relevancy", "composited"} <= set(pipeline.model.get_outputs(rays()))
    # Untrained, its surface is anywhere.
    pipeline.config.export = ExportConfig(
        voxel_size_m=10, min_accumulation=0, min_cosine=0, max_depth_m=1e6
    )
    hits, transform = pipeline.panel.locate("red box", 0.5)
    assert hits.frame == "map" and [e.label for e in hits.entities] == ["red box"]
    assert transform.scale == pipeline.world_transform.scale != 1.0


def test_hits_are_drawn_where_they_are_in_the_trained_frame(oracle, room, panel):
    transform = WorldTransform(np.array([[0.0, -1, 0, 0.1], [1, 0, 0, 0], [0, 0, 1, -0.2]]), 2.5)
    drawn, removed = {}, []

    def handle(name, *args, **kwargs):
        drawn[name] = args, kwargs
        return SimpleNamespace(remove=lambda: removed.append(name))

    scene = SimpleNamespace(add_label=handle, add_spline_catmull_rom=handle)
    panel.control.viser_server = SimpleNamespace(scene=scene)
    panel._prompt = "red box"
    panel.locate = lambda prompt, threshold: (
        room.query(prompt, oracle, threshold=threshold),
        transform,
    )
    hit = panel.draw_hits()[0]
    (path,), _ = drawn["/find/0/box"]
    want = [10 * 2.5 * (transform.M[:, :3] @ corner + transform.M[:, 3])
            for corner in box_corners(hit.T_world_object, hit.extent_m)]  # fmt: skip
    edges = {tuple(sorted(np.abs(want - p).sum(1).argmin() for p in pair))
             for pair in itertools.pairwise(path)}  # fmt: skip
    assert edges == {(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit}
    for point in path:
        assert np.abs(want - point).sum(1).min() < 1e-6
    assert panel.status.startswith("1 found: red box")
    count = len(drawn)
    panel.draw_hits()
    assert len(removed) == count == 2  # old boxes go
    panel.ask("")
    assert len(removed) == 4  # also with their question
