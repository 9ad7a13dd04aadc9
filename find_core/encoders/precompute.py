"""Encode a vocabulary once on a big machine, so that robots run without the language model.

    python -m find_core.encoders.precompute xueyanz/FIND:focalt --out kitchen.cache \\
        --class mug --class plate --prompt "the <white mug> left of the <plate>"

The file then stands in for the language model: `fc.load(..., language_cache="kitchen.cache")`.
Running it again with the same --out adds to the file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from find_core.checkpoint.build import build
from find_core.checkpoint.open import read, resolve
from find_core.encoders.base import LanguageConfig, LanguageEncoder, TextTokens
from find_core.encoders.token_cache import fingerprint_of, read_vocabulary, write_vocabulary
from find_core.errors import EncoderError
from find_core.places.words import blanked, is_judged
from find_core.prompts.prompt import CLASS_SENTENCE, Prompt, Reference
from find_core.support.command_line import Parser, run_command
from find_core.support.files import locked

_BATCH = 64


def texts_of(
    prompts: Iterable[Prompt] = (), classes: Iterable[str] = (), texts: Iterable[str] = ()
) -> list[str]:
    """Every text that `Find` will ask the language model for, sorted.

    Args:
        prompts: their sentences (references as placeholders; of several entities also with the
            entities' names blanked) and their entities' words.
        classes: names for `Scene.segment`, as the sentence they are read in.
        texts: anything else, e.g. captions, as it is.
    """
    wanted = set(texts) | {CLASS_SENTENCE.format(name) for name in classes} | set(classes)
    for prompt in prompts:
        words = [entity.label for entity in prompt.entities if not entity.is_visual]
        wanted |= {prompt.sentence()[0], prompt.text, *words}
        if is_judged(prompt):
            wanted.add(blanked(prompt)[0])
    return sorted(wanted)


def precompute(
    encoder: LanguageEncoder,
    config: LanguageConfig,
    texts: Sequence[str],
    path: str | Path,
    progress: bool = False,
) -> int:
    """Add the token states of `texts` to the file; how many were new.

    Args:
        config: names the encoder.
        path: made if missing.
        progress: show a bar.

    Raises:
        EncoderError: the file is damaged or of another encoder. PromptError: a text is too long.
    """
    known: dict[str, TextTokens] = {}
    fingerprint = fingerprint_of(encoder)
    if Path(path).exists():
        known, metadata = read_vocabulary(path)
        if metadata["fingerprint"] != fingerprint:
            raise EncoderError(f"{path} holds states of another language model: choose a new file.")
    new = [text for text in dict.fromkeys(texts) if text not in known]
    for batch in _batches(new, progress):
        known |= dict(zip(batch, encoder.encode(batch), strict=True))
    if new:
        write_vocabulary(path, known, config, fingerprint)
    return len(new)


def _batches(texts: Sequence[str], progress: bool) -> Iterable[Sequence[str]]:
    batches = [texts[i : i + _BATCH] for i in range(0, len(texts), _BATCH)]
    if not progress:
        return batches
    from rich.progress import track

    return track(batches, description="Encoding texts")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when the file is written."""
    return run_command("precompute", _parser(), arguments, _run)


def _run(options: argparse.Namespace) -> int:
    pixel = np.zeros((1, 1, 3), np.uint8)
    known = {name: Reference(pixel, mask=np.ones((1, 1), bool)) for name in options.reference}
    prompts = [Prompt.bind_known(text, known) for text in options.prompt]
    lines = [line for file in options.texts_file for line in _lines(file)]
    texts = texts_of(prompts, options.class_name, options.text + [t for t in lines if t])
    encoder, config = _language_of(options.model)
    with locked(options.out, EncoderError):
        added = precompute(encoder, config, texts, options.out, progress=sys.stderr.isatty())
    print(f"{options.out}: {added} texts added, {len(texts) - added} were there already")
    return 0


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise EncoderError(f"{file} is not UTF-8: save it so.") from None


def _language_of(model: str) -> tuple[LanguageEncoder, LanguageConfig]:
    """The language encoder of a checkpoint."""
    checkpoint = read(resolve(model))
    language = build(checkpoint).language
    if not isinstance(language, LanguageEncoder):
        language = language()
    return language, checkpoint.config.language


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m find_core.encoders.precompute",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Example:" + (__doc__ or "").split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    many: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("model", help="checkpoint, as for fc.load")
    parser.add_argument("--out", type=Path, required=True, help="file to write or add to")
    parser.add_argument("--prompt", help="prompt with <entities>", **many)
    parser.add_argument("--reference", help="entity name that will be shown, not said", **many)
    parser.add_argument("--class", dest="class_name", help="class name for segment()", **many)
    parser.add_argument("--text", help="any other text, as it is", **many)
    parser.add_argument("--texts-file", type=Path, help="file of texts, one a line", **many)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
