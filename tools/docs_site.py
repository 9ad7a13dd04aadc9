"""A hook of mkdocs: pages that stand beside the code become pages of the site.

Links are written for readers of the repository. On the site a link to another page leads to that
page, and a link to any other file of the repository becomes its name, because the site knows no
address of the repository.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
BESIDE_THE_CODE = {
    "howto/find_ros.md": "find_ros/README.md",
    "howto/find_field.md": "find_field/README.md",
    "howto/find_core.md": "find_core/README.md",
    "howto/training.md": "training/README.md",
    "howto/tabletop.md": "training/tabletop/README.md",
    "howto/security.md": "SECURITY.md",
    "howto/gpu_checks.md": "tools/gpu_checks/README.md",
    "model_card.md": "find_core/share/find-tabletop/MODEL_CARD.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Page of the site -> file of the repository."""

PAGE_OF = {source: page for page, source in BESIDE_THE_CODE.items()} | {"README.md": "index.md"}
LINK_OR_CODE = re.compile(
    r"^(?P<fence> *`{3,}).*?^(?P=fence) *$"
    r"|(?P<mark>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)"
    r"|`[^`\n]+`|\\(?P<escaped>[<>])",
    re.M | re.S,
)
"""What looks like a link in code is none; the text of a link may be code."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    for page, source in BESIDE_THE_CODE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return with_links_of_the_site(markdown, page.file.src_uri)


def with_links_of_the_site(markdown: str, page: str) -> str:
    """The text of `page` (its place in the site) with links that lead somewhere on the site."""
    folder = (ROOT / BESIDE_THE_CODE.get(page, f"docs/{page}")).parent
    return LINK_OR_CODE.sub(lambda match: _on_site(match, folder, page), markdown)


def _on_site(match: re.Match[str], folder: Path, page: str) -> str:
    if match["escaped"]:  # mkdocs' Markdown knows no backslash before these two
        return {"<": "&lt;", ">": "&gt;"}[match["escaped"]]
    mark, text, target = match["mark"], match["text"], match["target"]
    if target is None:
        return match[0]
    name, _, anchor = target.partition("#")
    if re.match(r"[a-z]+:", target) or not name:
        return match[0]
    file = os.path.relpath((folder / name).resolve(), ROOT)
    place = PAGE_OF.get(file) or (file[len("docs/") :] if file.startswith("docs/") else None)
    if place is None:
        return text if text.startswith("`") or file in text else f"{text} (`{file}`)"
    there = os.path.relpath(place, os.path.dirname(page) or ".")  # noqa: PTH120
    return f"{mark}[{text}]({there}{'#' + anchor if anchor else ''})"
