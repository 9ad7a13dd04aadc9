"""The house stands as drawn: imports point one way, rooms are small, importing is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("find_core", "find_field", "find_ros", "training")
MAY_IMPORT = {
    "find_core": {"find_core"},
    "find_field": {"find_field", "find_core"},
    "find_ros": {"find_ros", "find_field", "find_core"},
    "training": {"training", "find_core"},
}
MAX_LINES = 350


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows(package):
    assert sources(package), f"{package} is empty"
    for path in sources(package):
        ours = {n.split(".")[0] for n in imported(path)} & set(PACKAGES)
        assert ours <= MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {ours}"


def test_only_the_plugin_imports_nerfstudio():
    for package in PACKAGES:
        for path in sources(package):
            if any(n.split(".")[0] == "nerfstudio" for n in imported(path)):
                assert path.parent == ROOT / "find_field" / "nerf", path


def test_only_find_ros_imports_rclpy():
    for package in ("find_core", "find_field", "training"):
        for path in sources(package):
            assert not any(n.split(".")[0] == "rclpy" for n in imported(path)), path


def test_files_stay_small():
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in sources(package)
        if (lines := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not long, f"more than one idea? {long}"


def test_import_find_core_loads_nothing_heavy():
    code = (
        "import sys, find_core; "
        "heavy = {'torch', 'transformers', 'rclpy', 'nerfstudio', 'matplotlib', 'av'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_nothing_of_one_machine_is_committed():
    for package in PACKAGES:
        for path in sources(package):
            text = path.read_text()
            assert "/work/" not in text, path
            assert "pickle.load" not in text, path


def calls(path: Path) -> list[tuple[str, set[str], int]]:
    """(function, its keyword arguments, line) of every call in a file."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    return [(ast.unparse(n.func), {str(k.arg) for k in n.keywords}, n.lineno) for n in nodes]


def test_json_is_written_in_one_place():
    """`find_core.support.json_text`: elsewhere NaN would slip into files and messages."""
    apart = {"find_core/support/json_text.py", "tools/hostile.py"}  # the latter sends what is none
    for folder in (*PACKAGES, "benchmarks", "tools", "examples"):
        for path in sources(folder):
            if str(path.relative_to(ROOT)) not in apart:
                for name, keywords, line in calls(path):
                    plain = name in ("json.dump", "json.dumps") and "allow_nan" not in keywords
                    assert not plain, f"{path}:{line}"


def test_images_are_read_in_one_place():
    """`find_core.images` measures files before it decodes them."""
    for package in PACKAGES:
        for path in sources(package):
            if path.relative_to(ROOT) != Path("training/pack/stand_in/cv2.py"):
                assert not [c for c in calls(path) if c[0] in ("cv2.imread", "imageio.imread")], (
                    path
                )


def test_weights_are_never_unpickled():
    for package in PACKAGES:
        for path in sources(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                    given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert given.get("weights_only") == "True", f"{path}:{node.lineno}"


def test_options_have_ranges():
    """`int` takes -1 images and `float` takes NaN seconds; command_line's types have limits."""
    for package in PACKAGES:
        for path in sources(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.keyword) and node.arg == "type":
                    plain = isinstance(node.value, ast.Name) and node.value.id in ("int", "float")
                    assert not plain, f"{path}:{node.value.lineno}: whole() or number() instead"


def modules(package: str) -> dict[str, Path]:
    """Dotted name of every module of a package, packages by their own name."""
    found = {}
    for path in sources(package):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_graph() -> dict[str, set[str]]:
    """Module -> the modules that it names in any import: at the top, in functions, for types only."""
    ours = {name: path for package in PACKAGES for name, path in modules(package).items()}
    graph: dict[str, set[str]] = {}
    for name, path in ours.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert not node.level, f"{path}: relative import"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= inner & set(ours)
                if inner - set(ours):
                    named.add(node.module)
        graph[name] = (named & set(ours)) - {name}
    return graph


def test_no_import_circle():
    try:
        list(TopologicalSorter(import_graph()).static_order())
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_stay_small(package):
    for folder in {path.parent for path in sources(package)}:
        files = [p for p in folder.iterdir() if p.is_file() and p.name != "__init__.py"]
        top = folder.name == package
        assert len(files) <= (14 if top else 16), f"{folder.relative_to(ROOT)}: {len(files)} files"


def test_the_product_does_not_import_its_evaluation():
    for name, named in import_graph().items():
        if not name.startswith(("find_field.evaluation", "training")):
            wrong = {n for n in named if n.startswith("find_field.evaluation")}
            assert not wrong, f"{name} imports {wrong}"
