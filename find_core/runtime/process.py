"""What a process must set for itself before torch is loaded. Called by our own entry points only.

Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
KEPT_BYTES = 2**31 - 1
MMAP_BYTES = (2**30, 2**25)  # the second is the most that older glibc takes


def prepare() -> None:
    """Let waiting threads sleep, and keep freed memory; what the user has set is left alone.

    OMP_WAIT_POLICY=PASSIVE: OpenMP's threads spin while they wait for work, which starves a busy
    machine and gains nothing on a quiet one. It is read when torch is loaded: later it has no effect.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if os.environ.get("FIND_MALLOC", "1") != "0":
        keep_freed_memory()


def keep_freed_memory() -> bool:
    """Have glibc's malloc keep big blocks for the next frame; whether it does now.

    By default each goes back to the kernel when it is freed, and is filled with zeros, page by page,
    when it is asked for again: some 20,000 page faults a frame. The peak is the same.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):  # a C library without mallopt
        mallopt = ctypes.CDLL(None).mallopt
        if any(mallopt(M_MMAP_THRESHOLD, size) for size in MMAP_BYTES):
            return bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
    return False
