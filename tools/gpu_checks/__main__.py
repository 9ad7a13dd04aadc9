"""Everything that needs a GPU, in five minutes, without a network: tests, speeds, memory, training.

    python tools/gpu_checks --out gpu.json            # on the GPU machine
    python tools/gpu_checks --out dry.json --dry-run  # on a CPU, tiny models, to check this program

Parts run one after the other, each for a limited time. The file is written again after each, so that
what was measured stays when the machine goes away.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # instead of this folder: its files are tools.gpu_checks.*

from tools.gpu_checks.carry import open_carry  # noqa: E402

PARTS: dict[str, float] = {"tests": 110, "default": 50, "focalt": 75, "training": 45}
"""Name and seconds. Together with the start they stay below five minutes."""
DRY_RUN_S = 600
"""Of each part: it takes a few, but a busy machine may need longer."""


def environment() -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    found: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "commit": _output("git", "-C", str(ROOT), "rev-parse", "HEAD"),
    }
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found |= {
            "card": card.name,
            "memory_gib": round(card.total_memory / 2**30, 1),
            "capability": f"{card.major}.{card.minor}",
            "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        }
    return found


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def run_tests(device: str, dry: bool, until: float) -> dict[str, Any]:
    """The tests marked `gpu`, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rfEs", "tests/gpu",
               "-p", "no:cacheprovider"]  # fmt: skip
    command += ["-k", "tiny"] if dry else []
    paths = os.pathsep.join(p for p in sys.path if p)
    known = {**os.environ, "PYTHONPATH": paths, "FIND_TEST_DEVICE": device}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=known, capture_output=True, text=True,
            timeout=max(1.0, until - time.monotonic()),
        )  # fmt: skip
        lines, status = done.stdout.strip().splitlines(), done.returncode
    except subprocess.TimeoutExpired as late:
        lines, status = str(late.stdout or "").splitlines(), "timed out"
    return {"status": status, "summary": lines[-1] if lines else "", "output": lines[-60:]}


def part_of(name: str) -> Callable[[str, bool, float], dict[str, Any]]:
    """The function of a part: device, dry run, and the monotonic time at which to stop."""
    if name == "tests":
        return run_tests
    if name == "training":
        from tools.gpu_checks.steps import measure_training

        return measure_training
    from tools.gpu_checks.frames import measure_model

    return lambda device, dry, until: measure_model(name, device, dry, until)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=__doc__.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--dry-run", action="store_true", help="tiny models, seconds, on the CPU")
    parser.add_argument("--carry", type=Path, default=ROOT / "carry", help="what pack.py made")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--minutes", type=float, default=4.8, help="stop after this time (4.8)")
    args = parser.parse_args()
    started = time.monotonic()
    if args.dry_run:
        os.environ["TORCHDYNAMO_DISABLE"] = "1"  # compiling takes a CPU a minute
    with tempfile.TemporaryDirectory() as folder:
        carried = open_carry(args.carry, Path(folder))
        import torch

        if not args.dry_run and not torch.cuda.is_available():
            print("There is no GPU: torch sees none. Use --dry-run to check this program on a CPU.")
            return 2
        device = "cpu" if args.dry_run else "cuda"
        report: dict[str, Any] = {
            "dry_run": args.dry_run, "environment": environment(), "carried": carried, "parts": {},
        }  # fmt: skip
        for name in args.parts:
            begun = time.monotonic()
            limit = DRY_RUN_S if args.dry_run else PARTS[name]
            until = min(begun + limit, started + 60 * args.minutes)
            try:
                result = part_of(name)(device, args.dry_run, until)
            except Exception as error:  # one part that fails costs no other
                result = {"error": f"{type(error).__name__}: {str(error)[:500]}"}
            result["seconds"] = round(time.monotonic() - begun, 1)
            report["parts"][name] = result
            report["seconds"] = round(time.monotonic() - started, 1)
            args.out.write_text(
                json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8"
            )
            print(
                name,
                json.dumps({k: v for k, v in result.items() if k != "output"}, allow_nan=False),
                flush=True,
            )
    failed = [n for n, r in report["parts"].items() if "error" in r or r.get("status", 0) != 0]
    print(
        f"{args.out}: {report['seconds']} s" + (f", failed: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
