"""Referring expressions and interleaved sentences on COCO, in their published files.

RefCOCO/+/g: `instances.json` (COCO instances) beside `refs.json`, a list of {"ref_id", "ann_id",
"image_id", "split", "sentences": [{"sent": ...}]}. The published `refs(unc).p` is a pickle, which
is never loaded here: convert it once with `python -c "import json, pickle; ..."` where you trust it
(training/README.md has the line).

FIND-Bench: `entity_<split>.json` with `images` and `annotations`; phrases name panoptic segments.
Spans are derived again from `sentence_raw` ("[<segment id>]<phrase>"), the stored offsets are not
used (docs/spec.md 1).

Karpathy: `dataset_coco.json` with per-image `split` and `sentences`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

from find_core.errors import ImageError
from training.data.formats.coco import read_json
from training.data.formats.records import PhraseLabel, Record, SentenceLabel

_MARK = re.compile(r"\[(\d+)\](?:<([^<>]*)>)?")


def referring_sentences(folder: str | Path, split: str | None = None) -> dict[int, list[str]]:
    """Annotation id -> its sentences, of `refs.json`; the first sentence is the evaluated one.

    Raises:
        ImageError: no refs.json, or not in the published form.
    """
    path = Path(folder) / "refs.json"
    if not path.is_file():
        raise ImageError(f"No {path}: convert refs(...).p once, see training/README.md.")
    table: dict[int, list[str]] = {}
    try:
        for ref in json.loads(path.read_text()):
            if split is None or ref["split"] == split:
                table.setdefault(ref["ann_id"], []).extend(s["sent"] for s in ref["sentences"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ImageError(f"{path} is not in RefCOCO's form ({error!r}).") from None
    return table


def with_referring(
    record: Record, annotation_ids: Sequence[int], sentences: dict[int, list[str]]
) -> Record:
    """The record with its instances' referring sentences in front of the class names.

    Args:
        annotation_ids: each instance's number in `sentences`, in order.
    """
    found = [
        PhraseLabel(text, (k,), "relation")
        for k, number in enumerate(annotation_ids)
        for text in sentences.get(number, ())
    ]
    return dataclasses.replace(record, phrases=(*found, *record.phrases))


def annotation_segments(root: str | Path, split: str) -> dict[int, int]:
    """COCO annotation id -> panoptic segment id: same image and class, boxes that agree.

    Referring expressions name instance annotations, panoptic images have segments. A pair counts
    from a box IoU of 0.7; annotations without such a segment (crowds, merged ones) are left out.
    """
    folder = Path(root) / "annotations"
    segments: dict[tuple[int, int], list[dict]] = {}
    for annotation in read_json(folder / f"panoptic_{split}.json")["annotations"]:
        for segment in annotation["segments_info"]:
            key = annotation["image_id"], segment["category_id"]
            segments.setdefault(key, []).append(segment)
    table = {}
    for a in read_json(folder / f"instances_{split}.json")["annotations"]:
        rivals = segments.get((a["image_id"], a["category_id"]), [])
        best = max(rivals, key=lambda s: box_iou(s["bbox"], a["bbox"]), default=None)
        if best is not None and box_iou(best["bbox"], a["bbox"]) >= 0.7:
            table[a["id"]] = best["id"]
    return table


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """IoU of two COCO boxes (x, y, width, height)."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / max(1e-9, a[2] * a[3] + b[2] * b[3] - both)


def enrich(
    records: Sequence[Record], root: str | Path, split: str, refs: str = "", entities: str = ""
) -> list[Record]:
    """Panoptic records with referring sentences (folder of refs.json) and FIND-Bench sentences."""
    by_segment: dict[int, list[str]] = {}
    if refs:
        segment_of = annotation_segments(root, split)
        for number, texts in referring_sentences(refs, "train").items():
            if number in segment_of:
                by_segment.setdefault(segment_of[number], []).extend(texts)
    spoken = entity_sentences(entities) if entities else {}
    out = []
    for record in records:
        image = int(record.key.rsplit("/", 1)[1])
        if refs:
            record = with_referring(record, record.source_ids, by_segment)
        if image in spoken:
            record = with_entities(record, record.source_ids, spoken[image])
        out.append(record)
    return out


def entity_sentences(path: str | Path) -> dict[int, list[tuple[str, list[int]]]]:
    """Image id -> [(markup, panoptic segment id of each entity)] of a FIND-Bench file.

    Raises:
        ImageError: missing, or not in the published form.
    """
    data = read_json(Path(path))
    table: dict[int, list[tuple[str, list[int]]]] = {}
    for annotation in data["annotations"]:
        try:
            raw, image = annotation["sentence_raw"], int(annotation["image_id"])
            phrases = [p["phrase"] for p in annotation.get("phrase", ())]
        except (KeyError, TypeError, ValueError):
            raise ImageError(f"{path} is not a FIND-Bench file: no sentence_raw.") from None
        table.setdefault(image, []).append(parse_raw(raw, phrases))
    return table


def parse_raw(raw: str, phrases: Sequence[str] = ()) -> tuple[str, list[int]]:
    """ "[12]<a cup> on [7]<the table>" -> ("<a cup> on <the table>", [12, 7]).

    Where the marked words stand without angle brackets ("[12]a cup on ..."), their end is that of
    the phrase in `phrases` (in reading order) which begins there.
    """
    markup, ids, at, waiting = "", [], 0, list(phrases)
    for match in _MARK.finditer(raw):
        words, end = match.group(2), match.end()
        if words is None:
            words = next((p for p in waiting if raw.startswith(p, end)), None)
            if words is None:
                continue
            waiting.remove(words)
            end += len(words)
        markup += f"{raw[at : match.start()]}<{words}>"
        ids.append(int(match.group(1)))
        at = end
    return markup + raw[at:], ids


def with_entities(
    record: Record, segment_ids: Sequence[int], sentences: Sequence[tuple[str, list[int]]],
    most: int = 6,
) -> Record:  # fmt: skip
    """The record with FIND-Bench sentences; only the first `most` phrases stay entities.

    Sentences that name a segment the record does not have are left out.
    """
    index = {number: k for k, number in enumerate(segment_ids)}
    labels = []
    for markup, ids in sentences:
        if ids and all(number in index for number in ids[:most]):
            entities = tuple((index[number],) for number in ids[:most])
            labels.append(SentenceLabel(_first_brackets(markup, most), entities))
    return dataclasses.replace(record, sentences=tuple(labels))


def karpathy_split(path: str | Path) -> dict[str, dict[int, list[str]]]:
    """split -> image id -> captions. "restval" counts as train."""
    data = json.loads(Path(path).read_text())
    table: dict[str, dict[int, list[str]]] = {}
    for image in data["images"]:
        split = "train" if image["split"] == "restval" else image["split"]
        captions = [s["raw"].strip() for s in image["sentences"]]
        table.setdefault(split, {})[int(image["cocoid"])] = captions
    return table


def without_images(records: Sequence[Record], image_ids: set[int]) -> list[Record]:
    """Records whose image is not in a set: RefCOCOg-val and Karpathy-val leave training."""
    return [r for r in records if int(r.key.rsplit("/", 1)[1]) not in image_ids]


def _first_brackets(markup: str, most: int) -> str:
    count = 0

    def keep(match: re.Match) -> str:
        nonlocal count
        count += 1
        return match.group(0) if count <= most else match.group(1)

    return re.sub(r"<([^<>]*)>", keep, markup)
