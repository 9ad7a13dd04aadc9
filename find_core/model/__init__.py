"""The trainable part of FIND, one file per box of the paper's figure 4."""

from find_core.model.attention_table import Group, Groups, Var
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.model.heads import Outputs
from find_core.model.image_state import ImageState
from find_core.model.sampler import Legend, VisualPrompt

__all__ = [
    "FindConfig", "FindModel", "Group", "Groups", "ImageState", "Legend", "Outputs", "Var",
    "VisualPrompt",
]  # fmt: skip
