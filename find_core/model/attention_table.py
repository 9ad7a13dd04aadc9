"""The attention table of FIND (docs/spec.md 2.7) as data, and the groups it speaks of.

Every variable of the interface is a group of rows. The table says what each group attends to in
content attention (where information is taken in) and in conditional attention (where it is
exchanged). The layers in `interface.py` execute this table and know no task.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum

from torch import Tensor


class Var(str, Enum):
    """Groups of rows. *_TOKENS carry prompts, proposals become masks, the rest become vectors."""

    OBJECT = "proposals_vision_object"
    GROUNDING = "proposals_vision_grounding"
    SEGMENT = "proposals_vision_segment"
    ENTITY = "proposals_interleave_entity"
    IMAGE = "queries_vision_image"
    SPATIAL = "queries_vision_spatial"
    CAPTION = "queries_language_caption"
    CLASS = "queries_language_class"
    DESCRIPTION = "queries_language_description"
    LEGEND = "queries_interleave_legend"
    INTERLEAVE = "queries_interleave_entity"
    SPATIAL_TOKENS = "tokens_vision_spatial"
    REFERENCE_TOKENS = "tokens_vision_spatial_"
    CAPTION_TOKENS = "tokens_language_caption"
    CLASS_TOKENS = "tokens_language_class"
    DESCRIPTION_TOKENS = "tokens_language_description"
    LEGEND_TOKENS = "tokens_interleave_legend"
    MEMORY = "memories_vision_spatial"


class Sees(Enum):
    """Which rows of its content source a row sees."""

    OWN_MASK = "pixels inside the row's own previous mask"
    GIVEN_MASK = "pixels inside the supplied previous mask"
    EVERYTHING = "all valid rows"
    SAME_INDEX = "rows with the same phrase / prompt / entity index"


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes:
        content: source of content attention; "image", a token group, or None for groups that skip
            content attention and its norm.
        sees: which rows of the source.
        condition: groups seen in conditional attention (those present in the forward).
        carried: False for tokens that are sampled anew at every layer; their updates are discarded.
    """

    content: Var | str | None
    sees: Sees | None
    condition: tuple[Var, ...]
    carried: bool = True


IMAGE_SOURCE = "image"

V, S = Var, Sees
RULES: dict[Var, Rule] = {
    # group               content source        rows seen       seen in conditional attention
    V.OBJECT:        Rule(IMAGE_SOURCE,         S.OWN_MASK,     (V.OBJECT,)),
    V.GROUNDING:     Rule(IMAGE_SOURCE,         S.OWN_MASK,     (V.GROUNDING, V.DESCRIPTION_TOKENS)),
    V.SEGMENT:       Rule(IMAGE_SOURCE,         S.OWN_MASK,     (V.SEGMENT, V.SPATIAL_TOKENS, V.MEMORY)),
    V.ENTITY:        Rule(IMAGE_SOURCE,         S.OWN_MASK,     (V.ENTITY, V.LEGEND_TOKENS)),
    V.IMAGE:         Rule(IMAGE_SOURCE,         S.EVERYTHING,   (V.IMAGE,)),
    V.MEMORY:        Rule(IMAGE_SOURCE,         S.GIVEN_MASK,   (V.MEMORY,)),
    V.CAPTION:       Rule(V.CAPTION_TOKENS,     S.EVERYTHING,   (V.CAPTION,)),
    V.CLASS:         Rule(V.CLASS_TOKENS,       S.EVERYTHING,   (V.CLASS,)),
    V.DESCRIPTION:   Rule(V.DESCRIPTION_TOKENS, S.SAME_INDEX,   (V.DESCRIPTION,)),
    V.SPATIAL:       Rule(V.SPATIAL_TOKENS,     S.SAME_INDEX,   (V.SPATIAL,)),
    V.LEGEND:        Rule(V.LEGEND_TOKENS,      S.EVERYTHING,   (V.LEGEND,)),
    V.INTERLEAVE:    Rule(V.LEGEND_TOKENS,      S.SAME_INDEX,   (V.INTERLEAVE,)),
    V.LEGEND_TOKENS: Rule(V.REFERENCE_TOKENS,   S.SAME_INDEX,   (V.LEGEND_TOKENS,)),
    V.DESCRIPTION_TOKENS: Rule(None, None, (V.DESCRIPTION_TOKENS, V.GROUNDING)),
    V.CAPTION_TOKENS:     Rule(None, None, (V.CAPTION_TOKENS,)),
    V.CLASS_TOKENS:       Rule(None, None, (V.CLASS_TOKENS,)),
    V.SPATIAL_TOKENS:     Rule(None, None, (), carried=False),
    V.REFERENCE_TOKENS:   Rule(None, None, (), carried=False),
}  # fmt: skip

# Training only, with p = 0.3 (docs/spec.md 2.7): segments see what the prompts became, not the tokens.
SEGMENT_SEES_QUERIES = dataclasses.replace(
    RULES[V.SEGMENT], condition=(V.SEGMENT, V.SPATIAL, V.MEMORY)
)

PROPOSALS = (V.OBJECT, V.GROUNDING, V.SEGMENT, V.ENTITY)
"""Groups whose rows predict masks."""

OUTPUTS = tuple(v for v in Var if not v.value.startswith("tokens"))
"""Groups that the heads read."""


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of one variable.

    Attributes:
        content: (B, N, H). position: (B, N, H), the constant term added for queries and keys.
        valid: (B, N) bool, False for padding, which nobody sees; None when every row is real.
        index: (B, N) int64, which phrase / prompt / entity a row belongs to; None where unused.
            Different negative numbers mark rows that belong to none.
    """

    content: Tensor
    position: Tensor
    valid: Tensor | None = None
    index: Tensor | None = None


Groups = dict[Var, Group | list[Group]]
"""A list holds one group per level, for tokens that are sampled anew (REFERENCE/SPATIAL_TOKENS)."""


def at_level(group: Group | list[Group], level: int) -> Group:
    return group[level] if isinstance(group, list) else group
