"""LIBERO's own task instructions, less those that concern a held-out kind.

They are read from the installed package at run time; nothing of them is stored here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from training.tabletop.assets.gallery import Gallery
from training.tabletop.assets.kinds import HELD_OUT_FOLDERS, held_out_names_in
from training.tabletop.assets.packages import libero_tasks
from training.tabletop.language.truth import Query

_WHERE_IT_STANDS = re.compile(
    r"\b(next to|beside|between|on the (left|right)|in the middle|at the (back|front)|"
    r"from (the )?table|center|middle layer|left compartment|both|not|(left|right|middle|front) "
    r"(plate|bowl|mug|book)|(bowl|mug|pick|grab|lift).* (on|in|from) .*\b(and|place|set|put)\b)"
)
"""Instructions that say where an object already stands: false in a scene of our own."""


@dataclass(frozen=True)
class Instruction:
    """An instruction as literal text and noun phrases, in order."""

    pieces: tuple[str | Query, ...]

    @property
    def queries(self) -> tuple[Query, ...]:
        """Its noun phrases."""
        return tuple(p for p in self.pieces if isinstance(p, Query))

    def marked(self) -> str:
        """The text with `<…>` around each noun phrase."""
        return "".join(f"<{p.text}>" if isinstance(p, Query) else p for p in self.pieces)


@lru_cache(maxsize=1)
def instruction_texts() -> tuple[str, ...]:
    """Distinct instructions of the installed task files that concern known kinds only."""
    texts, barred = set(), set()
    for path in sorted(libero_tasks().glob("**/*.bddl")):
        content = path.read_text(errors="ignore")
        chosen = re.search(r"\(:language\s+([^)]+)\)", content)
        interest = re.search(r"\(:obj_of_interest([^)]*)\)", content, re.S)
        if not chosen:
            continue
        text = chosen.group(1).strip().lower().replace("\u2019", "'")
        if interest and _concerns_held_out(interest.group(1)):
            barred.add(text)  # the same words stand in several files
        elif len(text) > 12 and not held_out_names_in(text) and not _WHERE_IT_STANDS.search(text):
            texts.add(text)
    return tuple(sorted(texts - barred))


def _concerns_held_out(names: str) -> bool:
    objects = {re.sub(r"_\d+$", "", word) for word in names.split()}
    return bool(objects & HELD_OUT_FOLDERS)


def parse_instructions(gallery: Gallery) -> list[Instruction]:
    """The instructions whose every noun phrase names something of the gallery's known part."""
    vocabulary = _vocabulary(gallery)
    if not vocabulary:
        return []
    finder = re.compile(
        r"\b(?:"
        + "|".join(re.escape(t) for t in sorted(vocabulary, key=len, reverse=True))
        + r")\b"
    )
    parsed = []
    for text in instruction_texts():
        pieces: list[str | Query] = []
        end = 0
        for hit in finder.finditer(text):
            pieces += [text[end : hit.start()], vocabulary[hit.group()]]
            end = hit.end()
        instruction = Instruction((*pieces, text[end:]))
        if instruction.queries and len(set(instruction.queries)) == len(instruction.queries):
            parsed.append(instruction)
    return parsed


def _vocabulary(gallery: Gallery) -> dict[str, Query]:
    out: dict[str, Query] = {}
    for asset_id in gallery.known():
        asset = gallery.assets[asset_id]
        if not asset.source.startswith("libero"):
            continue
        for noun in {*asset.names, *asset.nouns}:
            out[noun] = Query(noun)
        for noun in asset.nouns:
            if asset.color:
                out[f"{asset.color} {noun}"] = Query(noun, color=asset.color)
    return out
