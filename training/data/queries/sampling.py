"""What the tasks ask about a picture: phrases, strokes, an interleaved sentence, a caption.

Entities of the interleaved sentence become references with p = 0.5, shown in *another* picture of
the batch where one holds the same object. Some entities are of things that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from find_core.prompts.prompt import PLACEHOLDER, Prompt, PromptEntity
from training.data.formats.records import InstanceLabel, Record, mirror_text
from training.data.queries.config import Ask, AskConfig, EntityAsk, PhraseAsk, PromptAsk
from training.data.queries.label_knowledge import FALSE, TRUE, Facts, same_object
from training.data.queries.paraphrase import JOINTS, MAX_WORDS, STARTS
from training.data.queries.strokes import draw_stroke
from training.data.sample import Picture


def ask_everything(
    pictures: Sequence[Picture], facts: Facts, config: AskConfig, rng: np.random.Generator
) -> list[Ask]:
    """One `Ask` per picture."""
    asks = []
    for b, picture in enumerate(pictures):
        ask = Ask(caption=_caption(picture, rng))
        phrases = visible_phrases(picture)
        picks = [phrases[i] for i in rng.permutation(len(phrases))]
        alike = [p for p in picks if p.alike][: config.max_phrases // 2]
        if alike and rng.random() < config.alike:
            picks = alike + [p for p in picks if p not in alike]
        ask.phrases = picks[: config.max_phrases]
        ask.prompts = _prompts(picture, config, rng)
        _interleave(ask, b, pictures, phrases, facts, config, rng)
        asks.append(ask)
    return asks


def visible_phrases(picture: Picture) -> list[PhraseAsk]:
    """The record's phrases that still hold in this view, once per text."""
    place = {k: m for m, k in enumerate(picture.visible)}
    phrases: dict[str, PhraseAsk] = {}
    for phrase in picture.record.phrases:
        targets = tuple(place[k] for k in phrase.instances if k in place)
        spatial = phrase.kind in ("relation", "instruction")
        if not targets or (spatial and not picture.complete):
            continue  # what a relation leans on may be outside the crop
        text = as_seen(phrase.text, picture)
        alike = only_places_tell(phrase.kind, picture.instances, targets)
        whole = phrase.kind == "instruction"
        phrases.setdefault(text, PhraseAsk(text, targets, spatial, alike, whole))
    return list(phrases.values())


def only_places_tell(kind: str, instances: Sequence[InstanceLabel], targets: Sequence[int]) -> bool:
    """Does a phrase of that kind pick among things of one kind by where they are?"""
    return kind == "relation" and has_lookalike(instances, targets)


def has_lookalike(instances: Sequence[InstanceLabel], targets: Sequence[int]) -> bool:
    """Is something else of the same kind in view?"""
    kinds = {instances[m].kind for m in targets}
    return any(i.kind in kinds for m, i in enumerate(instances) if m not in targets)


def as_seen(text: str, picture: Picture) -> str:
    """Left and right change places in a mirrored view."""
    return mirror_text(text) if picture.view.mirrored else text


def _caption(picture: Picture, rng: np.random.Generator) -> str | None:
    captions = picture.record.captions
    if not captions or not (picture.complete or picture.record.source == "coco"):
        return None
    return as_seen(captions[int(rng.integers(len(captions)))], picture)


def _prompts(picture: Picture, config: AskConfig, rng: np.random.Generator) -> list[PromptAsk]:
    count = min(len(picture.visible), int(rng.integers(1, config.max_prompts + 1)))
    chosen = rng.permutation(len(picture.visible))[:count]
    return [PromptAsk(draw_stroke(picture.mask(int(m)), rng), int(m)) for m in chosen]


