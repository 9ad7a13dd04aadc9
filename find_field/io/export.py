"""Fields for other programs: PLY point clouds, NPZ arrays, PCA colours."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from find_core.errors import FieldError
from find_core.support.files import replace_file
from find_core.support.json_text import json_text
from find_field.field.data import SEMANTIC, FieldData
from find_field.field.storage import VERSION, field_arrays, field_info


def pca_colors(field: FieldData) -> np.ndarray:
    """(N, 3) uint8: the three strongest directions of the unit embeddings, 2nd to 98th percentile."""
    field.check()
    vectors = field.channels[SEMANTIC].coefficients.astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return pca_rgb(vectors)


def pca_rgb(vectors: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 of vectors (N, k): robustly scaled projections on three principal axes."""
    if not len(vectors):
        return np.zeros((0, 3), np.uint8)
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    wanted = axes[:, ::-1][:, :3]
    signs = np.sign(wanted[np.abs(wanted).argmax(axis=0), np.arange(wanted.shape[1])])
    flat = centred @ (wanted * signs)
    low, high = np.quantile(flat, [0.02, 0.98], axis=0)
    scaled = np.clip((flat - low) / np.maximum(high - low, 1e-9), 0, 1)
    out = np.full((len(vectors), 3), 128, np.uint8)
    out[:, : scaled.shape[1]] = np.rint(255 * scaled)
    return out


def heat_colors(values: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
    """(N, 3) uint8 RGB of values (N,) in [0, 1]; low values show `base` (N, 3) greyed instead."""
    grey_levels = (255 * np.clip(values, 0, 1)).astype(np.uint8)
    heat = cv2.applyColorMap(grey_levels[:, None], cv2.COLORMAP_TURBO)
    heat = heat[:, 0, ::-1].astype(np.float32)
    if base is None:
        return heat.astype(np.uint8)
    grey = base.mean(axis=1, keepdims=True).repeat(3, axis=1)
    share = np.clip(values, 0, 1)[:, None] ** 0.5
    return (share * heat + (1 - share) * (0.5 * grey + 0.25 * base)).astype(np.uint8)


def to_ply(
    field: FieldData, path: str | Path, colors: str | np.ndarray = "rgb",
    relevancy: np.ndarray | None = None,
) -> Path:  # fmt: skip
    """Write a binary PLY of the voxels' points in world metres.

    Args:
        colors: "rgb", "pca", or (N, 3) uint8.
        relevancy: (N,) in [0, 1], e.g. field.relevancy(prompt, find)[0]; written as a property
            "relevancy" and, unless `colors` is an array, shown as heat.
    """
    field.check()
    if isinstance(colors, str):
        if colors not in ("rgb", "pca"):
            raise FieldError(f"Colors are 'rgb', 'pca' or an array, not {colors!r}.")
        shown = field.colors if colors == "rgb" else pca_colors(field)
        shown = shown if relevancy is None else heat_colors(relevancy, field.colors)
    else:
        shown = np.asarray(colors, np.uint8)
    names = ["x", "y", "z", "red", "green", "blue"]
    table = np.zeros(len(field), [(n, "<f4") for n in names[:3]] + [(n, "u1") for n in names[3:]]
                     + ([("relevancy", "<f4")] if relevancy is not None else []))  # fmt: skip
    for axis in range(3):
        table[names[axis]] = field.points_world_m[:, axis]
        table[names[3 + axis]] = shown[:, axis]
    if relevancy is not None:
        table["relevancy"] = relevancy
    replace_file(Path(path), lambda file: _write_ply(file, table), FieldError)
    return Path(path)


def _write_ply(path: Path, table: np.ndarray) -> None:
    kinds = {"<f4": "float", "|u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    for name in table.dtype.names or ():
        lines.append(f"property {kinds[table.dtype[name].str]} {name}")
    header = "\n".join([*lines, "end_header", ""])
    path.write_bytes(header.encode("ascii") + table.tobytes())


def to_npz(field: FieldData, path: str | Path) -> Path:
    """Write the arrays (names as in `find_field.field.storage`) and "info", a JSON string, as NPZ.

    Ten lines of numpy query it:

        data = np.load("room.npz")
        e = data["semantic.coefficients"].astype(np.float32)
        e /= np.linalg.norm(e, axis=1, keepdims=True) + 1e-9
        t = data["semantic.basis"].T @ unit_embedding      # e.g. find.embed("the <mug>")
        best = data["points_world_m"][np.argsort(e @ t)[-100:]]
    """
    arrays = field_arrays(field)
    info = json_text({"version": VERSION, **field_info(field)})
    replace_file(Path(path), lambda file: _write_npz(file, arrays, info), FieldError)
    return Path(path)


def _write_npz(path: Path, arrays: dict[str, np.ndarray], info: str) -> None:
    """As np.savez_compressed, which on a full disk leaves a half closed archive behind."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in {**arrays, "info": np.array(info)}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
