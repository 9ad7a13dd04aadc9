"""Two fields of one place in one: exact with a shared basis, re-based otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from find_core.embedding_space import same_space
from find_core.errors import FieldError
from find_field.field.basis import fit_basis
from find_field.field.data import Channel, FieldData
from find_field.field.quantized import from_half, to_half
from find_field.field.voxels import group, group_sum, pack, unpack

FieldT = TypeVar("FieldT", bound=FieldData)


def rebase(channel: Channel, basis: np.ndarray) -> Channel:
    """The channel's embeddings as coefficients of another basis (D, k)."""
    change = channel.basis.T @ basis
    coefficients = to_half(from_half(channel.coefficients) @ change)
    return replace(channel, basis=basis, coefficients=coefficients)


def merge(a: FieldT, b: FieldData) -> FieldT:
    """All voxels of both; where both saw one, the mean by weight.

    With the same basis this equals lifting all frames at once (to float16). With different bases
    both are first re-based to a joint one of the larger rank.

    Raises:
        FieldError: different models, voxel sizes, world frames or channels.
    """
    _check_alike(a, b)
    a.check()
    b.check()
    channels = {name: _joint(a, b, name) for name in a.channels}
    keys, inverse = group(np.concatenate([pack(a.ijk), pack(b.ijk)]))
    weight = np.concatenate([a.weight, b.weight])
    total = np.bincount(inverse, weight, len(keys)).astype(np.float32)
    mean = group_sum(inverse, weight / np.maximum(total, 1e-12)[inverse], len(keys))

    def fused(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return mean @ np.concatenate([x, y]).astype(np.float32)

    provenance = {**a.provenance, "source": "merge"}
    provenance["frames"] = a.provenance.get("frames", 0) + b.provenance.get("frames", 0)
    return replace(
        a,
        ijk=unpack(keys),
        points_world_m=fused(a.points_world_m, b.points_world_m),
        colors=np.clip(np.rint(fused(a.colors, b.colors)), 0, 255).astype(np.uint8),
        weight=total,
        count=np.bincount(inverse, np.concatenate([a.count, b.count]), len(keys)).astype(np.int32),
        channels={name: _fuse_channel(*pair, fused) for name, pair in channels.items()},
        provenance=provenance,
        unchecked=None,
        **_seen(a, b, inverse, len(keys)),
    )


def _seen(a: FieldData, b: FieldData, inverse: np.ndarray, voxels: int) -> dict[str, Any]:
    """How often each voxel of both was seen, and when last; unknown when either says nothing."""
    known = (a.times_seen, b.times_seen, a.last_seen_ns, b.last_seen_ns)
    if any(array is None for array in known):
        return {"times_seen": None, "last_seen_ns": None}
    a_times, b_times, a_last, b_last = known
    times, last = np.zeros(voxels, np.int32), np.full(voxels, -1, np.int64)
    np.add.at(times, inverse, np.concatenate([a_times, b_times]))
    np.maximum.at(last, inverse, np.concatenate([a_last, b_last]))
    return {"times_seen": times, "last_seen_ns": last}


def _check_alike(a: FieldData, b: FieldData) -> None:
    models = a.provenance.get("fingerprint"), b.provenance.get("fingerprint")
    pairs = {
        "models": (None, None) if same_space(*models) else models,
        "voxel sizes": (a.voxel_size_m, b.voxel_size_m),
        "world frames": (a.frame, b.frame),
        "channels": (sorted(a.channels), sorted(b.channels)),
    }
    for what, (x, y) in pairs.items():
        if x != y:
            raise FieldError(f"The fields have different {what} ({x} and {y}): lift both alike.")


def _joint(a: FieldData, b: FieldData, name: str) -> tuple[Channel, Channel]:
    x, y = a.channels[name], b.channels[name]
    if x.basis.shape == y.basis.shape and np.array_equal(x.basis, y.basis):
        return x, y
    spread = [_principal_rows(x, a.weight), _principal_rows(y, b.weight)]
    rank = max(x.basis.shape[1], y.basis.shape[1])
    basis = fit_basis(np.concatenate(spread), rank)
    return rebase(x, basis), rebase(y, basis)


def _principal_rows(channel: Channel, weight: np.ndarray) -> np.ndarray:
    """(k, D) rows with the same second moments as the voxels' embeddings."""
    coefficients = from_half(channel.coefficients)
    moments = (coefficients * weight[:, None]).T @ coefficients
    values, vectors = np.linalg.eigh(moments.astype(np.float64))
    return (np.sqrt(np.maximum(values, 0)) * vectors).T @ channel.basis.T


def _fuse_channel(
    x: Channel, y: Channel, fused: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Channel:
    mean = fused(x.coefficients, y.coefficients)
    square = fused(_second_moment(x)[:, None], _second_moment(y)[:, None])[:, 0]
    variance = np.maximum(square - np.einsum("nk,nk->n", mean, mean), 0)
    return Channel(x.basis, to_half(mean), to_half(variance))


def _second_moment(channel: Channel) -> np.ndarray:
    coefficients = from_half(channel.coefficients)
    return channel.variance + np.einsum("nk,nk->n", coefficients, coefficients)
