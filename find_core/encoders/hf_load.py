"""Loading through `transformers`: no surprise, one sentence when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from find_core.errors import EncoderError
from find_core.support.hub import hub_answers, needs_network, only_local, silence
from find_core.support.printable import shown

# Feature norms that some backbones add behind their stages; identities until trained.
_MAY_BE_NEW = ("hidden_states_norms.",)


def pretrained(load: Callable[..., Any], name: str, **options: Any) -> Any:
    """`load(name, ...)` of a `transformers` class, its many errors told in one sentence.

    Code that comes with a model is never run, nor asked about on stdin. Where the hub does not answer,
    the local cache is all that is looked at.

    Raises:
        EncoderError: the model is not there, not readable, or not of this kind.
    """
    offline = not (needs_network(name) and hub_answers())
    options = {"local_files_only": offline, **options, "trust_remote_code": False}
    try:
        with only_local(offline):
            return load(name, **options)
    except Exception as error:
        first_line = shown((str(error).splitlines() or [type(error).__name__])[0], 140)
        if offline and needs_network(name):
            first_line = silence()
        raise EncoderError(
            f"The model {shown(name)!r} cannot be loaded ({first_line}): give a folder that holds it, or "
            "check its name and the network."
        ) from error


def pretrained_model(load: Callable[..., Any], name: str, **options: Any) -> Any:
    """`pretrained`, for weights: none may be left at random, which `transformers` only reports.

    Raises:
        EncoderError: as `pretrained`; or weights are missing or of another shape.
    """
    with _quiet():
        model, report = pretrained(load, name, output_loading_info=True, **options)
    missing = [k for k in report["missing_keys"] if not any(part in k for part in _MAY_BE_NEW)]
    missing += [str(key) for key in report["mismatched_keys"]]
    if missing:
        raise EncoderError(
            f"The model {name!r} lacks the weights {missing[0]!r} (and {len(missing) - 1} more): "
            "it is of another kind."
        )
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the report on weights that we leave out on purpose."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """No progress bar while a small packaged model loads (a second at most)."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
