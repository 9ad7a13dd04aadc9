"""The jobs of find-core and find-field: album, localize, lift, export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from find_core.errors import FindError
from tools.interrupts.job import DamagedError, Job, hash_of, picture, write_checkpoint
from training.engine.command import ends_in_a_sentence


class _Find(Job):
    """A job with a model of its own."""

    def prepare(self) -> None:
        self.model = write_checkpoint(self.inputs / "model")

    def find_core(self, *argv: object) -> int:
        from find_core.cli.main import main

        return main([*map(str, argv), "--model", str(self.model)])


class Album(_Find):
    name = "album"
    command = "find-core album --add"
    BEFORE, PICTURES = 5, 200

    def prepare(self) -> None:
        super().prepare()
        for n in range(self.PICTURES):
            folder = self.inputs / ("before" if n < self.BEFORE else "more")
            folder.mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f"{n}.png"), picture(n))
        if self.find_core("album", self.inputs / "old.album", "--add", self.inputs / "before"):
            raise RuntimeError("no album")

    def begin(self, out: Path) -> None:
        shutil.copy(self.inputs / "old.album", out / "my.album")

    def run(self, out: Path) -> int:
        from find_core.cli import album

        album.SAVE_EVERY_S = 0.0  # so that it saves within the second that it lasts here
        return self.find_core("album", out / "my.album", "--add", self.inputs / "more")

    def result(self, out: Path) -> Any:
        from find_core import load
        from find_core.tasks.album import Album as Opened

        try:
            album = Opened.load(out / "my.album", load(self.model))
            hits = album.search("a <mug>", self.PICTURES)
        except FindError as error:
            raise DamagedError(str(error)) from None
        return sorted((Path(hit.name).name, round(hit.score, 3)) for hit in hits)

    def look(self, out: Path) -> str:
        count = len(self.result(out))
        if count < self.BEFORE:
            raise DamagedError(f"the album holds {count} pictures")
        return {self.BEFORE: "the old one", self.PICTURES: "all"}.get(count, "a stage")


class Localize(_Find):
    name = "localize"
    command = "find-core localize"
    FRAMES = 80

    def prepare(self) -> None:
        super().prepare()
        size = (96, 64)
        video = cv2.VideoWriter(
            str(self.inputs / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, size
        )
        for n in range(self.FRAMES):
            video.write(picture(n // 4))
        video.release()

    def run(self, out: Path) -> int:
        from find_core.video import offline

        offline.CHECKPOINT_FRAMES = 10  # as a recording of minutes does, which this is not
        return self.find_core("localize", self.inputs / "v.mp4", "--prompt", "the <mug>", "--out",
                              out / "found", "--threshold", 0.3)  # fmt: skip

    def result(self, out: Path) -> Any:
        lines = (out / "found/localizations.jsonl").read_text().splitlines()
        frames = [json.loads(line) for line in lines]
        video = cv2.VideoCapture(str(out / "found/annotated.mp4"))
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        if count != len(frames):
            raise DamagedError(f"annotated.mp4 holds {count} frames of {len(frames)}")
        return frames, json.loads((out / "found/timeline.json").read_text())

    def look(self, out: Path) -> str:
        found = out / "found"
        if (found / "timeline.json").exists():
            json.loads((found / "timeline.json").read_text())
        if (found / "localizations.jsonl").exists():
            lines = (found / "localizations.jsonl").read_text().splitlines()
            if len([json.loads(line) for line in lines]) != self.FRAMES:
                raise DamagedError("localizations.jsonl is not whole")
            return "all"
        return "a stage" if (found / "resume.json").exists() else "nothing"


class Lift(_Find):
    name = "lift"
    command = "find-field lift"

    def prepare(self) -> None:
        from find_field.evaluation.toy_world import sample_world
        from tests.find_field.folders import write_sequence

        super().prepare()
        write_sequence(self.inputs / "room", sample_world(seed=0, count=4).frames(12, (96, 128)))
        self.old = self.inputs / "old.field"
        if self._lift(self.old, "--limit", 2):
            raise RuntimeError("no field")
        self.old_hash = _field_hash(self.old)

    def _lift(self, out: Path, *more: object) -> int:
        from find_field.cli import main

        argv = ["lift", self.inputs / "room", "--out", out, "--voxel", 0.03, "--model", self.model]
        return main([*map(str, argv), *map(str, more)])

    def begin(self, out: Path) -> None:
        shutil.copy(self.old, out / "room.field")

    def run(self, out: Path) -> int:
        return self._lift(out / "room.field")

    def result(self, out: Path) -> Any:
        return _field_hash(out / "room.field")

    def look(self, out: Path) -> str:
        return "the old one" if self.result(out) == self.old_hash else "the new one"


def _field_hash(path: Path) -> str:
    import find_field as ff

    try:
        field = ff.load(path)
    except FindError as error:
        raise DamagedError(str(error)) from None
    channels = {name: channel.coefficients for name, channel in field.channels.items()}
    return hash_of({"points": field.points_world_m, **channels})


class FieldPly(Lift):
    """An export replaces the one of another field."""

    name = "export_ply"
    command = "find-field export room.field room.ply"
    SUFFIX = ".ply"

    def prepare(self) -> None:
        super().prepare()
        if self._lift(self.inputs / "room.field", "--rank", 16):
            raise RuntimeError("no field")
        if self._export(self.old, self.inputs / f"old{self.SUFFIX}"):
            raise RuntimeError("no export")
        self.old = self.inputs / f"old{self.SUFFIX}"
        self.old_hash = self._read(self.old)

    def _export(self, field: Path, out: Path) -> int:
        from find_field.cli import main

        return main(["export", str(field), str(out)])

    def begin(self, out: Path) -> None:
        shutil.copy(self.old, out / f"room{self.SUFFIX}")

    def run(self, out: Path) -> int:
        return self._export(self.inputs / "room.field", out / f"room{self.SUFFIX}")

    def result(self, out: Path) -> Any:
        return self._read(out / f"room{self.SUFFIX}")

    def _read(self, path: Path) -> str:
        """Its points; one line each after the header."""
        data = path.read_bytes()
        head, found, body = data.partition(b"end_header\n")
        if not found or not head.startswith(b"ply"):
            raise DamagedError(f"{path.name} has no header")
        count = int(head.partition(b"element vertex ")[2].split()[0])
        if len(body) % max(1, count):
            raise DamagedError(f"{path.name} has {len(body)} bytes for {count} points")
        return hash_of({"all": np.frombuffer(data, np.uint8)})


class FieldNpz(FieldPly):
    name = "export_npz"
    command = "find-field export room.field room.npz"
    SUFFIX = ".npz"

    def _read(self, path: Path) -> str:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return hash_of({name: arrays[name] for name in arrays.files})
        except Exception as error:
            raise DamagedError(f"{path.name}: {error}") from None


class Features(_Find):
    """The part of `ns-train find-field` that writes files of ours, without nerfstudio."""

    name = "feature_cache"
    command = "the feature cache of ns-train find-field"
    IMAGES = 30

    def run(self, out: Path) -> int:
        with ends_in_a_sentence(self.name):
            self._build(out)
        return 0

    def _build(self, out: Path) -> Any:
        from find_core import load
        from find_field.nerf.feature_cache import FeatureCache, build_set

        cache = FeatureCache(out / "cache", load(self.model))
        return build_set(cache, [lambda n=n: picture(n) for n in range(self.IMAGES)], rank=8)

    def result(self, out: Path) -> Any:
        found = self._build(out)
        return hash_of({"maps": found.maps, "basis": found.basis})

    def look(self, out: Path) -> str:
        """Damaged files count as none: what is read back is compared after the next run."""
        return "a stage" if list((out / "cache").rglob("*.npy")) else "nothing"
