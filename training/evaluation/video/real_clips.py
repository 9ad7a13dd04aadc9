"""Strips of real clips with their tracks, to be looked at: there are no labels to count.

python -m training.evaluation.video.real_clips --clips shared/data/clips --out out/real_clips
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from find_core.drawing import contact_sheet, write_image
from find_core.prompts.prompt import Prompt, Reference
from find_core.support.command_line import Parser, number, run_command
from find_core.support.files import write_text
from find_core.support.json_text import figures_text
from find_core.video.offline import VideoReport, localize_video
from find_core.video.sources import open_source

if TYPE_CHECKING:
    from find_core.predictor import Find


@dataclass(frozen=True)
class Shown:
    """An object is shown in one frame of the clip instead of being named.

    Attributes:
        time_s: of that frame. box_xyxy: around one of the objects, pixels.
    """

    time_s: float
    box_xyxy: tuple[int, int, int, int]

    def prompt(self, clip: Path) -> Prompt:
        """ "the <this>" with the reference put in."""
        image = next(open_source(clip).frames(start_s=self.time_s)).image
        return Prompt.parse("the <this>", this=Reference(image, box=self.box_xyxy))


# Objects that are there, and one that is not.
PROMPTS: dict[str, tuple[str | Shown, ...]] = {
    "02_cups.mp4": ("the <red cup>", Shown(1.4, (590, 285, 715, 450)), "the <banana>"),
    "bedroom.mp4": ("the <bed>", "the <pillow>", "the <frying pan>"),
    "bottle-detection.mp4": ("the <bottle>", "the <teddy bear>"),
}
FRAMES_IN_STRIP = 12


def strip_of(video: Path, count: int = FRAMES_IN_STRIP) -> np.ndarray:
    """Evenly spaced frames of a video in two rows, (H, W, 3) uint8 RGB."""
    frames = list(open_source(video).frames())
    chosen = [frames[n] for n in np.linspace(0, len(frames) - 1, count).round().astype(int)]
    captions = [f"{frame.time_s:.1f} s" for frame in chosen]
    images = [frame.image for frame in chosen]
    return contact_sheet(images, captions, columns=-(-count // 2))


def counts(report: VideoReport, prompts: Sequence[str | Shown]) -> list[dict[str, Any]]:
    """What can be counted without labels: relevance, intervals, tracks."""
    out = []
    for n, prompt in enumerate(prompts):
        tracks = {e["track_id"] for e in report.events if e["prompt_index"] == n}
        out.append(
            {
                "prompt": prompt if isinstance(prompt, str) else f"the <this>, {prompt}",
                "mean_relevance": round(float(report.raw[n].mean()), 3),
                "intervals": [i.to_json() for i in report.intervals[n]],
                "tracks": len(tracks),
            }
        )
    return out


def run(find: Find, clips: Path, out: Path, fps: float = 4.0) -> dict[str, Any]:
    """Localize, draw, count; writes a folder and a strip per clip and prompt, and facts.json."""
    answers: dict[str, Any] = {}
    for name, prompts in PROMPTS.items():
        folder = out / Path(name).stem
        asked = [p if isinstance(p, str) else p.prompt(clips / name) for p in prompts]
        report = localize_video(open_source(clips / name), find, asked, folder, fps=fps)
        write_image(out / f"{folder.name}.png", strip_of(folder / "annotated.mp4"))
        answers[name] = counts(report, prompts)
    write_text(out / "facts.json", figures_text(answers, indent=1) + "\n")
    return answers


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="find-tabletop")
    parser.add_argument("--fps", type=number(above=0), default=4.0)
    return run_command("training.evaluation.video.real_clips", parser, argv, _run)


def _run(args: argparse.Namespace) -> int:
    import find_core

    print(figures_text(run(find_core.load(args.model), args.clips, args.out, args.fps), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
