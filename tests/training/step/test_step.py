"""One step of all tasks: terms, gradients, ablations, the refinement round, relevance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import training.step.step as step_module
from find_core.encoders import build_language
from find_core.model.attention_table import TokenGroup
from training.config import BankConfig, TrainConfig, override
from training.data.batches import Batches
from training.data.sources import open_sources
from training.data.text_cache import TextCache
from training.engine.build import build_module
from training.losses.relevance import image_truth, spread_truth, truths
from training.recipes import OFF
from training.step.class_bank import ClassBank, embed_names
from training.step.refine import corrective_click
from training.step.step import TrainStep
from training.step.targets import pick_targets
from training.truth import FALSE, TRUE, UNKNOWN

EVERY = ("grounding_chance=1", "interactive_chance=1", "refine=1", "retrieval_tokens=0.5")


def step_of(config: TrainConfig) -> tuple[TrainStep, Batches]:
    sources = open_sources(config.data)
    module = build_module(config, sources.knowledge, sources.names, sources.store.shape.channels)
    batches = Batches(
        sources.records, sources.store, sources.knowledge, config.data.batch, config.seed
    )
    return module, batches


@pytest.fixture
def full(config: TrainConfig) -> TrainConfig:
    return override(config, [f"losses.{s}" for s in EVERY])


def test_every_term_is_there_and_reaches_every_parameter(full: TrainConfig) -> None:
    module, batches = step_of(override(full, ["losses.segment_sees_queries=0"]))
    result = module(batches.batch(0), 0)
    masks = [f"{t}_{k}" for t in ("panoptic", "grounding", "interactive", "interleave")
             for k in ("ce", "bce", "dice")]  # fmt: skip
    others = ["retrieval", "retrieval_tokens", "interleave_itc", "interleave_semantic"]
    others += ["relevance", "alignment", "instances", "phrases_relevance", "phrases_alignment"]
    assert sorted(result.terms) == sorted(masks + others)
    assert sum(result.terms.values()) == pytest.approx(float(result.total), rel=1e-4)
    result.total.backward()
    dead = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_half_precision_of_the_interface_scores_as_full(
    full: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What GPUs do: every product of the interface in bf16, every loss in float32."""
    monkeypatch.setattr(step_module, "gains_all", lambda device: True)
    totals = {}
    for precision in ("fp32", "bf16"):
        module, batches = step_of(override(full, [f"precision={precision}"]))
        result = module(batches.batch(0), 0)
        result.total.backward()
        totals[precision] = result.terms
        assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
    assert totals["bf16"].keys() == totals["fp32"].keys()
    assert sum(totals["bf16"].values()) == pytest.approx(sum(totals["fp32"].values()), rel=0.1)


@pytest.mark.parametrize(
    ("task", "gone"),
    [
        ("grounding", TokenGroup.GROUNDING),
        ("interactive", TokenGroup.SEGMENT),
        ("interleave", TokenGroup.ENTITY),
    ],
)
def test_a_task_left_out_costs_nothing(full: TrainConfig, task: str, gone: TokenGroup) -> None:
    losses = dataclasses.replace(full.losses, **{task: OFF})
    if task == "interleave":
        losses = dataclasses.replace(losses, interleave_itc=0.0, relevance=0.0, alignment=0.0)
    module, batches = step_of(dataclasses.replace(full, losses=losses))
    result = module(batches.batch(0), 0)
    assert gone not in result.outputs[-1].pixel
    assert not any(name.startswith(f"{task}_") for name in result.terms)
    assert torch.isfinite(result.total)


def test_the_published_losses_run_too(full: TrainConfig) -> None:
    from training.config import LossConfig

    masks = dataclasses.replace(LossConfig().masks, num_points=64)
    module, batches = step_of(
        dataclasses.replace(full, losses=LossConfig(masks=masks), bank=BankConfig())
    )
    result = module(batches.batch(0), 0)
    result.total.backward()
    assert torch.isfinite(result.total) and "relevance" not in result.terms


def test_same_step_same_loss(full: TrainConfig) -> None:
    totals = []
    for _ in range(2):
        module, batches = step_of(full)
        torch.manual_seed(0)
        totals.append(float(module(batches.batch(3), 3).total))
    assert totals[0] == totals[1]


