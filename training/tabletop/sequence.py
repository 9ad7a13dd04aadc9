"""Render a video of one tabletop: a smooth camera move, objects that come, go and move.

    python -m training.tabletop.sequence --out DIR --seed 3 --frames 48
    python -m training.tabletop.sequence --out DIR --seed 3 --frames 60 --camera static \\
        --object porcelain_mug,x=-0.1,y=0 \\
        --object ketchup,x=0.15,y=0.05,appear=20,disappear=50 \\
        --object s-ball.0.blue,x=-0.2,y=-0.1,to_x=0.2,to_y=-0.1

Every frame has image, instance ids (the same id all along), depth, intrinsics and pose, in the
form of `format`; with `--layout rgbd` instead rgb/, depth/ and one meta.json, as a robot would
record it. `--list` prints the asset ids.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from find_core.support.command_line import Parser, number, run_command, whole
from find_core.support.json_text import json_text
from training.tabletop import format as fmt
from training.tabletop.assets.palette import Camera, Frame, Light
from training.tabletop.scene.cameras import look_at, sample_lights
from training.tabletop.scene.layout import Layout
from training.tabletop.scene.sensor import steady_camera
from training.tabletop.scene.world import OBJECT_SLOTS, Setting, World, with_backdrop


@dataclass
class Actor:
    """One object's part in a sequence."""

    asset: str
    x: float = 0.0
    """World metres, as `y`; with `to_x`, `to_y` where it ends."""
    y: float = 0.0
    yaw_deg: float = 0.0
    to_x: float | None = None
    to_y: float | None = None
    appear: int = 0
    """First frame that shows it."""
    disappear: int | None = None
    """First frame that no longer shows it; None: it stays."""
    on: int | None = None
    """Number of the object that it rests on or in."""

    @classmethod
    def parse(cls, text: str) -> Actor:
        """From `asset,key=value,…` as on the command line."""
        asset, *pairs = text.split(",")
        values: dict[str, float | int] = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key not in cls.__dataclass_fields__ or key == "asset" or not value:
                known = ", ".join(k for k in cls.__dataclass_fields__ if k != "asset")
                raise ValueError(f"cannot read {pair!r} in --object {text!r}; keys are {known}")
            values[key] = int(value) if key in ("appear", "disappear", "on") else float(value)
        return cls(asset, **values)  # type: ignore[arg-type]

    def shown(self, frame: int) -> bool:
        """Whether the frame shows it."""
        return self.appear <= frame and (self.disappear is None or frame < self.disappear)


@dataclass
class Script:
    """A whole sequence."""

    frames: int = 48
    seed: int = 1
    camera: str = "orbit"
    """`orbit`, `slide`, `push`, `sweep` (closer, from left to right) or `static`."""
    actors: list[Actor] = field(default_factory=list)
    """Empty: a random scene."""
    fps: float = 10.0
    degraded: bool = True


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    return run_command("training.tabletop.sequence", _parser(), argv, _run_command)


def _run_command(args: argparse.Namespace) -> int:
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    world = World(width=args.width, height=args.height)
    if args.list:
        print("\n".join(f"{a.id}\t{a.name}" for a in world.gallery.assets.values()))
        return 0
    script = Script(
        args.frames,
        args.seed,
        args.camera,
        [Actor.parse(t) for t in args.object],
        args.fps,
        not args.clean,
    )
    scenes = write_sequence(world, script, args.out, args.layout, args.quality)
    size = sum(f.stat().st_size for f in args.out.rglob("*") if f.is_file())
    summary = {"frames": len(scenes), "folder": str(args.out), "bytes": size}
    print(
        json_text(summary)
        if args.json
        else f"{len(scenes)} frames in {args.out}, {size / 1e6:.2f} MB"
    )
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m training.tabletop.sequence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=whole(), default=1)
    parser.add_argument("--frames", type=whole(1), default=48)
    parser.add_argument("--width", type=whole(1), default=640)
    parser.add_argument("--height", type=whole(1), default=480)
    parser.add_argument(
        "--fps", type=number(above=0), default=10.0, help="written into the metadata"
    )
    parser.add_argument(
        "--camera", choices=("orbit", "slide", "push", "sweep", "static"), default="orbit"
    )
    parser.add_argument(
        "--object",
        action="append",
        default=[],
        metavar="ASSET,KEY=VALUE,…",
        help="keys: x, y, to_x, to_y (metres), yaw_deg, appear, disappear "
        "(frames), on (number of an earlier object)",
    )
    parser.add_argument("--layout", choices=("split", "rgbd"), default="split")
    parser.add_argument("--quality", type=whole(1, 100), default=95, help="of the JPEG files")
    parser.add_argument("--clean", action="store_true", help="no sensor noise")
    parser.add_argument("--list", action="store_true", help="print the asset ids and stop")
    parser.add_argument("--json", action="store_true")
    return parser


