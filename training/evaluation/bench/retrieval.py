"""Retrieval (paper tables 2 and 3): images by text, texts by image, images by interleaved entries.

Image-text: IR@k and TR@k by cosine, in two protocols. `one_text`: an image has its first text.
`five_texts`: an image has all of its texts; TR@k counts the best of them. Interleaved: IR@k and TR@k
of entries whose references come from other images, in two readings. `references_left_out`: those
images are no candidates, as the paper says (3.1.1). `references_kept`: they are, as the published
code in effect has it (docs/spec.md 3.6-5). Equal scores count as in random order.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from find_core.tasks.retrieve import ENTITY_WEIGHT
from training.evaluation.bench import sources
from training.evaluation.bench.cases import WIDTH_PX
from training.evaluation.bench.figures import Sums, hits
from training.evaluation.bench.interleave import InterleavedEntry, read_interleaved
from training.evaluation.bench.model import Hint, Vectors, embed_by_parts, require, tell
from training.evaluation.bench.options import Options, Outcome

KS = (1, 5, 10)


def run_retrieval(model: Any, options: Options, which: str = "captions") -> Outcome:
    """Image-text retrieval on Karpathy's split or COCO captions ("captions"), "entity", "paragraph"."""
    require(model, f"bench-retrieval of {which}", ["embed_image", "embed_text"])
    if which == "captions":
        images = sources.captioned_images(options.root, options.split)
    else:
        spoken = sources.entity_images(
            options.root, options.split or "val2017", which, options.file
        )
        images = sources.spoken_texts(spoken)
    images = images[: options.limit]
    pictures, texts, owner = [], [], []
    for n, image in enumerate(images):
        tell(model, Hint(key=image.key))
        pictures.append(model.embed_image(image.read()).whole)
        for text in image.texts:
            texts.append(model.embed_text(text).whole)
            owner.append(n)
        options.progress(n + 1, len(images))
    keys = [image.key for image in images]
    image_ND, text_TD = np.stack(pictures), np.stack(texts)
    owners = np.array(owner)
    first = np.unique(owners, return_index=True)[1]
    figures = {"one_text": recalls(text_TD[first], image_ND, owners[first], keys)}
    if len(first) < len(owners):
        figures["five_texts"] = recalls(text_TD, image_ND, owners, keys)
    _keep_cases(options, images, text_TD[first] @ image_ND.T)
    return Outcome(figures, (f"{len(keys)} images, {len(owners)} texts.",))


def recalls(
    text_TD: np.ndarray, image_ND: np.ndarray, owner: np.ndarray, keys: Sequence[str]
) -> dict[str, Any]:
    """{"ir1" ... "tr10"}: a text's image among the first k, one of an image's texts among them.

    Args:
        owner: (T,) place of each text's image.
    """
    sums = Sums(("texts", "images", *(f"ir{k}" for k in KS), *(f"tr{k}" for k in KS)))
    for t, row in enumerate(text_TD):  # one row of scores at a time: memory stays flat
        found = hits(image_ND @ row, [owner[t]], [], KS)
        named = {f"ir{k}": v for k, v in zip(KS, found, strict=True)}
        sums.add(keys[owner[t]], texts=1, **named)
    for n, row in enumerate(image_ND):
        mine = np.flatnonzero(owner == n)
        found = hits(text_TD @ row, mine.tolist(), [], KS)
        named = {f"tr{k}": v for k, v in zip(KS, found, strict=True)}
        sums.add(keys[n], images=1, **named)
    out = {f"ir{k}": sums.ratio(f"ir{k}", "texts", n=len(owner)) for k in KS}
    return out | {f"tr{k}": sums.ratio(f"tr{k}", "images", n=len(image_ND)) for k in KS}


