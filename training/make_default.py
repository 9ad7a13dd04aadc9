"""The packaged default from nothing, in one command.

    python -m training.make_default --data DATA --photos PHOTOS --out OUT
    python -m training.make_default --data DATA --photos PHOTOS --out OUT --minutes 170
    python -m training.make_default --data DATA --photos PHOTOS --out OUT --dry-run

Renders, caches features, trains, calibrates, exports, trains the recogniser and evaluates. Each part is skipped where its
output is whole, so that the same command goes on after an interruption, on another day too. It says
how far it is: `OUT/progress.json` and a line a part.

`--minutes` is what the training alone may take on this machine: a few steps are timed first, and the
recipe's steps are scaled to fit. `--dry-run` does all of it with a tiny model.
"""

from __future__ import annotations

import argparse
import functools
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from find_core.errors import ImageError
from find_core.recognition.store import RECOGNIZER_FILE
from find_core.support.command_line import number, whole
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from training.base_recipe import PLAIN_SCENES
from training.config import RecipeError
from training.data.formats.tabletop import read_split
from training.engine.command import ends_in_a_sentence
from training.engine.curves import read_metrics
from training.engine.stages import DataPart, Recipe
from training.recipes import open_recipe

VAL_SCENES, HELD_SCENES, CALIBRATION_SCENES = 150, 120, 60
PROBE_STEPS = 12
PYTHON = sys.executable


@dataclass(frozen=True)
class Part:
    """One piece of the work.

    Attributes:
        settings: what its output depends on; another value makes it stale.
        output: what must exist for it to be whole.
        commands: groups of commands; those of a group run side by side.
    """

    name: str
    settings: str
    output: Path
    commands: Callable[[], Sequence[Sequence[Sequence[str]]]]


