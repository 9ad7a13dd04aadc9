"""Which embedding space vectors live in: an identity that files carry, and when two agree.

An identity is `INTERFACE-VISION`: 16 digits for the configuration and weights of the interface,
8 for the weights of the frozen vision encoder. Files of before the second part was added hold the
first alone; they agree with every identity that begins with it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from find_core.support.json_text import json_text

if TYPE_CHECKING:
    from torch import Tensor

    from find_core.model.find import FindModel

# Settings that change what is made of vectors, not the vectors.
NOT_VECTORS = (
    "name",
    "relevance_scale",
    "relevance_bias",
    "threshold",
    "selection",
    "single_things",
)
_COMPILED = "_orig_mod."  # what `torch.compile` puts into the names of a module's tensors
_IDENTITY = re.compile("([0-9a-f]{16})(?:-([0-9a-f]{8}))?")


def space_of(model: FindModel, vision: Any) -> str:
    """The identity of the space that a model's vectors live in.

    Args:
        model: the interface, compiled or not.
        vision: the frozen image encoder; one without tensors is known by the configuration alone.
    """
    config = {k: v for k, v in model.config.to_dict().items() if k not in NOT_VECTORS}
    digest = hashlib.sha256(json_text(config, sort_keys=True).encode())
    tensors = {key.replace(_COMPILED, ""): t for key, t in model.state_dict().items()}
    for key, tensor in sorted(tensors.items()):
        digest.update(key.encode())
        digest.update(_bytes(tensor))
    interface = digest.hexdigest()[:16]
    if not hasattr(vision, "state_dict"):
        return interface
    # Without names, in no order: those are the encoder library's, and change with its versions.
    parts = sorted(hashlib.sha256(_bytes(t)).digest() for t in vision.state_dict().values())
    return f"{interface}-{hashlib.sha256(b''.join(parts)).hexdigest()[:8]}"


def same_space(a: str | None, b: str | None) -> bool:
    """Whether vectors of the identities `a` and `b` may be compared."""
    if a == b:
        return True
    x, y = _IDENTITY.fullmatch(a or ""), _IDENTITY.fullmatch(b or "")
    return bool(x and y and x[1] == y[1] and None in (x[2], y[2]))


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().float().cpu().numpy().tobytes()
