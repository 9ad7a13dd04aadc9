"""The pages against the repository: what they cite and link to is there."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = (
    "find_core",
    "find_field",
    "find_ros",
    "training",
    "tests",
    "benchmarks",
    "tools",
    "examples",
)
PAGES = sorted(
    [p for p in ROOT.glob("*.md")]
    + [p for p in ROOT.glob(".github/**/*.md")]
    + [p for folder in (*CODE, "docs") for p in (ROOT / folder).rglob("*.md")]
)
SPEC = (ROOT / "docs/spec.md").read_text(encoding="utf-8")
SECTION = r"\d+(?:\.\d+(?:-\d+)?)?"
CITATION = re.compile(rf"docs/spec\.md\s+({SECTION}(?:(?:,| and)\s+{SECTION})*)")
PATH_IN_CODE_SPAN = re.compile(
    r"`((?:find_core|find_field|find_ros|training|tests|benchmarks|tools|docs|config|examples|launch)"
    r"/[\w./-]*)"
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def sources() -> list[Path]:
    found = [p for folder in CODE for p in (ROOT / folder).rglob("*.py")]
    assert len(found) > 100
    return found


def prose(text: str) -> str:
    """Without fenced code, in which brackets mean something else."""
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ +(.+)$", prose(page.read_text(encoding="utf-8")), re.M)


def anchors(page: Path) -> set[str]:
    """As GitHub and GitLab make them: lower case, no punctuation, spaces become hyphens."""
    text = page.read_text(encoding="utf-8")
    made = {
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", h).lower()).strip().replace(" ", "-")
        for h in headings(page)
    }
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def sections() -> set[str]:
    """Numbers of the specification's headings and of its rows of quirks."""
    return set(re.findall(rf"^#+ ({SECTION})\b", SPEC, re.M)) | set(
        re.findall(r"^\| (?:<a[^>]*></a>)?(\d+\.\d+-\d+) ", SPEC, re.M)
    )


def test_citations_of_the_specification_resolve():
    known, cited = sections(), 0
    for path in sources():
        text = path.read_text(encoding="utf-8")
        assert "find-" + "spec" not in text, path
        for match in CITATION.finditer(text):
            for number in re.findall(SECTION, match[1]):
                cited += 1
                assert number in known, f"{path.relative_to(ROOT)} cites docs/spec.md {number}"
    assert cited > 50


def test_other_pages_are_cited_by_headings_they_have():
    pattern = re.compile(r'docs/(architecture|conventions|glossary)\.md,\s+"([^"]+)"')
    cited = [(p, *m) for p in sources() for m in pattern.findall(p.read_text(encoding="utf-8"))]
    assert cited
    for path, page, heading in cited:
        assert heading in headings(ROOT / f"docs/{page}.md"), f"{path}: {page}, {heading!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(page):
    for pair in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        target = pair[0] or pair[1]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.relative_to(ROOT)} links to {target}"
        assert file.is_relative_to(ROOT), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_in_backticks_exist(page):
    """Files and folders of the repository that a page names; `{a,b}` and `*` patterns aside."""
    if page.name == "CHANGELOG.md":  # speaks of what was
        return
    for name in PATH_IN_CODE_SPAN.findall(page.read_text(encoding="utf-8")):
        if name.endswith((".py", ".md", ".xml", ".yaml", ".json", "/")) or "." not in name:
            assert (ROOT / name).exists(), f"{page.relative_to(ROOT)} names {name}"


def defined(path: Path) -> set[str]:
    """Every name a module defines: functions, classes, their fields and members."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def test_glossary_points_at_code():
    rows = [
        line for line in (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| **")
    ]  # fmt: skip
    assert len(rows) > 15
    for row in rows:
        cell = row.strip("| ").split(" | ")[-1]
        pointers = re.findall(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", cell)
        assert pointers, row
        for path, names in pointers:
            missing = set(re.findall(r"`(\w+)`", names)) - defined(ROOT / path)
            assert not missing, f"{path} defines no {missing}"


def test_commands_name_modules_that_exist():
    """Every `python -m package.module` of the pages; old names count where an alias keeps them."""
    pattern = re.compile(r"python -m ((?:find_core|find_field|find_ros|training|benchmarks)[\w.]*)")
    named = {
        name.rstrip(".")
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for name in pattern.findall(page.read_text(encoding="utf-8"))
    }
    assert len(named) > 8
    for name in named:
        assert importlib.util.find_spec(name), f"no module {name}"
