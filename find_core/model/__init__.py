"""The trainable part of FIND, one file per box of the paper's figure 4."""

from find_core.model.attention_table import TokenGroup, Tokens, TokensByGroup
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.model.heads import Outputs
from find_core.model.image_state import ImageState
from find_core.model.sampler import Legend, VisualPrompt

Var, Group, Groups = TokenGroup, Tokens, TokensByGroup  # their names until version 0.1

__all__ = [
    "FindConfig", "FindModel", "Group", "Groups", "ImageState", "Legend", "Outputs", "TokenGroup",
    "Tokens", "TokensByGroup", "Var", "VisualPrompt",
]  # fmt: skip