def test_corrective_clicks_go_to_the_larger_error() -> None:
    truth, answer = np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    truth[:, :6] = True
    answer[:3, :6] = True
    dot, positive = corrective_click(answer, truth)
    assert positive and not (dot & ~(truth & ~answer)).any()
    answer[:] = True
    dot, positive = corrective_click(answer, truth)
    assert not positive and not (dot & truth).any()
    assert corrective_click(truth, truth) is None


def test_targets_repeat_masks_per_text() -> None:
    masks = torch.rand(2, 3, 4, 4)
    targets = pick_targets(masks, [[(2, 0), (0, 0), (1, 1)], []])
    assert targets.label.tolist() == [[0, 0, 1], [0, 0, 0]] and targets.valid.sum() == 3
    torch.testing.assert_close(targets.masks[0, 0], masks[0, 2])


def test_truth_spreads_to_matched_proposals_only() -> None:
    truth = torch.tensor([[[TRUE, FALSE], [FALSE, UNKNOWN]]])  # one text, two pictures, two masks
    matched = torch.tensor([[2, 0], [1, -1]])
    spread = spread_truth(truth, matched, torch.tensor([[TRUE, FALSE]]), proposals=3)
    assert spread[0, 0].tolist() == [FALSE, UNKNOWN, TRUE]
    assert spread[0, 1].tolist() == [FALSE, FALSE, FALSE]


def test_truth_table_knows_present_and_absent(config: TrainConfig) -> None:
    _, batches = step_of(config)
    batch = batches.batch(1)
    where = [(b, n) for b, a in enumerate(batch.queries) for n in range(len(a.entities))]
    asked = [batch.queries[b].entities[n] for b, n in where]
    table = truths(asked, batch, batches.knowledge)
    seen = image_truth(table, batch)
    for t, (b, n) in enumerate(where):
        targets = batch.queries[b].entities[n].targets
        text = batch.queries[b].entities[n].text
        if text not in batches.knowledge.matches and not batch.queries[b].entities[n].is_visual:
            assert int(seen[t, b]) == UNKNOWN  # where a thing stands is no fact about it
            continue
        assert int(seen[t, b]) == (TRUE if targets else FALSE)
        for m in targets:
            assert int(table[t, b, m]) == TRUE


def test_bank_holds_the_present_the_fresh_and_the_remembered(config: TrainConfig) -> None:
    module, _ = step_of(config)
    texts = TextCache(build_language(config.model.language))
    bank = ClassBank(
        ["cup", "plate", "fork", "spoon"],
        BankConfig(max_names=4, fresh=1, fresh_present=True, max_age=5),
    )
    rng = np.random.default_rng(0)
    names, rows = bank.build(module.model, texts, ["cup", "cup"], 0, rng)
    assert names[0] == "cup" and names[-1] == "background" and len(names) == 3
    assert len(rows) == config.model.num_layers + 1 and rows[0].shape == (
        3,
        config.model.hidden_dim,
    )
    assert rows[-1].requires_grad
    names, rows = bank.build(module.model, texts, ["plate"], 3, rng)
    assert "cup" in names and len(names) <= 4
    names, _ = bank.build(module.model, texts, ["plate"], 90, rng)
    assert names.index("plate") == 0 and len(names) == 3  # everything remembered is too old


def test_bank_vectors_are_those_of_inference(config: TrainConfig) -> None:
    """What panoptic training calls a class is what `Find.classes` computes."""
    from find_core.encoders import build_vision
    from find_core.predictor import Find

    module, _ = step_of(config)
    texts = TextCache(build_language(config.model.language))
    with torch.no_grad():
        rows = embed_names(module.model, texts, ["cup", "background"])[-1]
    find = Find(
        module.model, build_vision(config.model.vision), build_language(config.model.language)
    )
    torch.testing.assert_close(rows, find.classes(["cup", "background"]), rtol=1e-2, atol=2e-2)


def test_the_first_steps_ask_for_objects_alone(full: TrainConfig) -> None:
    module, batches = step_of(override(full, ["losses.objects_first=2"]))
    early, later = module(batches.batch(1), 1), module(batches.batch(2), 2)
    assert set(early.outputs[-1].pixel) == {TokenGroup.OBJECT}
    assert TokenGroup.ENTITY in later.outputs[-1].pixel
    module.eval()  # validation asks everything from the start
    assert TokenGroup.ENTITY in module(batches.batch(0), 0).outputs[-1].pixel
