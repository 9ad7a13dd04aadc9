"""Interleaved entries: FIND-Bench sentences whose phrases are shown by segments of other images.

    python -m training.evaluation.bench.interleave --data DIR --which entity --model find --out FILE

The published files of these entries were never released (docs/spec.md 1). The file written here is
our own: for each phrase the nearest segment of the same class in another image, by cosine of region
embeddings of any model that has them. It is deterministic, and its `provenance` says how it was
made. Form: that of FIND-Bench, a phrase with a stand-in has `reference` {"image_id",
"annotation_id", "prob"}; it is shown where `prob`, a number drawn from the seed, is below 0.5.

`--template` writes sentences of class names first, where a data set has none of FIND-Bench's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt, PromptEntity, Reference
from find_core.support.command_line import whole
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from training.data.formats.coco import read_json
from training.engine.command import ends_in_a_sentence
from training.evaluation.bench import sources
from training.evaluation.bench.model import crop, require

FILES = {"entity": "interleave_{split}.json", "paragraph": "interleave_{split}_long.json"}
SHOWN_BELOW = 0.5
MIN_AREA_PX = 200
"""Smaller segments stand in for none."""
MOST_TEMPLATE_PHRASES = 4
Key = tuple[int, int]
"""Image id and segment id."""
Region = tuple[Key, int, np.ndarray]
"""A segment, its class, and its (D,) unit vector."""
Embed = Callable[[Sequence[sources.PanopticImage]], Iterable[Region]]
BLOCK = 64
"""Segments compared with all others of their class at a time."""


@dataclass(frozen=True, eq=False)
class InterleavedEntry:
    """One sentence; some entities are segments of other images.

    Attributes:
        image: the one that the sentence is about. markup, ids: see `sources.Sentence`.
        references: for each entity the image and segment that show it, or None.
        provenance: sentences about the file.
    """

    image: sources.PanopticImage
    markup: str
    ids: tuple[int, ...]
    references: tuple[tuple[sources.PanopticImage, int] | None, ...]
    provenance: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.image.key

    @property
    def image_id(self) -> int:
        return self.image.image_id

    @property
    def shown(self) -> int:
        """How many entities are references."""
        return sum(r is not None for r in self.references)

    @property
    def reference_images(self) -> frozenset[int]:
        return frozenset(r[0].image_id for r in self.references if r is not None)

    def read_image(self) -> np.ndarray:
        return self.image.read()[0]

    def prompt(self) -> Prompt:
        """The entry; reference images are read now."""
        parts: list[str | PromptEntity] = []
        waiting = iter(self.references)
        for part in Prompt.parse(self.markup).parts:
            shown = next(waiting) if isinstance(part, PromptEntity) else None
            if isinstance(part, PromptEntity) and shown is not None:
                pixels, truth = shown[0].read()
                reference = Reference(pixels, mask=truth.id_map == shown[1])
                part = PromptEntity(part.label, reference)
            parts.append(part)
        return Prompt(tuple(parts))


def read_interleaved(
    root: Path, split: str, which: str, file: Path | None = None
) -> list[InterleavedEntry]:
    """The entries of a file in the form of this module.

    Raises:
        ImageError, FindError: missing, or about images or segments that are not there.
    """
    file = file or root / "annotations" / FILES[which].format(split=split)
    data = read_json(file)
    by_id = {i.image_id: i for i in sources.panoptic_set(root, split).images}
    spoken = sources.entity_images(root, split, which, file)
    phrases: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        phrases.setdefault(int(annotation["image_id"]), annotation.get("phrase", []))
    about = data.get("provenance", {})
    notes = (f"References: {about['stand_ins']}",) if about.get("stand_ins") else ()
    out = []
    for item in spoken:
        (sentence,) = item.sentences
        stand_in = {int(p["annotation_id"]): p["reference"] for p in phrases[item.image_id]
                    if "reference" in p and p["reference"]["prob"] < SHOWN_BELOW}  # fmt: skip
        references = []
        for number in sentence.ids:
            found = stand_in.get(number)
            if found is not None and int(found["image_id"]) not in by_id:
                raise FindError(f"{file} shows image {found['image_id']}, which {root} lacks.")
            references.append(
                found and (by_id[int(found["image_id"])], int(found["annotation_id"]))
            )
        image = by_id[item.image_id]
        out.append(InterleavedEntry(image, sentence.markup, sentence.ids, tuple(references), notes))
    return out


def build(
    model: Any, root: Path, split: str, which: str, file: Path | None = None, seed: int = 0,
    limit: int | None = None, embedded: Embed | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The JSON of interleaved entries of a FIND-Bench file.

    Args:
        model: has `embed_region`, or `embed_image` for crops. limit: only the first images.
        embedded: gives the regions of images, in their order, instead of the model one by one.

    Raises:
        FindError: the model has neither.
    """
    way = require(model, "interleave_val", ["embed_region"], ["embed_image"])
    file = file or root / "annotations" / sources.ENTITY_FILES[which].format(split=split)
    data = read_json(file)
    labelled = sources.panoptic_set(root, split)
    wanted = {int(a["image_id"]) for a in data["annotations"][:limit]}
    images = [i for i in labelled.images if i.image_id in wanted]
    nearest = nearest_of(embedded(images)) if embedded else nearest_stand_ins(model, images)
    annotations, replaced = [], 0
    for annotation in data["annotations"][:limit]:
        rng = np.random.default_rng((seed, int(annotation["image_id"])))
        phrases = []
        for phrase in annotation["phrase"]:
            key = int(annotation["image_id"]), int(phrase["annotation_id"])
            prob = round(float(rng.random()), 6)
            clean = {k: v for k, v in phrase.items() if k != "reference"}
            if key in nearest:
                (image_id, number), cosine = nearest[key]
                clean["reference"] = {"image_id": image_id, "annotation_id": number, "prob": prob,
                                      "cosine": round(cosine, 4)}  # fmt: skip
                replaced += prob < SHOWN_BELOW
            phrases.append(clean)
        annotations.append({**annotation, "phrase": phrases})
    by = "embed_region" if way == ("embed_region",) else "embed_image of the segment's crop"
    provenance = {
        **data.get("provenance", {}),
        "stand_ins": f"nearest segment of the same class in another image of {split}, by {by} of "
        f"{model.name} ({model.fingerprint}); made by this project, not the published file.",
        "model": model.name, "fingerprint": model.fingerprint, "seed": seed,
        "sentences": file.name, "shown": replaced, "least_area_px": MIN_AREA_PX,
    }  # fmt: skip
    images_json = [i for i in data["images"] if int(i["id"]) in wanted]
    return {"provenance": provenance, "images": images_json, "annotations": annotations}