@dataclass(frozen=True)
class Plan:
    """Where everything is, and how much of it there shall be."""

    recipe: Recipe
    data: Path
    photos: Path
    out: Path
    processes: int = 2
    minutes: float | None = None
    steps: int | None = None
    limit: int | None = None
    """Images a suite is measured on; None: all."""
    val_scenes: int = VAL_SCENES
    held_scenes: int = HELD_SCENES
    calibration_scenes: int = CALIBRATION_SCENES

    @property
    def scenes(self) -> Path:
        return self.data / "tabletop"

    @property
    def calibration(self) -> Path:
        return self.data / "calibration"

    @property
    def store(self) -> Path:
        return self.out / "store" / "train"

    @property
    def val_store(self) -> Path:
        return self.out / "store" / "val"

    def stage(self, number: int) -> Path:
        return self.out / f"stage{number}"

    @property
    def model(self) -> Path:
        return self.out / "find-base"

    def parts(self) -> list[Part]:
        """All parts in their order."""
        name = self.recipe.name
        stages = range(1, len(self.recipe.stages) + 1)
        return [
            Part("render", f"{self.scene_count} scenes", self.scenes, self.render),
            Part("cache", f"{name} {self.recipe.stages[-1].data}", self.store, self.cache),
            *(
                Part(f"train stage {n}", f"{name} {self.minutes} {self.steps}",
                     self.stage(n) / "last.safetensors", functools.partial(self.train, n))
                for n in stages
            ),
            Part("export", f"after {name} {self.minutes} {self.steps}", self.model, self.export),
            Part("recognise", f"after {name} {self.minutes} {self.steps}",
                 self.model / RECOGNIZER_FILE, self.recognise),
            Part("evaluate", f"after {name} {self.minutes} {self.steps} {self.limit}",
                 self.out / "photos.json", self.evaluate),
        ]  # fmt: skip

    @property
    def scene_count(self) -> int:
        return max(p.scenes[1] for p in self.recipe.stages[-1].data if p.scenes is not None)

    def render(self) -> list[list[list[str]]]:
        """Only what is missing: scenes that are there are not rendered again."""
        plain = min(PLAIN_SCENES, self.scene_count)
        wide = ("--start", str(plain), "--wide")
        wanted: tuple[tuple[Path, str, int, int, tuple[str, ...]], ...] = (
            (self.scenes, "train", plain, 1, ()), (self.scenes, "train", self.scene_count, 1, wide),
            (self.scenes, "val", self.val_scenes, 1, ()), (self.scenes, "held", self.held_scenes, 1, ()),
            (self.calibration, "train", self.calibration_scenes, 777, ()),
        )  # fmt: skip
        return [
            [[PYTHON, "-m", "training.tabletop.render", "--out", str(folder), "--split", split,
              "--scenes", str(count), "--seed", str(seed), "--workers", str(self.processes), *more]]
            for folder, split, count, seed, more in wanted
            if _scenes_in(folder, split) < count
        ]  # fmt: skip

    def cache(self) -> list[list[list[str]]]:
        """Every kind of data in its own parts of the store, shared among the processes."""
        groups = [self._cache(part, n) for n, part in enumerate(self.recipe.stages[-1].data)]
        val = [*self._caching(self.val_store), "--tabletop", str(self.scenes), "--photos",
               str(self.photos), "--split", "val", "--limit", "60"]  # fmt: skip
        return [*groups, [val]]

    def _cache(self, part: DataPart, number: int) -> list[list[str]]:
        source = {
            "rendered": ["--tabletop", str(self.scenes)],
            "photographs": ["--photos", str(self.photos)],
        }.get(part.what) or [
            "--tabletop", str(self.scenes), "--photos", str(self.photos), "--derived-only",
            f"--{part.what}", str(part.count),
        ]  # fmt: skip
        common = [*self._caching(self.store), *source, "--variants", str(part.variants),
                  "--first-variant", str(part.first_variant), "--min-crop", str(part.min_crop)]  # fmt: skip
        return [
            [*common, "--shard", f"{k}/{self.processes}", "--part", f"{part.what}{number}-{k}"]
            for k in range(self.processes)
        ]

    def _caching(self, store: Path) -> list[str]:
        view = self.recipe.first.data.view
        return [PYTHON, "-m", "training.cache", "--recipe", self.recipe.name, "--store", str(store),
                "--height", str(view.height), "--width", str(view.width)]  # fmt: skip

    def settings(self) -> list[str]:
        """Where a stage's data are, as `--set` takes them."""
        return [f"data.tabletop={self.scenes}", f"data.photos={self.photos}",
                f"data.store={self.store}"]  # fmt: skip

    def train(self, stage: int) -> list[list[list[str]]]:
        settings = [*self.settings(), f"optim.steps={self.steps_of(stage)}"]
        if stage > 1:
            settings.append(f"init={self.stage(stage - 1) / 'last.safetensors'}")
        return [[self._training(self.stage(stage), stage, settings)]]

    def _training(self, folder: Path, stage: int, settings: Sequence[str]) -> list[str]:
        several = [PYTHON, "-m", "torch.distributed.run", "--nproc_per_node", str(self.processes)]
        return [*(several if self.processes > 1 else [PYTHON]), "-m", "training.train", "--recipe",
                self.recipe.name, "--stage", str(stage), "--out", str(folder), "--val-store",
                str(self.val_store), "--set", *settings]  # fmt: skip

    def steps_of(self, stage: int) -> int:
        """Steps of a stage, scaled to the steps or minutes that were asked for."""
        every = [self.recipe.config(n + 1).optim.steps for n in range(len(self.recipe.stages))]
        total = self.steps
        if total is None and self.minutes is not None:
            total = int(self.minutes * 60 / self.seconds_a_step())
        share = 1.0 if total is None else total / sum(every)
        return max(1, round(every[stage - 1] * share))

    def seconds_a_step(self) -> float:
        """Seconds a step of all tasks takes here: a few are timed, once a folder."""
        path = self.out / "probe.json"
        if not path.is_file():
            folder = self.out / "probe"
            settings = [*self.settings(), "losses.objects_first=0", "log_every=1",
                        f"optim.steps={PROBE_STEPS}", f"save_every={PROBE_STEPS}"]  # fmt: skip
            _run([self._training(folder, 1, settings)])
            found = [m["seconds_a_step"] for m in read_metrics(folder / "metrics.jsonl")
                     if "seconds_a_step" in m]  # fmt: skip
            steady = sorted(found[len(found) // 3 :])  # the first steps fill caches
            write_text(path, json_text({"seconds_a_step": steady[len(steady) // 2]}))
        return float(json.loads(path.read_text())["seconds_a_step"])

    def export(self) -> list[list[list[str]]]:
        settings = [f"{k}={v}" for k, v in self.recipe.export.items()]
        command = [PYTHON, "-m", "training.export", "--run", str(self.stage(len(self.recipe.stages))),
                   "--out", str(self.model), "--calibrate", str(self.calibration),
                   "--photos", str(self.photos)]  # fmt: skip
        return [[[*command, *(["--set", *settings] if settings else [])]]]

    def recognise(self) -> list[list[list[str]]]:
        """The recogniser, with the new weights' proposals."""
        return [[[PYTHON, "-m", "training.recognition.train", "--model", str(self.model),
                  "--photos", str(self.photos), "--tabletop", str(self.scenes), "--calibrate",
                  str(self.calibration), "--out", str(self.model / RECOGNIZER_FILE)]]]  # fmt: skip

    def evaluate(self) -> list[list[list[str]]]:
        limit = [] if self.limit is None else ["--limit", str(self.limit)]
        suites = (("tabletop", "--tabletop", self.scenes), ("photos", "--photos", self.photos))
        return [
            [[PYTHON, "-m", "training.evaluate", "--suite", suite, "--model", str(self.model),
              flag, str(folder), "--out", str(self.out / f"{suite}.json"), *limit]]
            for suite, flag, folder in suites
        ]  # fmt: skip


def make(plan: Plan, report: Callable[[str], None] = print) -> None:
    """Run every part whose output is not whole yet.

    Raises:
        RecipeError: a part failed; the same command goes on from it.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    record = plan.out / "progress.json"
    done: dict[str, dict[str, object]] = json.loads(record.read_text()) if record.is_file() else {}
    parts, stale = plan.parts(), False
    for n, part in enumerate(parts, 1):
        head = f"[{n}/{len(parts)}] {part.name}"
        known = done.get(part.name, {})
        stale = stale or known.get("settings") != part.settings or not part.output.exists()
        if not stale:
            report(f"{head}: whole, skipped")
            continue
        report(f"{head}: {part.settings}")
        started = time.monotonic()
        for group in part.commands():
            _run(group)
        seconds = round(time.monotonic() - started, 1)
        done[part.name] = {"settings": part.settings, "seconds": seconds}
        write_text(record, json_text(done, indent=1))
        report(f"{head}: done in {seconds / 60:.1f} min")


def _run(commands: Sequence[Sequence[str]]) -> None:
    """Run commands side by side and wait for all of them."""
    running = [subprocess.Popen(list(command)) for command in commands]
    codes = [process.wait() for process in running]
    for command, code in zip(commands, codes, strict=True):
        if code:
            raise RecipeError(
                f"`{shlex.join(command)}` ended with {code}: the same command goes on from here."
            )


def _scenes_in(root: Path, split: str) -> int:
    try:
        return len(read_split(root, split))
    except ImageError:  # none yet
        return 0


def plan_of(args: argparse.Namespace) -> Plan:
    """The plan that a command line asks for."""
    recipe, _ = open_recipe("tiny_base" if args.dry_run else "find_base")
    small = (
        {"limit": 2, "val_scenes": 4, "held_scenes": 2, "calibration_scenes": 2}
        if args.dry_run
        else {}
    )
    return Plan(recipe, args.data, args.photos, args.out, args.processes, args.minutes, args.steps,
                **{"limit": args.limit, **small})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="rendered scenes are kept here")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photograph sets")
    parser.add_argument("--out", type=Path, required=True, help="features, runs and the model")
    parser.add_argument(
        "--processes", type=whole(1, 1024), default=2, help="side by side, one thread each"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes", type=number(above=0), help="of training; steps are scaled to fit"
    )
    length.add_argument("--steps", type=whole(1), help="of all stages together")
    parser.add_argument("--limit", type=whole(1), help="images a suite is measured on")
    parser.add_argument("--dry-run", action="store_true", help="everything in miniature")
    args = parser.parse_args()
    with ends_in_a_sentence("training.make_default"):
        make(plan_of(args), lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