def _interleave(
    ask: Ask, b: int, pictures: Sequence[Picture], phrases: list[PhraseAsk], facts: Facts,
    config: AskConfig, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Fill in the sentence, its entities and their spans."""
    parts = among_lookalikes(phrases, config, rng)
    if sum(isinstance(p, EntityAsk) for p in parts) == 1 and rng.random() < 0.5:
        others = _composed(phrases, _elsewhere(b, pictures), config, rng)
        parts += [str(rng.choice(JOINTS)), *others]
    if not parts and rng.random() < config.written:
        parts = _written(pictures[b], rng) or []
    parts = parts or _composed(phrases, _elsewhere(b, pictures), config, rng)
    if rng.random() < config.absent or not parts:
        absent = _absent(b, pictures, facts, config, rng)
        if absent is not None:
            parts = _insert(parts, absent, rng)
    count = 0
    for part in parts:
        if isinstance(part, str):
            ask.sentence += part
            continue
        if count and len(f"{ask.sentence} {part.text}".split()) > MAX_WORDS:
            break
        count += 1
        # A picture cannot say which of two look-alikes is meant; only the words about places can.
        may_show = bool(part.targets) and not part.alike
        if count <= config.max_entities and may_show and rng.random() < config.visual:
            part = _shown(part, b, pictures, config, rng) or part
        words = PLACEHOLDER if part.is_visual else part.text
        if count <= config.max_entities:
            ask.spans.append((len(ask.sentence), len(ask.sentence) + len(words)))
            ask.entities.append(part)
        ask.sentence += words


def among_lookalikes(
    phrases: list[PhraseAsk], config: AskConfig, rng: np.random.Generator
) -> list[str | EntityAsk]:
    """ "the <mug left of the plate>" where there are two mugs. Names would not do there."""
    alike = [p for p in phrases if p.alike]
    if not alike or rng.random() >= config.alike:
        return []
    count = min(len(alike), int(rng.integers(1, config.alike_phrases + 1)))
    parts: list[str | EntityAsk] = []
    for n, i in enumerate(rng.permutation(len(alike))[:count]):
        before = str(rng.choice(JOINTS if n else ("", *STARTS)))
        parts += [before, EntityAsk(alike[i].text, alike[i].targets, alike=True)]
    return [part for part in parts if part]


def _written(picture: Picture, rng: np.random.Generator) -> list[str | EntityAsk] | None:
    """A sentence of the record whose entities are all in view."""
    place = {k: m for m, k in enumerate(picture.visible)}
    fit = [s for s in picture.record.sentences if all(k in place for e in s.entities for k in e)]
    if not fit:
        return None
    chosen = fit[int(rng.integers(len(fit)))]
    targets = iter(chosen.entities)
    parts: list[str | EntityAsk] = []
    for part in Prompt.parse(as_seen(chosen.markup, picture)).parts:
        if isinstance(part, PromptEntity):
            parts.append(EntityAsk(part.label, tuple(place[k] for k in next(targets))))
        else:
            parts.append(part)
    return parts


def _elsewhere(b: int, pictures: Sequence[Picture]) -> set[int]:
    """Instances of picture `b` whose very object is in another picture of the batch."""
    others = {i.asset for o, p in enumerate(pictures) if o != b for i in p.instances if not i.stuff}
    return {m for m, i in enumerate(pictures[b].instances) if i.asset in others - {None}}


def _composed(
    phrases: list[PhraseAsk], elsewhere: set[int], config: AskConfig, rng: np.random.Generator
) -> list[str | EntityAsk]:
    """Some phrases side by side, or one alone, as people type them.

    Objects that another picture of the batch can show come more often.
    """
    bonus = [0.6 * (p.targets[0] in elsewhere) for p in phrases]
    order = np.argsort(rng.random(len(phrases)) - np.array(bonus)).tolist()
    if order and phrases[order[0]].whole:
        whole = phrases[order[0]]
        return [EntityAsk(whole.text, whole.targets)]
    order = [i for i in order if not phrases[i].whole]
    count = min(len(order), int(rng.choice([1, 1, 2, 3, 4])), config.max_entities)
    start = str(rng.choice(("", *STARTS)))
    parts: list[str | EntityAsk] = []
    for n, i in enumerate(order[:count]):
        parts.append(str(rng.choice(JOINTS)) if n else start)
        words = phrases[i].text
        if rng.random() < 0.15:
            words = f"the {words}"
        parts.append(EntityAsk(words, phrases[i].targets, alike=phrases[i].alike))
    return [p for p in parts if not isinstance(p, str) or p]


def _insert(
    parts: list[str | EntityAsk], absent: EntityAsk, rng: np.random.Generator
) -> list[str | EntityAsk]:
    """An absent thing alone, before or after the others."""
    draw = rng.random()
    if not parts or draw < 0.35:
        return [str(rng.choice(STARTS)), absent]
    if draw < 0.7:
        return [*parts, str(rng.choice([" and the ", ", "])), absent]
    return ["the ", absent, str(rng.choice([" and ", ", "])), *parts]


def _absent(
    b: int, pictures: Sequence[Picture], facts: Facts, config: AskConfig, rng: np.random.Generator
) -> EntityAsk | None:
    """Something known not to be in picture `b`: words, or a reference into another picture."""
    here = pictures[b].record
    if config.untrue and here.untrue and pictures[b].complete and rng.random() < config.untrue:
        return EntityAsk(as_seen(here.untrue[int(rng.integers(len(here.untrue)))], pictures[b]), ())
    if rng.random() < config.visual:
        return _absent_reference(b, pictures, config, rng)
    texts = list(here.absent) if rng.random() < 0.7 else []
    texts = texts or [
        t.text for other in pictures for t in other.record.phrases if t.kind != "relation"
    ]
    for i in rng.permutation(len(texts))[:8]:
        text = as_seen(texts[i], pictures[b])
        if here.absent and texts[i] in here.absent:
            return EntityAsk(text, ())
        if here.exhaustive and all(facts.truth(text, x) == FALSE for x in here.instances):
            return EntityAsk(text, ())
    return None


def _absent_reference(
    b: int, pictures: Sequence[Picture], config: AskConfig, rng: np.random.Generator
) -> EntityAsk | None:
    here: Record = pictures[b].record
    if not here.exhaustive:
        return None
    for other in rng.permutation(len(pictures)):
        for m in rng.permutation(len(pictures[other].visible))[:4]:
            shown = pictures[other].instances[m]
            if shown.stuff or any(same_object(shown, x) != FALSE for x in here.instances):
                continue
            region = _region(pictures[other], int(m), config, rng)
            if region is not None:
                return EntityAsk(PLACEHOLDER, (), int(other), region, shown)
    return None


def _shown(
    entity: EntityAsk, b: int, pictures: Sequence[Picture], config: AskConfig,
    rng: np.random.Generator,
) -> EntityAsk | None:  # fmt: skip
    """The same entity by reference: into another picture with the object, else into this one."""
    meant = pictures[b].instances[entity.targets[0]]
    if meant.stuff:
        return None
    places = [
        (o, m)
        for o in range(len(pictures))
        if o != b
        for m, x in enumerate(pictures[o].instances)
        if same_object(meant, x) == TRUE or (meant.asset is None and meant.name == x.name)
    ]
    if not places:
        if rng.random() < 0.5:
            return None
        places = [(b, m) for m in entity.targets]
    o, m = places[int(rng.integers(len(places)))]
    region = _region(pictures[o], m, config, rng)
    if region is None:
        return None
    return EntityAsk(entity.text, entity.targets, o, region, pictures[o].instances[m])


def _region(
    picture: Picture, m: int, config: AskConfig, rng: np.random.Generator
) -> np.ndarray | None:
    mask = picture.mask(m)
    if mask.sum() < config.reference_min_px:
        return None
    kinds, chances = zip(*config.reference_kinds, strict=True)
    return draw_stroke(mask, rng, str(rng.choice(kinds, p=np.array(chances) / sum(chances))))
