"""ns-train find-field on perfect embeddings: what is lost then, the feature head lost.

    python -m find_field.evaluation.train_on_truth find-field-lite --data SEQUENCE ... posed-rgbd

Takes the arguments of ns-train. SEQUENCE is a rendered one, whose masks and names are known
(`python -m training.tabletop.sequence`); `find_field.evaluation.evaluate --field` asks the result.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from find_core.errors import FindError
from find_field.evaluation.ground_truth import open_truth
from find_field.evaluation.oracle import OracleFind


def oracle_of(data: Path, device: str) -> OracleFind:
    """The model that knows the folder `data`; the device is any.

    Raises:
        FieldError: the folder has no ground truth.
    """
    return open_truth(data).oracle()


def main(args: Sequence[str] | None = None) -> int:
    """ns-train with the model "oracle"."""
    from find_field.nerf.datamanager import OTHER_MODELS

    OTHER_MODELS["oracle"] = oracle_of
    given = list(sys.argv[1:] if args is None else args)
    method = given[:1] if given and not given[0].startswith("-") else []
    sys.argv = ["ns-train", *method, "--pipeline.datamanager.find", "oracle", *given[len(method) :]]
    try:
        runpy.run_module("nerfstudio.scripts.train", run_name="__main__")
    except FindError as error:
        print(f"train_on_truth: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