# -- staging ---------------------------------------------------------------------------------


def stage(world: World, script: Script) -> Setting:
    """The scene at frame 0, all objects in it."""
    rng = np.random.default_rng([script.seed, 4])
    setting = world.arrange("sequence", rng)
    if script.actors:
        layout = Layout()
        for actor in script.actors:
            _enter(world, layout, actor)
        setting.layout = layout
    setting.lights, setting.ambient = _gentle(sample_lights(rng))
    return setting


def _gentle(lights: tuple[list[Light], np.ndarray]) -> tuple[list[Light], np.ndarray]:
    """The same lamps with more ambient light: sequences are to be looked at."""
    return lights[0], np.clip(lights[1] + 0.1, 0, 0.6)


def _enter(world: World, layout: Layout, actor: Actor) -> None:
    if actor.asset not in world.gallery.assets:
        raise ValueError(f"no asset is called {actor.asset!r}; --list prints all ids")
    if len(layout.placed) == OBJECT_SLOTS:
        raise ValueError(f"a scene holds at most {OBJECT_SLOTS} objects; remove one --object")
    if actor.on is not None and not 0 <= actor.on < len(layout.placed):
        raise ValueError(f"on={actor.on} must be the number of an earlier --object (0 first)")
    world.composer.put(layout, actor.asset, (actor.x, actor.y), np.radians(actor.yaw_deg), actor.on)


def camera_path(script: Script, points_N3: np.ndarray) -> list[Camera]:
    """A smooth path that keeps the points (world metres) in view."""
    rng = np.random.default_rng([script.seed, 5])
    target = (points_N3.min(0) + points_N3.max(0)) / 2
    radius = float(np.linalg.norm(np.ptp(points_N3, axis=0))) / 2
    fovy, reach = 45.0, max(radius / np.sin(np.radians(45) / 2) * 0.92, 0.45)
    turn, height = np.radians(rng.uniform(28, 40)), np.radians(rng.uniform(30, 42))
    cameras = []
    for s in np.linspace(0, 1, script.frames):
        ease = s * s * (3 - 2 * s)
        azimuth, elevation, distance, shift = -np.pi / 2, height, reach, 0.0
        if script.camera == "orbit":
            azimuth += turn * (2 * ease - 1)
            elevation += np.radians(6) * np.sin(np.pi * ease)
        elif script.camera == "slide":
            shift = 0.5 * radius * (2 * ease - 1)
        elif script.camera == "push":
            distance = reach * (1.25 - 0.5 * ease)
        elif script.camera == "sweep":
            distance, shift = 0.72 * reach, 0.62 * radius * (2 * ease - 1)
            azimuth += 0.6 * turn * (2 * ease - 1)
            elevation += np.radians(5) * np.sin(2 * np.pi * ease)
        direction = np.array(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
            ]
        )
        aim = target + np.array([shift, 0, 0])
        cameras.append(Camera(look_at(aim + distance * direction, aim), fovy))
    return cameras


def move(world: World, script: Script, setting: Setting, frame: int) -> None:
    """Show, hide and move the objects for one frame."""
    for s, actor in enumerate(script.actors):
        if not actor.shown(frame):
            world.palette.set_slot(s, None)
        elif frame == actor.appear:
            world.show_object(s, setting.layout.placed[s])
    for s, actor in enumerate(script.actors):
        if actor.to_x is None and actor.to_y is None:
            continue
        share = frame / max(script.frames - 1, 1)
        end = (
            actor.x if actor.to_x is None else actor.to_x,
            actor.y if actor.to_y is None else actor.to_y,
        )
        placed = setting.layout.placed[s]
        step = np.array([actor.x, actor.y]) * (1 - share) + np.array(end) * share
        delta = step - (placed.outline_N2.min(0) + placed.outline_N2.max(0)) / 2
        placed.outline_N2 = placed.outline_N2 + delta
        placed.T_world_object = placed.T_world_object.copy()
        placed.T_world_object[:2, 3] += delta
        world.palette.pose_slot(s, placed.T_world_object)


