"""What a run leaves: FIND-Bench's file, and a report of what was taken, what was refused and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from training.data_engine.check import REASONS, parse_sentence
from training.data_engine.images import Item
from training.data_engine.run import Run, Story

EXAMPLES = 3


def entity_file(run: Run, items: Sequence[Item], by: str, seed: int) -> dict[str, Any]:
    """`entity_<split>.json`: images in the data set's order, each with its sentences.

    Offsets are characters of `sentence`; `start_idx` and `_start_idx` are equal here, `end_idx` is
    exclusive.
    """
    images, annotations = [], []
    for item in items:
        accepted = run.stories[item.image_id].accepted
        if accepted:
            images.append({"id": item.image_id, "file_name": item.image.key})
        annotations += [annotation_of(item.image_id, raw) for raw in accepted]
    provenance = {
        "sentences_by": f"{by}; made by this project's data engine, not FIND-Bench's",
        "seed": seed, "images_asked": len(items), "checked": sorted(REASONS),
    }  # fmt: skip
    return {"provenance": provenance, "images": images, "annotations": annotations}


def annotation_of(image_id: int, raw: str) -> dict[str, Any]:
    """One sentence in FIND-Bench's form."""
    sentence = parse_sentence(raw)
    return {
        "image_id": image_id, "sentence": sentence.plain, "sentence_raw": sentence.raw,
        "phrase": [
            {"annotation_id": p.segment_id, "phrase": p.text, "start_idx": p.start,
             "_start_idx": p.start, "end_idx": p.end}
            for p in sentence.phrases
        ],
    }  # fmt: skip


def report(run: Run, items: Sequence[Item], by: str, data: str) -> str:
    """Markdown; the same for the same journal, whoever worked on it."""
    stories = [(item, run.stories[item.image_id]) for item in items]
    told = [s for _, s in stories if s.accepted]
    waiting = [i for i, s in stories if not s.accepted and not s.attempts]
    without = [(i, s) for i, s in stories if not s.accepted and s.attempts]
    lines = [
        f"# Sentences about {data}", "", f"Written by {by}.", "",
        *([f"**Not finished: {run.stopped}.** The same command with wider limits goes on.", ""] if run.stopped else []),
        "| what | number |", "|---|---|",
        f"| images | {len(items)} |", f"| with a sentence | {len(told)} |",
        f"| asked, without one | {len(without)} |", f"| not asked yet | {len(waiting)} |",
        *_sizes(stories),
        f"| requests | {run.budget.requests} |",
        f"| tokens asked, answered | {run.budget.asked}, {run.budget.answered} |",
        f"| cost by the given prices | {run.budget.cost:.4f} |", "",
        "## Refused", "", *_refused(stories), "",
        "## Images without a sentence", "", *_without(without),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _sizes(stories: Sequence[tuple[Item, Story]]) -> list[str]:
    """Rows on sentences, phrases and the share of labelled segments that are named."""
    sentences = [(item, parse_sentence(raw)) for item, s in stories for raw in s.accepted]
    phrases = sum(len(s.phrases) for _, s in sentences)
    named = {(item.image_id, p.segment_id) for item, s in sentences for p in s.phrases}
    segments = sum(len(item.image.segments) for item, s in stories if s.accepted)
    words = sum(len(s.plain.split()) for _, s in sentences)
    count = max(1, len(sentences))
    return [
        f"| sentences | {len(sentences)} |", f"| marked phrases | {phrases} |",
        f"| phrases a sentence | {phrases / count:.2f} |", f"| words a sentence | {words / count:.1f} |",
        f"| segments named, of those of these images | {len(named)} of {segments} |",
    ]  # fmt: skip


def _refused(stories: Sequence[tuple[Item, Story]]) -> list[str]:
    """A table of reasons, and examples of each."""
    found = [(item.image_id, r) for item, s in stories for r in s.refused]
    if not found:
        return ["Nothing."]
    counts = Counter(r.reason for _, r in found)
    lines = ["| reason | sentences | means |", "|---|---|---|"]
    lines += [f"| {k} | {n} | {REASONS[k]} |" for k, n in sorted(counts.items(), key=lambda p: (-p[1], p[0]))]  # fmt: skip
    for reason in sorted(counts):
        lines += ["", f"**{reason}**", ""]
        some = sorted(
            (image, r.detail, r.text) for image, r in found if r.reason == reason
        )[:EXAMPLES]  # fmt: skip
        lines += [f"- image {image}: {_quoted(detail)}{f' in {_quoted(text)}' if text else ''}" for image, detail, text in some]  # fmt: skip
    return lines


def _without(without: Sequence[tuple[Item, Story]]) -> list[str]:
    lines = []
    for item, story in without[:50]:
        counts = Counter(r.reason for r in story.refused)
        why = ", ".join(f"{k} ({n})" for k, n in sorted(counts.items())) or "nothing to say of it"
        lines.append(f"- {item.image_id} ({item.image.key}): {why}")
    if len(without) > 50:
        lines.append(f"- and {len(without) - 50} more")
    return lines or ["None."]


def _quoted(text: str) -> str:
    """Text of others as code, so that it is no Markdown."""
    return "`" + " ".join(text.split()).replace("`", "'")[:200] + "`"