def run_interleaved(model: Any, options: Options, which: str = "entity") -> Outcome:
    """Interleaved retrieval: cos(entry, image) + 0.5 x mean over entities of the best object's
    cosine, where the model has entity and object vectors; else the first term alone."""
    way = require(model, f"bench-interleaved-retrieval of {which}",
                  ["embed_interleaved", "embed_image"], ["embed_image", "embed_text"])  # fmt: skip
    entries = read_interleaved(options.root, options.split or "val2017", which, options.file)
    entries = entries[: options.limit]
    images: list[Vectors] = []
    for n, entry in enumerate(entries):
        tell(model, Hint(key=entry.key))
        images.append(_compact(model.embed_image(entry.read_image())))
        options.progress(n + 1, 2 * len(entries))
    scores = np.empty((len(entries), len(entries)), np.float32)
    for n, entry in enumerate(entries):
        tell(model, Hint(key=entry.key))
        prompt = entry.prompt()
        interleaved = "embed_interleaved" in way
        query = model.embed_interleaved(prompt) if interleaved else embed_by_parts(model, prompt)
        scores[n] = entry_scores(query, images)
        options.progress(len(entries) + n + 1, 2 * len(entries))
    figures = {
        "references_left_out": interleaved_recalls(scores, entries, True),
        "references_kept": interleaved_recalls(scores, entries, False),
    }
    _keep_cases(options, entries, scores)
    notes = [f"{len(entries)} entries, {sum(e.shown for e in entries)} of "
             f"{sum(len(e.ids) for e in entries)} entities are references.", *entries[0].provenance]  # fmt: skip
    if "embed_interleaved" not in way:
        notes.append("Entries are means of the sentence's vector and those of cropped references.")
    return Outcome(figures, tuple(notes))


def _compact(vectors: Vectors) -> Vectors:
    """Object vectors in half precision: thousands of images with a hundred objects each."""
    parts = None if vectors.parts is None else vectors.parts.astype(np.float16)
    return Vectors(vectors.whole, parts)


def entry_scores(query: Vectors, images: Sequence[Vectors]) -> np.ndarray:
    """(N,) scores of all images (docs/spec.md 3.5)."""
    scores = np.stack([i.whole for i in images]) @ query.whole
    if query.parts is None or any(i.parts is None for i in images):
        return scores
    best = [
        (query.parts @ i.parts.T.astype(np.float32)).max(1).mean()
        for i in images if i.parts is not None
    ]  # fmt: skip
    return scores + ENTITY_WEIGHT * np.array(best, np.float32)


def interleaved_recalls(
    scores: np.ndarray, entries: Sequence[InterleavedEntry], leave_out: bool
) -> dict[str, Any]:
    """{"ir1", "ir5", "ir10", "tr5", ...} of (entries, images) scores whose diagonal is right.

    Args:
        leave_out: the images that an entry's references come from are no candidates of it, nor is
            it a candidate of those images.
    """
    place = {e.image_id: n for n, e in enumerate(entries)}
    sources_of = [[place[r] for r in e.reference_images if r in place] for e in entries]
    uses: list[list[int]] = [[] for _ in entries]
    for n, members in enumerate(sources_of):
        for m in members:
            uses[m].append(n)
    sums = Sums(("entries", *(f"ir{k}" for k in KS), *(f"tr{k}" for k in KS)))
    for n, entry in enumerate(entries):
        found = hits(scores[n], [n], sources_of[n] if leave_out else [], KS)
        back = hits(scores[:, n], [n], uses[n] if leave_out else [], KS)
        named = {f"ir{k}": v for k, v in zip(KS, found, strict=True)}
        named |= {f"tr{k}": v for k, v in zip(KS, back, strict=True)}
        sums.add(entry.key, entries=1, **named)
    names = [f"{side}{k}" for side in ("ir", "tr") for k in KS]
    return {name: sums.ratio(name, "entries", n=len(entries)) for name in names}


def _keep_cases(options: Options, items: Sequence[Any], scores: np.ndarray) -> None:
    """Each query's own image beside the one that came first; the score is minus the rank."""
    for n, item in enumerate(items):
        rank = int((scores[n] > scores[n, n]).sum())
        best = int(scores[n].argmax())
        text = item.texts[0] if isinstance(item, sources.CaptionedImage) else item.markup
        options.cases.add(
            -float(rank), f"place {rank + 1}: {text}",
            functools.partial(_beside, item, items[best]),
        )  # fmt: skip


def _beside(own: Any, other: Any) -> np.ndarray:
    from find_core.drawing.contact_sheet import contact_sheet

    read = [i.read if isinstance(i, sources.CaptionedImage) else i.read_image for i in (own, other)]
    return contact_sheet([r() for r in read], ["right", "first"], columns=2, cell_width_px=WIDTH_PX)