# -- writing ---------------------------------------------------------------------------------


def render_frames(
    world: World, script: Script
) -> Iterator[tuple[dict, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (scene dict, rgb, ids, depth in metres) per frame."""
    setting = stage(world, script)
    world.show(setting)
    points = np.concatenate(
        [
            np.column_stack([p.outline_N2, np.full(len(p.outline_N2), z)])
            for p in setting.layout.placed
            for z in (p.floor_m, p.top_m)
        ]
    )
    sensor = steady_camera(np.random.default_rng([script.seed, 6])) if script.degraded else None
    for f, camera in enumerate(camera_path(script, points)):
        setting.camera = camera
        move(world, script, setting, f)
        frame = world.palette.render(camera)
        rgb = with_backdrop(frame, setting.backdrop)
        if sensor:
            rgb = sensor(rgb, np.random.default_rng([script.seed, 7, f]))
        yield (
            _frame_json(world, script, setting, frame, f),
            rgb,
            world.instance_ids(setting, frame),
            frame.depth_m,
        )


def _frame_json(world: World, script: Script, setting: Setting, frame: Frame, f: int) -> dict:
    instances = world.instances(setting, frame)
    scene = {
        "index": f,
        "seed": script.seed,
        "time_s": fmt.rounded(f / script.fps, 4),
        "K": fmt.rounded(setting.camera.K(world.palette.width, world.palette.height), 3),
        "T_world_camera": fmt.rounded(setting.camera.T_world_camera, 6),
        "instances": instances,
    }
    rng = np.random.default_rng([script.seed, 8])
    return scene | world.text_writer.language(
        setting.layout, setting.camera.T_world_camera, instances, "sequence", rng
    )


def write_sequence(
    world: World, script: Script, out: Path, layout: str = "split", quality: int = 95
) -> list[dict]:
    """Render and write a sequence; returns the per-frame JSON."""
    from rich.progress import track

    rgbd = layout == "rgbd"
    for folder in [out / "rgb", out / "depth"] if rgbd else [out]:
        folder.mkdir(parents=True, exist_ok=True)
    scenes = []
    frames = render_frames(world, script)
    for scene, rgb, ids, depth_m in track(frames, "rendering", total=script.frames):
        stem = f"{scene['index']:06d}"
        depth = fmt.depth_to_mm(depth_m)
        if rgbd:
            fmt.write_image(out / "rgb" / f"{stem}.jpg", rgb, quality)
            fmt.write_image(out / "depth" / f"{stem}.png", depth)
        else:
            fmt.write_image(out / f"{stem}.jpg", rgb, quality)
            fmt.write_image(out / f"{stem}.png", ids)
            fmt.write_image(out / f"{stem}_depth.png", depth)
        scenes.append(scene)
    if rgbd:
        meta = json_text(rgbd_meta(world, script, scenes), indent=1) + "\n"
        fmt.write_bytes(out / "meta.json", meta.encode())
    else:
        fmt.write_bytes(out / "scenes.jsonl", "".join(map(fmt.scene_line, scenes)).encode())
    return scenes


def rgbd_meta(world: World, script: Script, scenes: list[dict]) -> dict:
    """meta.json of the `rgbd` layout: one camera, poses per frame, the objects in view."""
    keys = ("id", "asset", "name", "names", "color", "center_world_m", "extent_m", "T_world_object")
    objects = {
        i["id"]: {k: i[k] for k in keys} for s in scenes for i in s["instances"] if not i["stuff"]
    }
    return {
        "width": world.palette.width,
        "height": world.palette.height,
        "fps": script.fps,
        "seed": script.seed,
        "K": scenes[0]["K"],
        "depth_unit_m": 0.001,
        "camera_axes": "OpenCV: x right, y down, z forward; world z up, metres",
        "frames": [
            {
                "file": f"{s['index']:06d}",
                "time_s": s["time_s"],
                "T_world_camera": s["T_world_camera"],
            }
            for s in scenes
        ],
        "objects": [objects[i] for i in sorted(objects)],
    }


if __name__ == "__main__":
    raise SystemExit(main())
