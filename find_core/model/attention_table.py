"""The attention table of FIND (docs/spec.md 2.7) as data, and the token groups it speaks of.

Every variable of the interface is a group of tokens: proposals, queries, prompt tokens, memories.
The table says what each group attends to in content attention (where information is taken in) and
in conditional attention (where it is exchanged). The layers in `interface.py` execute this table
and know no task.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum

from torch import Tensor


class TokenGroup(str, Enum):
    """The variables of the interface.

    *_TOKENS carry prompts, proposals become masks, the rest become vectors.
    """

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


class AttentionScope(Enum):
    """Which tokens of its content source a token sees."""

    OWN_MASK = "pixels inside the token's own previous mask"
    GIVEN_MASK = "pixels inside the previous mask that was given"
    EVERYTHING = "all valid tokens"
    SAME_INDEX = "tokens with the same phrase / prompt / entity index"


@dataclass(frozen=True)
class AttentionRule:
    """One line of the table.

    Attributes:
        content: source of content attention; "image", a token group, or None for groups that skip
            content attention and its norm.
        scope: which tokens of the source.
        condition: groups seen in conditional attention (those present in the forward).
        carried: False for tokens that are sampled anew at every layer; their updates are discarded.
    """

    content: TokenGroup | str | None
    scope: AttentionScope | None
    condition: tuple[TokenGroup, ...]
    carried: bool = True


IMAGE_SOURCE = "image"

G, S, Rule = TokenGroup, AttentionScope, AttentionRule
ATTENTION_TABLE: dict[TokenGroup, AttentionRule] = {
    # group               content source        scope           seen in conditional attention
    G.OBJECT:        Rule(IMAGE_SOURCE,         S.OWN_MASK,     (G.OBJECT,)),
    G.GROUNDING:     Rule(IMAGE_SOURCE,         S.OWN_MASK,     (G.GROUNDING, G.DESCRIPTION_TOKENS)),
    G.SEGMENT:       Rule(IMAGE_SOURCE,         S.OWN_MASK,     (G.SEGMENT, G.SPATIAL_TOKENS, G.MEMORY)),
    G.ENTITY:        Rule(IMAGE_SOURCE,         S.OWN_MASK,     (G.ENTITY, G.LEGEND_TOKENS)),
    G.IMAGE:         Rule(IMAGE_SOURCE,         S.EVERYTHING,   (G.IMAGE,)),
    G.MEMORY:        Rule(IMAGE_SOURCE,         S.GIVEN_MASK,   (G.MEMORY,)),
    G.CAPTION:       Rule(G.CAPTION_TOKENS,     S.EVERYTHING,   (G.CAPTION,)),
    G.CLASS:         Rule(G.CLASS_TOKENS,       S.EVERYTHING,   (G.CLASS,)),
    G.DESCRIPTION:   Rule(G.DESCRIPTION_TOKENS, S.SAME_INDEX,   (G.DESCRIPTION,)),
    G.SPATIAL:       Rule(G.SPATIAL_TOKENS,     S.SAME_INDEX,   (G.SPATIAL,)),
    G.LEGEND:        Rule(G.LEGEND_TOKENS,      S.EVERYTHING,   (G.LEGEND,)),
    G.INTERLEAVE:    Rule(G.LEGEND_TOKENS,      S.SAME_INDEX,   (G.INTERLEAVE,)),
    G.LEGEND_TOKENS: Rule(G.REFERENCE_TOKENS,   S.SAME_INDEX,   (G.LEGEND_TOKENS,)),
    G.DESCRIPTION_TOKENS: Rule(None, None, (G.DESCRIPTION_TOKENS, G.GROUNDING)),
    G.CAPTION_TOKENS:     Rule(None, None, (G.CAPTION_TOKENS,)),
    G.CLASS_TOKENS:       Rule(None, None, (G.CLASS_TOKENS,)),
    G.SPATIAL_TOKENS:     Rule(None, None, (), carried=False),
    G.REFERENCE_TOKENS:   Rule(None, None, (), carried=False),
}  # fmt: skip

# Training only, with p = 0.3 (docs/spec.md 2.7): segments see what the prompts became, not the tokens.
SEGMENT_SEES_QUERIES = dataclasses.replace(
    ATTENTION_TABLE[G.SEGMENT], condition=(G.SEGMENT, G.SPATIAL, G.MEMORY)
)

PROPOSALS = (G.OBJECT, G.GROUNDING, G.SEGMENT, G.ENTITY)
"""Groups whose tokens predict masks."""

OUTPUTS = tuple(group for group in TokenGroup if not group.value.startswith("tokens"))
"""Groups that the heads read."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of one group.

    Attributes:
        content: (B, N, H).
        position: (B, N, H), the constant term added for queries and keys.
        valid: (B, N) bool, False for padding, which nobody sees; None when every token is real.
        index: (B, N) int64, which phrase / prompt / entity a token belongs to; None where unused.
            Different negative numbers mark tokens that belong to none.
    """

    content: Tensor
    position: Tensor
    valid: Tensor | None = None
    index: Tensor | None = None


TokensByGroup = dict[TokenGroup, Tokens | list[Tokens]]
"""A list holds one entry per level, for tokens that are sampled anew (REFERENCE/SPATIAL_TOKENS)."""


def at_level(tokens: Tokens | list[Tokens], level: int) -> Tokens:
    """The tokens of a group that a layer of `level` (0: 1/32, 1: 1/16, 2: 1/8) works on."""
    return tokens[level] if isinstance(tokens, list) else tokens
