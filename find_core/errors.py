"""What can go wrong, as exceptions whose sentence says what to do about it.

Every error a user can cause derives from `FindError`, so that a node or a command line can catch
one type, print one sentence and go on. Each also derives from the built-in type a Python caller
would expect (`ValueError`, `RuntimeError`, ...).
"""

from __future__ import annotations


class FindError(Exception):
    """Base of all errors raised on purpose by this project."""


class PromptError(FindError, ValueError):
    """The prompt cannot be understood (unbalanced bracket, unknown reference, empty region...)."""


class ImageError(FindError, ValueError):
    """An image, mask or depth map has the wrong dtype, shape or size."""


class CheckpointError(FindError, RuntimeError):
    """A checkpoint is missing, truncated, foreign or does not fit the model."""


class EncoderError(FindError, RuntimeError):
    """A frozen encoder is unknown, or its weights or package are not installed."""


class AlbumError(FindError, RuntimeError):
    """An album is missing, damaged, of another model, or its server does not answer."""


class FieldError(FindError, RuntimeError):
    """A feature field is missing, truncated, foreign, or belongs to another embedding space."""
