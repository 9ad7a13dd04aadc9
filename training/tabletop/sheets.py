"""Contact sheets, to be looked at: every asset of the gallery, or the scenes of a split.

python -m training.tabletop.sheets --gallery --out sheets/
python -m training.tabletop.sheets --scenes DIR/train --out sheets/ --first 0 --count 24
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from find_core.images import read_image, read_labels
from find_core.support.command_line import Parser, run_command, whole
from training.tabletop import format as fmt


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = Parser(
        prog="python -m training.tabletop.sheets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gallery", action="store_true", help="one tile per asset")
    parser.add_argument("--only", default="", help="asset ids that start with this")
    parser.add_argument("--scenes", type=Path, help="folder of a rendered split")
    parser.add_argument("--first", type=whole(), default=0)
    parser.add_argument("--count", type=whole(1), default=24)
    parser.add_argument("--out", type=Path, required=True)
    return run_command("training.tabletop.sheets", parser, argv, _run)


def _run(args: argparse.Namespace) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    if args.gallery:
        _write_pages(gallery_tiles(args.only), args.out, "gallery", columns=10, rows=8)
    if args.scenes:
        tiles = scene_tiles(args.scenes, args.first, args.count)
        _write_pages(tiles, args.out, f"scenes-{args.scenes.name}", columns=3, rows=8)
    return 0


def _write_pages(tiles: list[np.ndarray], out: Path, name: str, columns: int, rows: int) -> None:
    for page in range(0, len(tiles), columns * rows):
        path = out / f"{name}-{page // (columns * rows):02d}.png"
        fmt.write_image(path, grid(tiles[page : page + columns * rows], columns))
        print(path)


def grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Tiles of one size as one image, row by row; (H, W, 3) uint8 RGB."""
    blank = np.zeros_like(tiles[0])
    tiles = tiles + [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def gallery_tiles(prefix: str) -> list[np.ndarray]:
    """One labelled image per asset, all from the same place, each filling its tile."""
    from training.tabletop.assets.gallery import build_gallery
    from training.tabletop.assets.palette import Camera, Light, Palette, Shown
    from training.tabletop.scene.cameras import look_at

    gallery = build_gallery()
    palette = Palette(gallery.meshes(), 1, 200, 150, supersample=2)
    lamp = Light(
        np.array([0.4, -0.6, 1.2]),
        np.array([-0.4, 0.6, -1.2]) / 1.4,
        np.full(3, 0.6),
        np.full(3, 0.2),
        directional=True,
        castshadow=False,
    )
    palette.set_lights([lamp], np.full(3, 0.4))
    tiles = []
    for asset in gallery.assets.values():
        if not asset.id.startswith(prefix):
            continue
        size = gallery.geometries[asset.geometry].extent_m()
        centre = np.array([0, 0, size[2] / 2])
        eye = centre + (np.linalg.norm(size) * 2.6 + 0.05) * np.array([0.45, -0.7, 0.55])
        palette.set_slot(0, Shown(gallery.parts(asset.id), np.eye(4), asset.gloss))
        frame = palette.render(Camera(look_at(eye, centre), 24))
        tile = np.where(frame.slots[..., None] < 0, np.uint8(150), frame.rgb)
        tiles.append(labelled(tile, asset.id, asset.name + (" HELD" * asset.held_out)))
    palette.close()
    return tiles


def labelled(tile: np.ndarray, *lines: str) -> np.ndarray:
    """A copy with small text lines in its upper left corner."""
    out = np.ascontiguousarray(tile)
    for i, line in enumerate(lines):
        cv2.putText(out, line, (3, 12 + 13 * i), 0, 0.36, (120, 0, 0), 1, cv2.LINE_AA)
    return out


def scene_tiles(folder: Path, first: int, count: int) -> list[np.ndarray]:
    """Image beside image with its masks in colour and its names."""
    palette = np.random.default_rng(0).integers(60, 255, (256, 3)).astype(np.uint8)
    palette[0] = 0
    tiles = []
    for scene in fmt.read_scenes(folder)[first : first + count]:
        stem = folder / f"{scene['index']:06d}"
        rgb, ids = read_image(f"{stem}.jpg"), read_labels(f"{stem}.png")
        masks = (0.45 * rgb + 0.55 * palette[ids % 256]).astype(np.uint8)
        for instance in scene["instances"]:
            rows, cols = np.nonzero(ids == instance["id"])
            if len(rows) and not instance["stuff"]:
                where = (int(cols.mean()) - 30, int(rows.mean()))
                cv2.putText(masks, instance["name"], where, 0, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(np.hstack([rgb, masks]))
    return tiles


if __name__ == "__main__":
    raise SystemExit(main())