def nearest_stand_ins(
    model: Any, images: Sequence[sources.PanopticImage]
) -> dict[Key, tuple[Key, float]]:
    """Segment -> nearest segment of its class in another image, and their cosine; see `nearest_of`."""
    return nearest_of(
        ((image.image_id, number), kind, vector)
        for image in images
        for kind, number, vector in region_vectors(model, image)
    )


def nearest_of(regions: Iterable[Region]) -> dict[Key, tuple[Key, float]]:
    """Segment -> nearest segment of its class in another image, and their cosine.

    Of equal ones the first wins. Segments that are alone of their class have none.
    """
    keys: dict[int, list[Key]] = {}
    rows: dict[int, list[np.ndarray]] = {}
    for key, kind, vector in regions:
        keys.setdefault(kind, []).append(key)
        rows.setdefault(kind, []).append(vector)
    nearest: dict[Key, tuple[Key, float]] = {}
    for kind, members in keys.items():
        table = np.stack(rows[kind]).astype(np.float64)
        owner = np.array([image_id for image_id, _ in members])
        for start in range(0, len(members), BLOCK):  # all pairs of a large class would not fit
            block = slice(start, start + BLOCK)
            cosines = np.round(table[block] @ table.T, 9)
            cosines[owner[block, None] == owner[None]] = -np.inf
            for key, row in zip(members[block], cosines, strict=True):
                best = int(row.argmax())
                if np.isfinite(row[best]):
                    nearest[key] = members[best], float(row[best])
    return nearest


def region_vectors(
    model: Any, image: sources.PanopticImage
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(class, segment id, (D,) unit vector) of each segment that is large enough and no crowd."""
    pixels, truth = image.read()
    for number, kind, crowd in zip(truth.ids, truth.classes, truth.crowd, strict=True):
        mask = truth.id_map == number
        if crowd or np.count_nonzero(mask) < MIN_AREA_PX:
            continue
        if callable(getattr(model, "embed_region", None)):
            yield kind, number, model.embed_region(pixels, mask)
        else:
            yield kind, number, model.embed_image(crop(pixels, mask)).whole


def template_sentences(root: Path, split: str, limit: int | None = None) -> dict[str, Any]:
    """A FIND-Bench file of class names: the largest segments that are alone of their class.

    It stands in for sentences of a language model, and says so in its provenance.
    """
    labelled = sources.panoptic_set(root, split)
    images, annotations = [], []
    for image in labelled.images[:limit]:
        alone = [
            (s, kind) for s, kind in zip(image.segments, image.classes, strict=True)
            if not s.get("iscrowd", 0) and image.classes.count(kind) == 1
            and s.get("area", 0) >= MIN_AREA_PX
        ]  # fmt: skip
        alone.sort(key=lambda pair: (-pair[0].get("area", 0), pair[0]["id"]))
        chosen = alone[:MOST_TEMPLATE_PHRASES]
        if len(chosen) < 2:
            continue
        words = [f"the {labelled.names[kind]}" for _, kind in chosen]
        marked = [f"[{s['id']}]<{w}>" for (s, _), w in zip(chosen, words, strict=True)]
        images.append({"id": image.image_id, "file_name": image.key})
        annotations.append({
            "image_id": image.image_id,
            "sentence": f"A photo of {' and '.join(words)}.",
            "sentence_raw": f"A photo of {' and '.join(marked)}.",
            "phrase": [{"annotation_id": int(s["id"]), "phrase": w}
                       for (s, _), w in zip(chosen, words, strict=True)],
        })  # fmt: skip
    about = f"class names of the largest segments of {split}, no sentences of FIND-Bench"
    return {"provenance": {"sentences_by": about}, "images": images, "annotations": annotations}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of COCO panoptic")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--which", choices=tuple(FILES), default="entity")
    parser.add_argument("--file", type=Path, help="FIND-Bench JSON, instead of DATA/annotations")
    parser.add_argument("--model", default="find", help="whose embeddings, as in training.evaluate")
    parser.add_argument("--template", action="store_true", help="write sentences of class names")
    parser.add_argument("--seed", type=whole(), default=0)
    parser.add_argument("--limit", type=whole(1), help="only the first images")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    with ends_in_a_sentence("training.evaluation.bench.interleave"):
        if args.template:
            data = template_sentences(args.data, args.split, args.limit)
        else:
            from training.evaluation.bench.models.open import open_model

            model = open_model(args.model)
            data = build(model, args.data, args.split, args.which, args.file, args.seed, args.limit)
        write_text(args.out, json_text(data, indent=1) + "\n")
        print(f"wrote {args.out}: {len(data['annotations'])} sentences", file=sys.stderr)


if __name__ == "__main__":
    main()
