"""What the tasks ask about an image: phrases, strokes, an interleaved sentence, a caption.

Entities of the interleaved sentence become references with p = 0.5, shown in *another* image of
the batch where one holds the same object. Some entities are of objects that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from find_core.prompts.prompt import PLACEHOLDER, Prompt, PromptEntity
from training.data.derived.references import is_reference
from training.data.formats.records import InstanceLabel, LabelKind, Record, mirror_text
from training.data.queries.config import (
    EntityQuery,
    PhraseQuery,
    QueryConfig,
    QuerySample,
    StrokeQuery,
)
from training.data.queries.label_knowledge import LabelKnowledge, same_object
from training.data.queries.paraphrase import JOINTS, MAX_WORDS, STARTS
from training.data.queries.strokes import draw_stroke
from training.data.sample import LabelledImage
from training.truth import FALSE, TRUE


def sample_queries(
    images: Sequence[LabelledImage],
    knowledge: LabelKnowledge,
    config: QueryConfig,
    rng: np.random.Generator,
    references: Sequence[LabelledImage] = (),
) -> list[QuerySample]:
    """What is asked of every image; `references` are at hand to refer to, beside the images."""
    queries = []
    every = [*images, *references]
    for b, image in enumerate(images):
        sample = QuerySample(caption=_caption(image, rng))
        phrases = visible_phrases(image)
        picks = [phrases[i] for i in rng.permutation(len(phrases))]
        ambiguous = [p for p in picks if p.ambiguous][: config.max_phrases // 2]
        if ambiguous and rng.random() < config.alike:
            picks = ambiguous + [p for p in picks if p not in ambiguous]
        sample.phrases = picks[: config.max_phrases]
        sample.prompts = _prompts(image, config, rng)
        _interleave(sample, b, every, phrases, knowledge, config, rng)
        queries.append(sample)
    return queries


def visible_phrases(image: LabelledImage) -> list[PhraseQuery]:
    """The record's phrases that still hold in this view, once per text."""
    place = {k: m for m, k in enumerate(image.visible)}
    phrases: dict[str, PhraseQuery] = {}
    for phrase in image.record.phrases:
        targets = tuple(place[k] for k in phrase.instances if k in place)
        spatial = phrase.kind in ("relation", "instruction")
        if not targets or (spatial and not image.complete):
            continue  # what a relation leans on may be outside the crop
        text = mirrored_text(phrase.text, image)
        ambiguous = is_ambiguous(phrase.kind, image.instances, targets)
        whole = phrase.kind == "instruction"
        phrases.setdefault(text, PhraseQuery(text, targets, spatial, ambiguous, whole))
    return list(phrases.values())


def is_ambiguous(kind: str, instances: Sequence[InstanceLabel], targets: Sequence[int]) -> bool:
    """Does a phrase of that kind pick among objects of one kind by where they are?"""
    return kind == "relation" and has_lookalike(instances, targets)


def has_lookalike(instances: Sequence[InstanceLabel], targets: Sequence[int]) -> bool:
    """Is something else of the same kind in view?"""
    kinds = {instances[m].kind for m in targets}
    return any(i.kind in kinds for m, i in enumerate(instances) if m not in targets)


def mirrored_text(text: str, image: LabelledImage) -> str:
    """Left and right change places in a mirrored view."""
    return mirror_text(text) if image.view.mirrored else text


def _caption(image: LabelledImage, rng: np.random.Generator) -> str | None:
    captions = image.record.captions
    if not captions or not (image.complete or image.record.is_photograph):
        return None
    return mirrored_text(captions[int(rng.integers(len(captions)))], image)


def _prompts(
    image: LabelledImage, config: QueryConfig, rng: np.random.Generator
) -> list[StrokeQuery]:
    # A stroke means one object: merged regions and boxes do not say whose pixels are whose.
    single = [m for m, i in enumerate(image.instances) if i.label_kind is LabelKind.MASK]
    count = min(len(single), int(rng.integers(1, config.max_prompts + 1)))
    chosen = rng.permutation(single)[:count]
    return [StrokeQuery(draw_stroke(image.mask(int(m)), rng), int(m)) for m in chosen]


