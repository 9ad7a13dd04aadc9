"""Grounded segmentation: RefCOCO/+/g, COCO-Entity and COCO-Paragraph, by text or interleaved.

cIoU, mIoU and precision at IoU .5 to .9 over phrases (docs/spec.md 3.5). Interleaved: each phrase is
shown with probability one half by a stroke on its own segment, as published; which ones is drawn
from the seed and the image's id, and stored with the report.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt, PromptEntity, Reference
from find_core.prompts.region import Region
from training.data.queries.strokes import draw_stroke
from training.evaluation.bench import sources
from training.evaluation.bench.cases import truth_and_answer
from training.evaluation.bench.figures import MaskSums
from training.evaluation.bench.model import Hint, localize_by_parts, require, tell
from training.evaluation.bench.options import Options, Outcome

VISUAL_PROBABILITY = 0.5
REFERRING_SPLIT = "val"


def run_referring(model: Any, options: Options, every_sentence: bool = False) -> Outcome:
    """RefCOCO, RefCOCO+ or RefCOCOg: one sentence, one object."""
    images = sources.referring_images(
        options.root, options.split or REFERRING_SPLIT, every_sentence
    )
    which = "every sentence" if every_sentence else "the first sentence"
    return _run(model, options, "bench-refcoco", images, False, f"Asked is {which} of each object.")


def run_entities(model: Any, options: Options, which: str, interleaved: bool = False) -> Outcome:
    """COCO-Entity ("entity") or COCO-Paragraph ("paragraph")."""
    images = sources.entity_images(options.root, options.split or "val2017", which, options.file)
    suite = f"bench-{which}" + ("-interleaved" if interleaved else "")
    note = (
        f"Each phrase is a stroke on its own segment with probability {VISUAL_PROBABILITY}, seed "
        f"{options.seed}; the choice is stored."
        if interleaved else "Every phrase is text."
    )  # fmt: skip
    return _run(model, options, suite, images, interleaved, note)


def _run(
    model: Any, options: Options, suite: str, images: Sequence[sources.SpokenImage],
    interleaved: bool, note: str,
) -> Outcome:  # fmt: skip
    ways = [["localize"], ["ground", "interact"] if interleaved else ["ground"]]
    if not interleaved:
        ways.reverse()  # phrases are what `ground` is for
    way = require(model, suite, *ways)
    notes = [note]
    if interleaved and "localize" not in way:
        notes.append("Words and strokes were asked apart: the model takes no interleaved prompt.")
    sums = {"all": MaskSums()} | ({"text": MaskSums(), "visual": MaskSums()} if interleaved else {})
    chosen: dict[str, list[int]] = {}
    images = images[: options.limit]
    for n, item in enumerate(images):
        image, mask_of = item.read()
        for sentence in item.sentences:
            prompt = Prompt.parse(sentence.markup)
            masks = [mask_of(number) for number in sentence.ids]
            if interleaved:
                prompt, visual = shown_by_chance(prompt, image, masks, options.seed, item.image_id)
                chosen[item.key] = [int(v) for v in visual]
            found = answer(model, way, image, prompt, masks)
            _count(sums, options, item.key, image, prompt, masks, found)
        options.progress(n + 1, len(images))
    figures = {k: v.metrics() for k, v in sums.items() if v.answers}
    drawn = {"seed": options.seed, "visual": chosen} if interleaved else {}
    return Outcome(figures, tuple(notes), drawn)


def shown_by_chance(
    prompt: Prompt, image: np.ndarray, masks: Sequence[np.ndarray], seed: int, image_id: int
) -> tuple[Prompt, list[bool]]:
    """The prompt with some of its phrases shown by strokes, and which: the same for every model."""
    rng = np.random.default_rng((seed, image_id))
    visual = [bool(rng.random() < VISUAL_PROBABILITY) and bool(m.any()) for m in masks]
    strokes = [draw_stroke(m, rng) if v else None for m, v in zip(masks, visual, strict=True)]
    parts: list[str | PromptEntity] = []
    k = 0
    for part in prompt.parts:
        if isinstance(part, PromptEntity):
            stroke = strokes[k]
            k += 1
            if stroke is not None:
                part = PromptEntity(part.label, Reference(image, Region.mask(stroke)))
        parts.append(part)
    return Prompt(tuple(parts)), visual


def answer(
    model: Any, way: Sequence[str], image: np.ndarray, prompt: Prompt, masks: Sequence[np.ndarray]
) -> np.ndarray:
    """(E, H, W) bool, asked in the way that the model has.

    Raises:
        FindError: the model answered with another number of masks or of another size.
    """
    hint = Hint(tuple(masks))
    if way == ("localize",):
        tell(model, hint)
        found = model.localize(image, prompt)
    elif way == ("ground",):
        tell(model, hint)
        found = model.ground(image, [e.label for e in prompt.entities])
    else:
        found = localize_by_parts(model, image, prompt, hint)
    if found.shape != (len(masks), *image.shape[:2]) or found.dtype != np.bool_:
        raise FindError(
            f"{model.name} answered {found.dtype} masks of shape {found.shape} for {len(masks)} "
            f"phrases of an image {image.shape[1]}x{image.shape[0]}: it must give (E, H, W) bool."
        )
    return found


def _count(
    sums: dict[str, MaskSums], options: Options, key: str, image: np.ndarray, prompt: Prompt,
    masks: Sequence[np.ndarray], found: np.ndarray,
) -> None:  # fmt: skip
    ious = []
    for entity, truth, mask in zip(prompt.entities, masks, found, strict=True):
        ious.append(sums["all"].add(key, mask, truth))
        if len(sums) > 1:
            sums["visual" if entity.is_visual else "text"].add(key, mask, truth)
    labels = [e.label + (" (shown)" if e.is_visual else "") for e in prompt.entities]
    strokes = [e.reference.mask for e in prompt.entities if e.reference is not None]
    draw = functools.partial(truth_and_answer, image, labels, masks, list(found), strokes)
    mean = float(np.mean(ious))
    options.cases.add(mean, f"{key}: mIoU {mean:.2f}, {prompt.text}", draw)
