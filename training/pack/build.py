"""Write a pack: code, frozen encoders and images in folders of a limited size."""

from __future__ import annotations

import lzma
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import find_core
import training
from find_core.encoders import VisionEncoder, build_language, build_vision
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from training.config import RecipeError, changed
from training.data.augment import ViewConfig
from training.data.formats.records import Record
from training.data.queries.paraphrase import OTHER_WORDS, PHOTO_WORDS
from training.data.sources import Sources, open_sources
from training.engine.stages import Recipe
from training.pack.codec import encode_image, encode_numbers, encode_webp
from training.pack.language import write_language
from training.pack.rows import LABELS, ROWS, record_to_json
from training.step.class_bank import TEMPLATES

MIB = 2**20
SPARE = 0.02
"""Share of a folder's limit that is left for its labels' growth in the last rows."""
COVER = 1.15
"""Images are kept so much larger than the views that are cut from them."""
ENTRY = "run.py"
CODE = ("site", "vision.pt", "language.safetensors", "pack.json")
LEFT_OUT = shutil.ignore_patterns("share", "__pycache__", "*.pyc", "results")

STUB = '''"""Train from this pack: python run.py --minutes 10 --out OUT"""
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here / "part-00" / "site"))
try:
    import cv2  # noqa: F401
except ImportError:
    sys.path.insert(0, str(here / "part-00" / "site" / "training" / "pack" / "stand_in"))

from training.pack.train import main

if __name__ == "__main__":
    main(here)
'''


class _NoEncoder:
    """Stands where the records of a recipe are wanted, and no features."""

    channels = (1, 1, 1, 1)


def build_pack(
    recipe: Recipe, settings: dict[str, Any], out: Path, limit_mib: float, webp: bool = False
) -> list[Path]:
    """Write OUT/run.py and the folders OUT/part-00, part-01, ..., each within the limit.

    Args:
        settings: where the data are, by dotted key ("data.tabletop", "data.photos").
        webp: images as WebP, which OpenCV must read there.

    Raises:
        RecipeError: the code and the encoders alone are over the limit.
    """
    config = changed(recipe.config(1), {**settings, "data.composites": 0, "data.references": 0})
    out.mkdir(parents=True, exist_ok=True)
    (out / ENTRY).write_text(STUB)
    no_encoder: Any = _NoEncoder()
    train = open_sources(config.data, config.model.vision, encoder=no_encoder)
    val = open_sources(config.data, config.model.vision, "val", train.knowledge, no_encoder)
    first = out / "part-00"
    _write_code(first / "site")
    _write_encoders(first, recipe, [*train.records.values(), *val.records.values()])
    _write_recipe(first, recipe, train, sorted(val.records))
    if size_of(first) > limit_mib * MIB:
        raise RecipeError(
            f"The code and the encoders take {size_of(first) / MIB:.1f} MiB: give a higher --limit-mib."
        )
    records = {**train.records, **val.records}
    order = sorted(records, key=lambda key: zlib.crc32(key.encode()))  # every part has of all
    return _write_rows(out, [records[key] for key in order], config.data.view, limit_mib, webp)


def _write_code(site: Path) -> None:
    shutil.rmtree(site, ignore_errors=True)
    for package in (find_core, training):
        folder = Path(str(package.__file__)).parent
        shutil.copytree(folder, site / folder.name, ignore=LEFT_OUT)


def _write_encoders(part: Path, recipe: Recipe, records: Iterable[Record]) -> None:
    """The vision encoder as TorchScript, the language encoder as weights and words."""
    config = recipe.config(1)
    vision: Any = build_vision(config.model.vision)
    view = config.data.view
    example = torch.zeros(1, 3, view.height, view.width)
    with torch.no_grad():
        traced = torch.jit.trace(_Tuple(vision), example, check_trace=False)
    torch.jit.save(traced.half(), str(part / "vision.pt"))
    encoder: Any = build_language(config.model.language)
    if hasattr(encoder, "tokenizer"):
        write_language(part / "language.safetensors", encoder, _texts(records))