def _interleave(
    sample: QuerySample, b: int, images: Sequence[LabelledImage], phrases: list[PhraseQuery], knowledge: LabelKnowledge,
    config: QueryConfig, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Fill in the sentence, its entities and their spans."""
    parts = among_lookalikes(phrases, config, rng)
    if sum(isinstance(p, EntityQuery) for p in parts) == 1 and rng.random() < 0.5:
        others = _composed(phrases, _elsewhere(b, images), config, rng)
        parts += [str(rng.choice(JOINTS)), *others]
    if not parts and rng.random() < config.written:
        parts = _written(images[b], rng) or []
    parts = parts or _composed(phrases, _elsewhere(b, images), config, rng)
    if rng.random() < config.absent or not parts:
        absent = _absent(b, images, knowledge, config, rng)
        if absent is not None:
            parts = _insert(parts, absent, rng)
    count = 0
    for part in parts:
        if isinstance(part, str):
            sample.sentence += part
            continue
        if count and len(f"{sample.sentence} {part.text}".split()) > MAX_WORDS:
            break
        count += 1
        # An image cannot say which of two look-alikes is meant; only the words about places can.
        may_show = bool(part.targets) and not part.ambiguous
        if count <= config.max_entities and may_show and rng.random() < config.visual:
            part = _shown(part, b, images, config, rng) or part
        words = PLACEHOLDER if part.is_visual else part.text
        if count <= config.max_entities:
            sample.spans.append((len(sample.sentence), len(sample.sentence) + len(words)))
            sample.entities.append(part)
        sample.sentence += words


def among_lookalikes(
    phrases: list[PhraseQuery], config: QueryConfig, rng: np.random.Generator
) -> list[str | EntityQuery]:
    """ "the <mug left of the plate>" where there are two mugs. Names would not do there."""
    ambiguous = [p for p in phrases if p.ambiguous]
    if not ambiguous or rng.random() >= config.alike:
        return []
    count = min(len(ambiguous), int(rng.integers(1, config.alike_phrases + 1)))
    parts: list[str | EntityQuery] = []
    for n, i in enumerate(rng.permutation(len(ambiguous))[:count]):
        before = str(rng.choice(JOINTS if n else ("", *STARTS)))
        parts += [before, EntityQuery(ambiguous[i].text, ambiguous[i].targets, ambiguous=True)]
    return [part for part in parts if part]


def _written(image: LabelledImage, rng: np.random.Generator) -> list[str | EntityQuery] | None:
    """A sentence of the record whose entities are all in view."""
    place = {k: m for m, k in enumerate(image.visible)}
    fit = [s for s in image.record.sentences if all(k in place for e in s.entities for k in e)]
    if not fit:
        return None
    chosen = fit[int(rng.integers(len(fit)))]
    targets = iter(chosen.entities)
    parts: list[str | EntityQuery] = []
    for part in Prompt.parse(mirrored_text(chosen.markup, image)).parts:
        if isinstance(part, PromptEntity):
            parts.append(EntityQuery(part.label, tuple(place[k] for k in next(targets))))
        else:
            parts.append(part)
    return parts


def _elsewhere(b: int, images: Sequence[LabelledImage]) -> set[int]:
    """Instances of image `b` whose very object is in another image of the batch."""
    others = {i.asset for o, p in enumerate(images) if o != b for i in p.instances if not i.stuff}
    return {m for m, i in enumerate(images[b].instances) if i.asset in others - {None}}


def _composed(
    phrases: list[PhraseQuery], elsewhere: set[int], config: QueryConfig, rng: np.random.Generator
) -> list[str | EntityQuery]:
    """Some phrases side by side, or one alone, as people type them.

    Objects that another image of the batch can show come more often.
    """
    bonus = [0.6 * (p.targets[0] in elsewhere) for p in phrases]
    order = np.argsort(rng.random(len(phrases)) - np.array(bonus)).tolist()
    if order and phrases[order[0]].whole:
        whole = phrases[order[0]]
        return [EntityQuery(whole.text, whole.targets)]
    order = [i for i in order if not phrases[i].whole]
    count = min(len(order), int(rng.choice([1, 1, 2, 3, 4])), config.max_entities)
    start = str(rng.choice(("", *STARTS)))
    parts: list[str | EntityQuery] = []
    for n, i in enumerate(order[:count]):
        parts.append(str(rng.choice(JOINTS)) if n else start)
        words = phrases[i].text
        if rng.random() < 0.15:
            words = f"the {words}"
        parts.append(EntityQuery(words, phrases[i].targets, ambiguous=phrases[i].ambiguous))
    return [p for p in parts if not isinstance(p, str) or p]


def _insert(
    parts: list[str | EntityQuery], absent: EntityQuery, rng: np.random.Generator
) -> list[str | EntityQuery]:
    """An absent object alone, before or after the others."""
    draw = rng.random()
    if not parts or draw < 0.35:
        return [str(rng.choice(STARTS)), absent]
    if draw < 0.7:
        return [*parts, str(rng.choice([" and the ", ", "])), absent]
    return ["the ", absent, str(rng.choice([" and ", ", "])), *parts]


def _absent(
    b: int,
    images: Sequence[LabelledImage],
    knowledge: LabelKnowledge,
    config: QueryConfig,
    rng: np.random.Generator,
) -> EntityQuery | None:
    """Something known not to be in image `b`: words, or a reference into another image."""
    here = images[b].record
    if (
        config.untrue
        and here.false_relations
        and images[b].complete
        and rng.random() < config.untrue
    ):
        return EntityQuery(
            mirrored_text(
                here.false_relations[int(rng.integers(len(here.false_relations)))], images[b]
            ),
            (),
        )
    if rng.random() < config.visual:
        return _absent_reference(b, images, knowledge, config, rng)
    texts = list(here.absent) if rng.random() < 0.7 else []
    texts = texts or [
        t.text for other in images for t in other.record.phrases if t.kind != "relation"
    ]
    for i in rng.permutation(len(texts))[:8]:
        text = mirrored_text(texts[i], images[b])
        if here.absent and texts[i] in here.absent:
            return EntityQuery(text, ())
        if here.exhaustive and all(knowledge.truth(text, x) == FALSE for x in here.instances):
            return EntityQuery(text, ())
    return None


def _absent_reference(
    b: int, images: Sequence[LabelledImage], knowledge: LabelKnowledge, config: QueryConfig,
    rng: np.random.Generator,
) -> EntityQuery | None:  # fmt: skip
    here: Record = images[b].record
    for other in rng.permutation(len(images)):
        for m in rng.permutation(len(images[other].visible))[:4]:
            shown = images[other].instances[m]
            if shown.stuff or not _is_absent(shown, here, knowledge):
                continue
            region = _region(images[other], int(m), config, rng)
            if region is not None:
                return EntityQuery(PLACEHOLDER, (), int(other), region, shown)
    return None


def _is_absent(shown: InstanceLabel, here: Record, knowledge: LabelKnowledge) -> bool:
    """Is nothing in the image the object, or of the class, that a reference shows?"""
    if shown.source == here.source and shown.name in here.absent:
        return True
    if not here.exhaustive:
        return False
    return all(knowledge.same_object(shown, x) == FALSE for x in here.instances)


def _shown(
    entity: EntityQuery, b: int, images: Sequence[LabelledImage], config: QueryConfig,
    rng: np.random.Generator,
) -> EntityQuery | None:  # fmt: skip
    """The same entity by reference: into another image with the object, else into this one."""
    meant = images[b].instances[entity.targets[0]]
    if meant.stuff:
        return None
    places = [
        (o, m)
        for o in range(len(images))
        if o != b
        for m, x in enumerate(images[o].instances)
        if same_object(meant, x) == TRUE or (meant.asset is None and meant.name == x.name)
    ]
    alone = [(o, m) for o, m in places if is_reference(images[o].record.key)]
    if alone and rng.random() < config.alone:
        places = alone
    if not places:
        if rng.random() < 0.5:
            return None
        places = [(b, m) for m in entity.targets]
    o, m = places[int(rng.integers(len(places)))]
    region = _region(images[o], m, config, rng)
    if region is None:
        return None
    return EntityQuery(entity.text, entity.targets, o, region, images[o].instances[m])


def _region(
    image: LabelledImage, m: int, config: QueryConfig, rng: np.random.Generator
) -> np.ndarray | None:
    mask = image.mask(m)
    if mask.sum() < config.reference_min_px:
        return None
    if is_reference(image.record.key):
        return mask  # the picture is of nothing else
    if image.instances[m].label_kind is LabelKind.BOX:
        return draw_stroke(mask, rng, "box")  # where in the box the object lies is not known
    kinds, chances = zip(*config.reference_kinds, strict=True)
    return draw_stroke(mask, rng, str(rng.choice(kinds, p=np.array(chances) / sum(chances))))
