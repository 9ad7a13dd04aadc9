"""A scene's embeddings span few directions: an orthonormal basis and coefficients in it."""

from __future__ import annotations

import numpy as np

from find_core.errors import FieldError

DEFAULT_RANK = 48


def fit_basis(embeddings: np.ndarray, rank: int = DEFAULT_RANK) -> np.ndarray:
    """The orthonormal basis (D, k), k = min(rank, D), that keeps most of the embeddings' energy.

    Not centred: inner products with any query stay exact within the basis. When the embeddings
    span fewer than k directions the rest is an arbitrary orthonormal completion.

    Args:
        embeddings: (M, D), rows weighted by their length.

    Raises:
        FieldError: no embeddings, or not finite.
    """
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2 or not len(embeddings) or not np.isfinite(embeddings).all():
        raise FieldError("A basis needs finite embeddings (M, D): encode at least one frame first.")
    _, vectors = np.linalg.eigh(embeddings.T @ embeddings)  # ascending; (D, D)
    rank = min(rank, embeddings.shape[1])
    return np.ascontiguousarray(vectors[:, ::-1][:, :rank], dtype=np.float32)


def check_basis(basis: np.ndarray, dim: int) -> np.ndarray:
    """Return (D, k) float32 with orthonormal columns.

    Raises:
        FieldError: wrong shape or not orthonormal.
    """
    basis = np.asarray(basis, np.float32)
    if basis.ndim != 2 or basis.shape[0] != dim or basis.shape[1] > dim:
        raise FieldError(f"The basis has shape {basis.shape}: give ({dim}, k) with k <= {dim}.")
    if np.abs(basis.T @ basis - np.eye(basis.shape[1])).max() > 1e-3:
        raise FieldError("The basis is not orthonormal: make one with find_field.fit_basis.")
    return basis


def kept_energy(embeddings: np.ndarray, coefficients: np.ndarray) -> float:
    """Share of the embeddings' (M, D) squared length that their coefficients (M, k) hold, in [0, 1]."""
    total = float(np.square(embeddings, dtype=np.float64).sum())
    return float(np.square(coefficients, dtype=np.float64).sum()) / total if total else 1.0
