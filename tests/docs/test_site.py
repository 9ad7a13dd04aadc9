"""The site of `make docs`: complete, without a network, and with every public name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.test_docs import ROOT
from tools import docs_site, draw_concepts

REFERENCE = {
    "find_core": "reference/find_core.md",
    "find_field": "reference/find_field.md",
    "find_ros.client": "reference/find_ros_client.md",
}
LOADED = re.compile(
    r'<(?:script|img|iframe|source)[^>]*\ssrc="?([^\s">]+)|<link[^>]*\shref="?([^\s">]+)'
)


@pytest.mark.parametrize("package", REFERENCE)
def test_reference_has_every_public_name(package):
    page = (ROOT / "docs" / REFERENCE[package]).read_text(encoding="utf-8")
    shown = re.findall(rf"^::: {re.escape(package)}\.(\w+)$", page, re.M)
    try:
        names = importlib.import_module(package).__all__
    except ImportError as error:
        pytest.skip(str(error))
    assert sorted(shown) == sorted(names)


@pytest.mark.parametrize("name", draw_concepts.FIGURES)
def test_figures_are_as_drawn(name):
    file = draw_concepts.FOLDER / f"{name}.svg"
    drawn = draw_concepts.FIGURES[name]().svg()
    assert file.read_text(encoding="utf-8") == drawn, "run python tools/draw_concepts.py"


@pytest.mark.parametrize(
    ("page", "text", "shown"),
    [
        ("howto/find_ros.md", "[a](../docs/page.md#say-it)", "[a](../page.md#say-it)"),
        ("page.md", "[nodes](../find_ros/README.md)", "[nodes](howto/find_ros.md)"),
        ("tutorials/x.md", "![a](../../docs/demo.png)", "![a](../demo.png)"),
        ("page.md", "[home](../README.md)", "[home](index.md)"),
        ("page.md", "[`setup.py`](../setup.py)", "`setup.py`"),
        ("page.md", "[the file](../setup.py)", "the file (`setup.py`)"),
        ("page.md", "`[a](b.md)` \\<mug\\>", "`[a](b.md)` &lt;mug&gt;"),
        ("page.md", "```\n[a](../setup.py)\n```\n[x](#y)", "```\n[a](../setup.py)\n```\n[x](#y)"),
        ("page.md", "[`a`](../a.py) [`b`](../b.py)", "`a` `b`"),
    ],
)  # fmt: skip
def test_links_lead_somewhere_on_the_site(page, text, shown):
    assert docs_site.with_links_of_the_site(text, page) == shown


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    for name in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(name, reason="the extra [docs] is not installed: make docs")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    out = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(out))
    assert config.strict
    build(config)  # raises where there was a warning
    return out


def test_site_is_whole(site):
    for page in [*docs_site.BESIDE_THE_CODE, *REFERENCE.values(), "index.md", "concepts.md"]:
        assert (site / page).with_suffix(".html").is_file(), page
    for package, page in REFERENCE.items():
        html = (site / page).with_suffix(".html").read_text(encoding="utf-8")
        assert f'id="{package}.' in html and ":::" not in html


def test_nothing_is_loaded_from_a_network(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        targets = ["".join(pair) for pair in LOADED.findall(page.read_text(encoding="utf-8"))]
        assert targets, page
        assert not [t for t in targets if re.match(r"(https?:)?//", t)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), (
            sheet
        )