class _Tuple(torch.nn.Module):
    """A vision encoder whose maps are a tuple, as tracing wants them."""

    def __init__(self, vision: VisionEncoder) -> None:
        super().__init__()
        self.vision = vision

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.vision(image))


def _texts(records: Iterable[Record]) -> Iterator[str]:
    """Whatever the tasks may read."""
    yield from TEMPLATES
    for words in (OTHER_WORDS, PHOTO_WORDS):
        for noun, others in words.items():
            yield from (noun, *others)
    yield from ("nothing find the pick up where is a and then with photo of", "background")
    for record in records:
        yield from record.captions
        yield from record.absent
        yield from record.false_relations
        yield from (*record.image_labels, *record.caption_names)
        for phrase in record.phrases:
            yield phrase.text
        for sentence in record.sentences:
            yield sentence.markup
        for instance in record.instances:
            yield from instance.names


def _write_recipe(part: Path, recipe: Recipe, sources: Sources, val: list[str]) -> None:
    data = {
        "recipe": recipe.name,
        "stages": [c.to_dict() for c in recipe.configs()],
        "names": sources.names,
        "matches": {k: sorted(v) for k, v in sources.knowledge.matches.items()},
        "coco": sorted(sources.knowledge.coco),
        "class_lists": [sorted(names) for names in sources.knowledge.class_lists],
        "val": val,
        "min_crop": {p.what: p.min_crop for p in recipe.stages[-1].data},
    }
    write_text(part / "pack.json", json_text(data))


def _write_rows(
    out: Path, records: list[Record], view: ViewConfig, limit_mib: float, webp: bool
) -> list[Path]:
    """Fill part after part; the first has less room."""
    parts, number, at = [out / "part-00"], 0, 0
    while at < len(records) or number == 0:
        part = out / f"part-{number:02d}"
        part.mkdir(exist_ok=True)
        parts += [part] if number else []
        room = limit_mib * MIB * (1 - SPARE) - size_of(part, rows=False)
        at = _fill(part, records, at, view, room, encode_webp if webp else encode_image)
        number += 1
    return parts


def _fill(
    part: Path, records: list[Record], at: int, view: ViewConfig, room: float,
    encode: Callable[[np.ndarray], bytes],
) -> int:  # fmt: skip
    """Write as many records as fit; returns the first that did not."""
    labels: list[str] = []
    start, packed = 0, 0.0
    with (part / ROWS).open("wb") as file:
        while at < len(records):
            image, numbers = kept(*records[at].read(), view)
            row = encode(image), encode_numbers(numbers)
            line = json_text(
                {"record": record_to_json(records[at]), "place": [start, len(row[0]), len(row[1])]}
            )
            packed += len(zlib.compress(line.encode())) * 0.7  # LZMA over all does better
            if start + len(row[0]) + len(row[1]) + packed > room:
                break
            file.write(row[0] + row[1])
            start += len(row[0]) + len(row[1])
            labels.append(line)
            at += 1
    (part / LABELS).write_bytes(lzma.compress(f"[{','.join(labels)}]".encode(), preset=6))
    if not labels and at < len(records):
        raise RecipeError(f"No image fits into {part}: give a higher --limit-mib.")
    return at


def kept(image: np.ndarray, numbers: np.ndarray, view: ViewConfig) -> tuple[np.ndarray, np.ndarray]:
    """An image as a pack keeps it: a little larger than its views, sides divisible by 16."""
    height, width = numbers.shape
    scale = min(1.0, COVER * max(view.height / height, view.width / width))
    size = tuple(max(16, round(side * scale / 16) * 16) for side in (width, height))
    return (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def size_of(part: Path, rows: bool = True) -> int:
    files = (f for f in part.rglob("*") if f.is_file())
    return sum(f.stat().st_size for f in files if rows or f.name not in (ROWS, LABELS))
