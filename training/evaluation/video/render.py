"""Render the labelled clips of the video suite.

    python -m training.evaluation.video.render --out runs/video_suite --seed 1

A clip is a folder: `frames/000000.jpg`..., `ids/000000.png` (8 bit: object number from 1, 0 for
the rest), `clip.json` (prompt, targets, rate), and for visual prompts `reference.png` with
`reference_mask.png`. Held-out kinds and the sensor-noise variant are clips of their own.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from find_core.support.command_line import whole
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from training.evaluation.video.scripts import SCENARIOS

if TYPE_CHECKING:
    from training.evaluation.video.staging import Stage
    from training.tabletop.scene.world import World

WIDTH, HEIGHT = 384, 288
DURATION_S, FPS = 10.0, 8.0


@dataclass(frozen=True)
class Order:
    """One clip to render: its name says all of it."""

    scenario: str
    seed: int
    held: bool = False
    noise: bool = False
    visual: bool = False

    @property
    def name(self) -> str:
        flags = "".join(f"-{word}" for word in ("held", "noise", "visual") if getattr(self, word))
        return f"{self.scenario}-{self.seed}{flags}"


def orders(seed: int, known: int = 4, held: int = 1, noise: int = 1) -> list[Order]:
    """So many clips of every scenario: known kinds, held-out kinds, and with sensor noise."""
    out = []
    for scenario in SCENARIOS:
        # Every third is asked with an image instead of words.
        out += [Order(scenario, seed * 100 + n, visual=n % 3 == 2) for n in range(known)]
        out += [Order(scenario, seed * 100 + 50 + n, held=True) for n in range(held)]
        out += [Order(scenario, seed * 100 + n, noise=True) for n in range(noise)]
    return out


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Render the labelled clips of the video suite.",
        epilog="Example: python -m training.evaluation.video.render --out runs/video_suite --seed 1",
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=whole(), default=1)
    parser.add_argument("--known", type=whole(), default=4, help="clips a scenario, known kinds")
    parser.add_argument("--held", type=whole(), default=1, help="clips a scenario, held-out kinds")
    parser.add_argument("--noise", type=whole(), default=1, help="clips a scenario, noisy sensor")
    args = parser.parse_args(argv)
    render_suite(args.out, orders(args.seed, args.known, args.held, args.noise))
    return 0


def render_suite(out: Path, wanted: list[Order]) -> list[Path]:
    """Render what is not there yet; returns all clip folders."""
    from rich.progress import track

    todo = [order for order in wanted if not (out / order.name / "clip.json").is_file()]
    if todo:
        from training.evaluation.video.staging import Director
        from training.tabletop.scene.world import World

        world = World(width=WIDTH, height=HEIGHT)
        director = Director(world)
        for order in track(todo, description="rendering clips"):
            stage = director.stage(order.scenario, order.seed, order.held, DURATION_S)
            render_clip(world, stage, order, out / order.name)
        world.close()
    return [out / order.name for order in wanted]


def render_clip(world: World, stage: Stage, order: Order, folder: Path) -> None:
    """Write one clip; `clip.json` comes last, so that a folder without it is unfinished."""
    from training.tabletop.assets.palette import Camera
    from training.tabletop.scene.world import OBJECT_SLOTS, with_backdrop

    (folder / "frames").mkdir(parents=True, exist_ok=True)
    (folder / "ids").mkdir(exist_ok=True)
    setting, script = stage.setting, stage.script
    if order.visual:
        _write_reference(world, stage, order.seed, folder)
    world.show(setting)
    sensor = Sensor(order.seed) if order.noise else None
    for n in range(round(script.duration_s * FPS)):
        for index, pose in script.moving.items():
            world.palette.pose_slot(index, pose(n / FPS))
        frame = world.palette.render(Camera(script.camera(n / FPS), setting.camera.fovy_deg))
        rgb = with_backdrop(frame, setting.backdrop)
        rgb = rgb if sensor is None else sensor(rgb)
        ids = np.where((frame.slots >= 0) & (frame.slots < OBJECT_SLOTS), frame.slots + 1, 0)
        cv2.imwrite(str(folder / "frames" / f"{n:06d}.jpg"), rgb[..., ::-1], _QUALITY)
        cv2.imwrite(str(folder / "ids" / f"{n:06d}.png"), ids.astype(np.uint8))
    write_text(folder / "clip.json", json_text(describe(stage, order), indent=1) + "\n")


_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 94]


def describe(stage: Stage, order: Order) -> dict:
    """The labels of a clip that are not pixels."""
    return {
        "version": 1,
        "scenario": order.scenario,
        "seed": order.seed,
        "held_out": order.held,
        "noise": order.noise,
        "fps": FPS,
        "prompt": "bring me <this>" if order.visual else f"the <{stage.phrase}>",
        "phrase": stage.phrase,
        "target_kind": stage.asset.kind,
        "targets": [index + 1 for index in stage.script.targets],
        "objects": [p.asset.name for p in stage.setting.layout.placed],
    }


def _write_reference(world: World, stage: Stage, seed: int, folder: Path) -> None:
    """An image of the target in another place, with its mask."""
    from training.tabletop.scene.world import with_backdrop

    for attempt in range(20):
        rng = np.random.default_rng([seed, attempt, 77])
        setting = world.arrange("val", rng)
        setting.layout = world.composer.place([stage.asset.id], (0.2, 0.2), rng)
        if not setting.layout.placed:
            continue
        from training.tabletop.scene.cameras import sample_camera

        spot = setting.layout.placed[0].T_world_object[:3, 3]
        points = spot + np.array([[-0.12, -0.12, 0.0], [0.12, 0.12, 0.2]])
        setting.camera = sample_camera(rng, points, WIDTH / HEIGHT)
        world.show(setting)
        frame = world.palette.render(setting.camera)
        mask = frame.slots == 0
        if mask.sum() >= 600:
            rgb = with_backdrop(frame, setting.backdrop)
            cv2.imwrite(str(folder / "reference.png"), rgb[..., ::-1])
            cv2.imwrite(str(folder / "reference_mask.png"), 255 * mask.astype(np.uint8))
            return
    raise RuntimeError(f"{stage.asset.id} could not be photographed: try another seed.")


class Sensor:
    """A cheap camera in bad light: gain noise anew in every frame, blur, JPEG."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 99])
        self.gain, self.sigma = self.rng.uniform(0.55, 0.8), self.rng.uniform(8, 14)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        image = cv2.GaussianBlur(rgb, (0, 0), 0.7).astype(np.float32) * self.gain
        image += self.rng.normal(0, self.sigma, image.shape)
        packed = cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8), [1, 45])[1]
        return cv2.imdecode(packed, cv2.IMREAD_COLOR)


if __name__ == "__main__":
    raise SystemExit(main())
