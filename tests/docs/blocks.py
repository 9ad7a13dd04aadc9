"""The fenced blocks of the pages: which are run, which are marked, and how a line is run.

A block is run unless an HTML comment right before it says why not:

    <!-- not run: needs a camera -->

`<!-- run with: --steps 2 -->` adds options to the commands of a block, where they take long.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from markdown_it import MarkdownIt
from referencing import Registry, Resource

from tests.test_docs import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / f"{package}/README.md" for package in ("find_core", "find_field", "find_ros")),
    *(ROOT / f"{folder}/README.md" for folder in ("training", "training/tabletop", "tools/gpu_checks")),
]  # fmt: skip
CODE = ("python", "sh", "bash", "json")
TEXT = ("", "text", "bibtex")
MARK = re.compile(r"<!-- (not run|run with): (.+?) -->\s*$", re.S)
SCHEMAS = ("find_ros/schemas/prompt_request.schema.json", "find_core/schemas/prompt.schema.json")


@dataclass(frozen=True)
class Block:
    """Attributes:
    line: of its fence in the page, from 1. text: without the fences.
    why_not: it is not run, and why; "" it is. options: for its commands.
    """

    page: str
    line: int
    language: str
    text: str
    why_not: str = ""
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(text: str, page: str) -> list[Block]:
    """The code of a page, in order.

    Raises:
        ValueError: code without a fence, or in a language that nothing here can run.
    """
    found, before = [], ""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type in ("fence", "code_block"):
            place = f"{page}:{token.map[0] + 1}"
            language = token.info.strip()
            if token.type == "code_block" or language not in CODE + TEXT:
                raise ValueError(f"{place}: give the code a fence and one of the languages {CODE}")
            if language in CODE:
                mark = MARK.search(before)
                kind, said = mark.groups() if mark else ("", "")
                found.append(Block(
                    page, token.map[0] + 1, language, token.content,
                    said if kind == "not run" else "",
                    tuple(shlex.split(said)) if kind == "run with" else (),
                ))  # fmt: skip
        before = token.content if token.type == "html_block" else ""
    return found


def page_blocks(path: Path) -> list[Block]:
    page = str(path.relative_to(ROOT))
    return blocks_of(path.read_text(encoding="utf-8"), page)


def commands(block: Block) -> list[list[str]]:
    """The command lines of a shell block, split as a shell does."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run it in this process; `names` are the variables of the page's Python so far."""
    if block.language == "python":
        exec(compile("\n" * block.line + block.text, block.page, "exec"), names)
    elif block.language == "json":
        for document in _documents(block.text):
            check_request(document)
    else:
        for words in commands(block):
            run_command([*words, *block.options])


def _documents(text: str) -> list[Any]:
    """One document, or one a line."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


def check_request(document: Any) -> None:
    """JSON on the pages is what the nodes are sent."""
    request, prompt = (json.loads((ROOT / s).read_text(encoding="utf-8")) for s in SCHEMAS)
    known = Registry().with_resource(prompt["$id"], Resource.from_contents(prompt))
    jsonschema.validate(document, request if "id" in document else prompt, registry=known)


def run_command(words: list[str]) -> None:
    """A command of this project, as its entry point would be called."""
    from find_core.cli.main import main as find_core_main
    from find_field.cli import main as find_field_main

    program, *arguments = words
    if program in ("find-core", "find-field"):
        status = (find_core_main if program == "find-core" else find_field_main)(arguments)
    elif words[:2] == ["python", "-m"]:
        status = _as_main(words[2], arguments[1:])
    else:
        raise AssertionError(f"{program} is no command that a test runs: mark the block.")
    assert not status, f"{shlex.join(words)}: exit status {status}"


def _as_main(module: str, arguments: list[str]) -> Any:
    before = sys.argv
    sys.argv = [module, *arguments[1:]]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = before
    return 0


def check_command(words: list[str]) -> None:
    """Of a command that is not run: it has these options.

    Raises:
        UsageError: it has not.
    """
    from find_core.cli.main import build_parser
    from find_field.cli import _parser

    parsers = {"find-core": build_parser, "find-field": _parser}
    if words[0] in parsers:
        parsers[words[0]]().parse_args(words[1:])
