"""Options that several commands of the engine share, and what they stand for."""

from __future__ import annotations

import argparse
from pathlib import Path

from find_core.errors import FindError
from find_core.support.command_line import number, whole
from training.data_engine.budget import Limits
from training.data_engine.writers.base import WriterSource
from training.data_engine.writers.server import ServerSettings
from training.data_engine.writers.sources import CausalLMSource, ServerSource, TemplateSource
from training.engine.spread import Spread


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder in COCO's panoptic form")
    parser.add_argument("--split", default="val2017")
    parser.add_argument("--limit", type=whole(1), help="only the first images")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")


def add_writer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--captions", type=Path, nargs="*", default=[], help="more files of captions"
    )
    parser.add_argument(
        "--pseudo-captions", type=Path, nargs="*", default=[], help="a model's captions"
    )
    parser.add_argument(
        "--sentences",
        type=whole(1, 20),
        default=3,
        help="most sentences an image (1 for evaluation)",
    )
    parser.add_argument(
        "--long", action="store_true", help="one paragraph an image (COCO-Paragraph)"
    )
    parser.add_argument(
        "--least", type=whole(1, 20), default=1, help="marked phrases a sentence must have"
    )
    parser.add_argument(
        "--attempts", type=whole(1, 20), default=2, help="requests an image at most"
    )
    parser.add_argument("--seed", type=whole(), default=0)
    group = parser.add_argument_group("writer")
    group.add_argument(
        "--writer",
        choices=("template", "server", "transformers"),
        default="template",
        help="template: built in, offline; server: OpenAI's chat form; transformers: a causal language model",
    )
    group.add_argument(
        "--name", default="", help="the model: as the server calls it, or a folder or hub name"
    )
    group.add_argument("--gguf", help="transformers: name of a .gguf file in that folder")
    group.add_argument(
        "--url", default="", help="server: address with the version, e.g. http://localhost:8000/v1"
    )
    group.add_argument(
        "--key-variable",
        default="OPENAI_API_KEY",
        help="environment variable that holds the server's key",
    )
    group.add_argument(
        "--answer-tokens", type=whole(16, 100_000), default=600, help="most tokens of an answer"
    )
    group.add_argument(
        "--timeout-s", type=number(0.1, 3600), default=60.0, help="server: of one request"
    )
    group.add_argument("--temperature", type=number(0, 2), default=0.0, help="server")
    group.add_argument(
        "--in-flight", type=whole(1, 256), default=4, help="server: requests at a time"
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits, for a server")
    group.add_argument(
        "--requests", type=whole(1), help="in all, earlier runs of the same --out included"
    )
    group.add_argument("--per-minute", type=number(0.01, 1e6), help="requests, evenly spread")
    group.add_argument("--cost", type=number(0, 1e9), help="at most, by the prices below")
    group.add_argument(
        "--price-in", type=number(0, 1e6), default=0.0, help="of a million tokens asked"
    )
    group.add_argument(
        "--price-out", type=number(0, 1e6), default=0.0, help="of a million tokens answered"
    )
    group.add_argument(
        "--patience", type=whole(1), default=20, help="answers in a row that are none end the run"
    )


def add_spread(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("more processes, by Ray (pip install 'find_ros[ray]')")
    group.add_argument(
        "--workers", type=whole(0, 10_000), default=0, help="processes; 0 is this one"
    )
    group.add_argument("--cluster", default="", help="address of a running Ray cluster, e.g. auto")
    group.add_argument("--gpus", type=number(0, 64), default=0.0, help="of each worker")


def add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=Path, help="folder of photograph sets")
    parser.add_argument("--sets", nargs="*", default=[], help="of the photographs; default all")
    parser.add_argument("--tabletop", type=Path, help="folder of rendered scenes")
    parser.add_argument("--instances", type=Path, help="folder of COCO instances and captions")
    parser.add_argument(
        "--split",
        default="val2017",
        help="of the source too; photographs: val... are the held-out tenth",
    )
    parser.add_argument("--limit", type=whole(1), help="only the first images")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")


def source_of(args: argparse.Namespace) -> WriterSource:
    """
    Raises:
        FindError: an option is missing.
    """
    if args.writer == "template":
        return TemplateSource(args.seed)
    if not args.name:
        raise FindError(f"--writer {args.writer} needs a model: --name NAME.")
    if args.writer == "transformers":
        return CausalLMSource(args.name, args.gguf, args.answer_tokens)
    if not args.url:
        raise FindError("--writer server needs an address: --url http://HOST:PORT/v1.")
    settings = ServerSettings(args.url, args.name, args.key_variable, args.answer_tokens,
                              args.timeout_s, args.temperature, args.seed)  # fmt: skip
    return ServerSource(settings)


def limits_of(args: argparse.Namespace) -> Limits:
    return Limits(args.requests, args.per_minute, args.cost, args.price_in, args.price_out)


def spread_of(args: argparse.Namespace, waits_for_others: bool) -> Spread:
    """Workers by the options; threads where the work is to wait for a server."""
    threads = args.in_flight if waits_for_others else 1
    return Spread(args.workers, args.cluster, threads, args.gpus)
