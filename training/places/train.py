"""Train the judge of places.

    python -m training.places.train --scenes DATA/tabletop --out places.safetensors --json figures.json

Nothing is rendered and no image model runs: scenes' poses are seen from cameras drawn anew, besides
layouts drawn at random; masks and points err as a detector and a field would. One CPU core needs
some minutes. The file belongs beside a checkpoint's weights.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from find_core.encoders.base import LanguageConfig, LanguageEncoder
from find_core.encoders.registry import build_language
from find_core.images import read_labels
from find_core.places.geometry import small_masks
from find_core.places.judge import JudgeSizes, PlaceJudge
from find_core.places.store import save_places
from find_core.support.command_line import whole
from find_core.support.files import write_text
from find_core.support.json_text import figures_text
from training.engine.command import ends_in_a_sentence
from training.places.examples import Question, ReadSentence, collate, question, read_sentences
from training.places.layouts import at_random, of_scene
from training.places.learning import figures, loss_of
from training.places.sentences import held_sentences, training_sentences
from training.places.views import View, any_camera, own_camera, view_of
from training.tabletop.format import part_path

TWO, THREE = 128, 32
"""Questions of two and of three entities in a step."""


def read_scenes(folder: Path, limit: int | None = None) -> list[dict]:
    """Scenes of a split in order, also of one that is still being rendered; each with its folder."""
    paths = sorted(part_path(folder, 0).parent.glob("*.json"))[:limit]
    return [json.loads(p.read_text(encoding="utf-8")) | {"folder": str(folder)} for p in paths]


def views_of_scenes(scenes: Sequence[dict], cameras: int, rng: np.random.Generator) -> list[View]:
    """Each scene through its own camera, with its true masks, and through others."""
    views = []
    for scene in scenes:
        things = of_scene(scene, rng)
        path = Path(scene["folder"]) / f"{scene['index']:06d}.png"
        if path.is_file():
            ids = read_labels(path)
            masks = small_masks([ids == t.number for t in things])
            views.append(view_of(things, own_camera(scene), rng, masks))
        views += [view_of(things, any_camera(things, rng), rng) for _ in range(cameras)]
    return [v for v in views if v is not None]


def random_views(count: int, rng: np.random.Generator) -> list[View]:
    """Layouts drawn at random, each through two cameras."""
    views = []
    for _ in range(count // 2):
        things = at_random(rng)
        views += [view_of(things, any_camera(things, rng), rng) for _ in range(2)]
    return [v for v in views if v is not None]


def train(
    judge: PlaceJudge,
    sentences: Sequence[ReadSentence],
    views: Sequence[View],
    steps: int,
    seed: int,
    progress: bool = True,
) -> list[float]:
    """Teach `judge`; returns the loss of every step."""
    rng = np.random.default_rng(seed)
    normalise(judge, views)
    by_size = {n: [s for s in sentences if len(s.sentence.letters) == n] for n in (2, 3)}
    by_claim = {n: grouped(part) for n, part in by_size.items()}
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.1)
    losses = []
    judge.train()
    for step in range(steps):
        parts = [(n, many) for n, many in ((2, TWO), (3, THREE)) if by_size[n]]
        loss = torch.zeros(())
        for count, many in parts:
            batch = collate(draw_questions(by_claim[count], views, many, rng), rng)
            loss = loss + loss_of(judge, batch) * many / (TWO + THREE)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if progress and (step + 1) % 100 == 0:
            mean = np.mean(losses[-100:])
            print(f"\rstep {step + 1}/{steps} loss {mean:.3f}", end="", file=sys.stderr, flush=True)
    judge.eval()
    return losses


def normalise(judge: PlaceJudge, views: Sequence[View]) -> None:
    """Means and spreads of the geometry's numbers, where they are known."""
    some = views[:: max(len(views) // 1000, 1)]
    rows = np.concatenate([v.features_NNF[np.ix_(v.seen_N, v.seen_N)].reshape(-1, v.features_NNF.shape[-1]) for v in some])  # fmt: skip
    rows = rows.astype(np.float64)
    judge.feature_mean.copy_(torch.from_numpy(rows.mean(0)))
    judge.feature_scale.copy_(torch.from_numpy(rows.std(0) + 0.05))


def grouped(sentences: Sequence[ReadSentence]) -> list[list[ReadSentence]]:
    """By their first claim's relation, so that every relation is drawn as often as the others."""
    groups: dict[str, list[ReadSentence]] = {}
    for read in sentences:
        claims = read.sentence.claims
        groups.setdefault(claims[0][0] if claims else "", []).append(read)
    return list(groups.values())


def draw_questions(groups: Sequence[Sequence[ReadSentence]], views: Sequence[View], count: int,
                   rng: np.random.Generator) -> list[Question]:  # fmt: skip
    """So many questions: a relation, a sentence of it and a view, each at random."""
    out: list[Question] = []
    while len(out) < count:
        group = groups[int(rng.integers(len(groups)))]
        read = group[int(rng.integers(len(group)))]
        asked = question(read, views[int(rng.integers(len(views)))], rng)
        if asked is not None:
            out.append(asked)
    return out


def measured(judge: PlaceJudge, trained: Sequence[ReadSentence], held: Sequence[ReadSentence],
             views: Sequence[View], seed: int = 1, count: int = 3000) -> dict:  # fmt: skip
    """Figures on views that training never saw: of sentences it saw, and of parts it never saw."""
    out: dict = {}
    by_novelty: dict[str, list[ReadSentence]] = {"": list(trained)}
    for read in held:
        by_novelty.setdefault(read.sentence.novel, []).append(read)
    for novel, sentences in by_novelty.items():
        two = [s for s in sentences if len(s.sentence.letters) == 2 and s.sentence.claims]
        questions = draw_questions(grouped(two), views, count, np.random.default_rng(seed))
        name = f"new {novel}" if novel else "words of training"
        out[name] = {known: figures(judge, questions, known) for known in ("image", "metric")}
        relations: dict = {}
        for q in questions:
            relations.setdefault(q.read.sentence.claims[0][0], []).append(q)
        for relation, part in sorted(relations.items()):
            both = {known: figures(judge, part, known) for known in ("image", "metric")}
            out[name].setdefault("by relation", {})[relation] = both
        three = [s for s in sentences if len(s.sentence.letters) == 3 and s.sentence.claims]
        if not three:
            continue
        questions = draw_questions(grouped(three), views, count // 4, np.random.default_rng(seed))
        out[name]["three entities"] = {
            known: figures(judge, questions, known) for known in ("image", "metric")
        }
    return out


def run(args: argparse.Namespace, language: LanguageEncoder, config: LanguageConfig) -> dict:
    """Train, measure, write; returns the figures."""
    rng = np.random.default_rng(args.seed)
    trained, held = training_sentences(rng), held_sentences(rng)
    sentences, others = read_sentences(trained, language), read_sentences(held, language)
    scenes = read_scenes(args.scenes / "train", args.limit) if args.scenes else []
    kept, aside = scenes[len(scenes) // 10 :], scenes[: len(scenes) // 10]
    views = views_of_scenes(kept, args.cameras, rng) + random_views(args.layouts, rng)
    unseen = views_of_scenes(aside, 1, rng) + random_views(max(args.layouts // 10, 4), rng)
    print(f"{len(sentences)} sentences, {len(views)} views, {len(unseen)} for measuring", file=sys.stderr)  # fmt: skip
    torch.manual_seed(args.seed)
    judge = PlaceJudge(JudgeSizes(token_width=sentences[0].states.shape[1]))
    losses = train(judge, sentences, views, args.steps, args.seed)
    notes = {"script": "python -m training.places.train", "seed": args.seed, "steps": args.steps,
             "scenes": len(kept), "layouts": args.layouts, "sentences": len(trained)}  # fmt: skip
    save_places(args.out, judge, config, notes)
    figures_of = measured(judge, sentences, others, unseen, count=args.questions)
    return notes | {"loss": round(float(np.mean(losses[-100:])), 4), "figures": figures_of}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, help="folder of rendered scenes (its train split)")
    parser.add_argument("--out", type=Path, required=True, help="places.safetensors to write")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--language", default="minilm", help="the frozen language model")
    parser.add_argument("--limit", type=whole(1), help="only so many scenes")
    parser.add_argument("--layouts", type=whole(), default=6000, help="views of random layouts")
    parser.add_argument("--cameras", type=whole(), default=3, help="further cameras of each scene")
    parser.add_argument("--steps", type=whole(1), default=4000)
    parser.add_argument(
        "--questions", type=whole(1), default=3000, help="to measure with, of each kind"
    )
    parser.add_argument("--seed", type=whole(), default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    with ends_in_a_sentence("training.places.train"):
        config = LanguageConfig(args.language)
        result = run(args, build_language(config), config)
        text = figures_text(result, indent=1) + "\n"
        if args.json:
            write_text(args.json, text)
        print(text)


if __name__ == "__main__":
    main()
