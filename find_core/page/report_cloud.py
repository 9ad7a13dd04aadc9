"""A scene in 3D inside the report: points and boxes that turn under mouse and arrow keys.

Drawn by a few dozen lines on a plain canvas, so that the page stays one file that asks nobody.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_POINTS = 30_000
"""Nine bytes each: a third of a megabyte as text."""
NEAR = 2 / 3
"""Where there are more, so many of those drawn are the nearest to what was found; others are thinned."""
SPREAD = 1.3
"""A point is drawn so much larger than their spacing: voxels' points are not evenly spaced."""
_STEPS = 65535


@dataclass(frozen=True, eq=False)
class CloudBox:
    """A thing found in it.

    Attributes:
        label: its name. says: what is known of it, for the list below the picture.
        corners_m: (8, 3); corner i's bits say which end of the box's x, y, z it is.
        color: RGB in 0..255.
    """

    label: str
    says: str
    corners_m: np.ndarray
    color: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Cloud:
    """What was seen, in metres of one world frame.

    Attributes:
        points_m: (N, 3), N >= 1. colors: (N, 3) uint8 RGB. spacing_m: between neighbours.
        boxes: best first. up: (3,) direction that stands upright.
        seen_from_m: (3,) where it is looked from at first, as far as the side goes; None: anywhere.
    """

    points_m: np.ndarray
    colors: np.ndarray
    spacing_m: float
    boxes: Sequence[CloudBox] = ()
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    seen_from_m: np.ndarray | None = None


def cloud_data(cloud: Cloud) -> dict[str, Any]:
    """What the script draws: positions as 16-bit steps of a cube around all but strays."""
    upright = _upright(np.asarray(cloud.up, float))
    low, high = np.quantile(cloud.points_m @ upright.T, [0.01, 0.99], axis=0)
    middle, side_m = (low + high) / 2, max(float((high - low).max()) * 1.2, 1e-3)

    def placed(points_m: np.ndarray) -> np.ndarray:
        """In the cube's own lengths, its middle at 0."""
        return (points_m @ upright.T - middle) / side_m

    boxes = [placed(box.corners_m) for box in cloud.boxes]
    ends = np.concatenate(boxes) if boxes else np.array([[-0.4] * 3, [0.4] * 3])
    target = (ends.min(axis=0) + ends.max(axis=0)) / 2
    yaw = 0.5
    if cloud.seen_from_m is not None:
        ahead = target - placed(cloud.seen_from_m)
        yaw = float(np.arctan2(-ahead[0], ahead[1]))
    points = placed(cloud.points_m)
    rows = _some(points, target)
    rows = rows[(np.abs(points[rows]) <= 0.5).all(axis=1)]
    return {
        "target": np.round(target, 4).tolist(),
        "yaw": round(yaw, 3),
        "zoom": round(float(np.clip(0.7 / max(np.ptp(ends, axis=0).max(), 1e-3), 1, 4)), 3),
        "points": _base64(np.rint((points[rows] + 0.5) * _STEPS).astype("<u2")),
        "colors": _base64(cloud.colors[rows].astype(np.uint8)),
        "spacing": round(SPREAD * cloud.spacing_m / side_m, 5),
        "boxes": [
            {
                "label": box.label,
                "color": "rgb({}, {}, {})".format(*box.color),
                "corners": np.round(corners, 4).tolist(),
            }
            for box, corners in zip(cloud.boxes, boxes, strict=True)
        ],
    }


def cloud_html(cloud: Cloud) -> str:
    """The section around the canvas, with the boxes as a list."""
    found = "".join(
        f"<li><b>{html.escape(box.label)}</b> {html.escape(box.says)}</li>" for box in cloud.boxes
    )
    return (
        SECTION + (f"<ul>{found}</ul>" if found else "<p>Nothing of it was found here.</p>") + END
    )


def _some(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rows of at most `MOST_POINTS`."""
    if len(points) <= MOST_POINTS:
        return np.arange(len(points))
    nearest_first = np.argsort(np.linalg.norm(points - target, axis=1), kind="stable")
    near = round(NEAR * MOST_POINTS)
    rest = np.random.default_rng(0).permutation(nearest_first[near:])
    return np.concatenate([nearest_first[:near], rest[: MOST_POINTS - near]])


def _upright(up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that makes `up` z; the identity where it is."""
    z = up / np.linalg.norm(up)
    x = np.eye(3)[0] - z[0] * z
    if np.linalg.norm(x) < 0.1:
        x = np.eye(3)[1] - z[1] * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


SECTION = """<section aria-label="The scene in 3D"><h2>The same scene as a field</h2>
<canvas id="cloud" width="800" height="480" tabindex="0" role="img"
  aria-label="The scene in 3D with the found things in boxes. Arrow keys turn it, plus and minus zoom."
  style="cursor: grab; touch-action: pan-y"></canvas>
<p>Drag it, or use the arrow keys; + and - zoom.</p>"""
END = "</section>"

SCRIPT = """
const cloud = data.cloud, space = byId("cloud"), pen = space.getContext("2d");
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const steps = new Uint16Array(bytes(cloud.points).buffer), rgb = bytes(cloud.colors);
const [midX, midY, midZ] = cloud.target;
let yaw = cloud.yaw, pitch = 0.6, zoom = cloud.zoom;

function camera() {
  const cy = Math.cos(yaw), sy = Math.sin(yaw), cp = Math.cos(pitch), sp = Math.sin(pitch);
  const focal = 1.3 * space.height, away = 1.5 / zoom;
  return (x, y, z) => {
    x -= midX;
    y -= midY;
    z -= midZ;
    const right = cy * x + sy * y, ahead = cy * y - sy * x, depth = away + ahead * cp - z * sp;
    const size = focal / Math.max(depth, 0.01);
    return [space.width / 2 + size * right, space.height / 2 - size * (ahead * sp + z * cp), depth, size];
  };
}

function drawCloud() {
  const width = space.width, height = space.height, see = camera();
  const picture = pen.createImageData(width, height), pixels = new Uint32Array(picture.data.buffer);
  const nearest = new Float32Array(width * height).fill(Infinity);
  pixels.fill(0xff2a2420);
  for (let i = 0; i < rgb.length; i += 3) {
    const [u, v, depth, size] = see(steps[i] / 65535 - 0.5, steps[i + 1] / 65535 - 0.5, steps[i + 2] / 65535 - 0.5);
    if (depth < 0.02) continue;
    const side = Math.min(Math.ceil(size * cloud.spacing), 24);
    const color = (0xff000000 | rgb[i + 2] << 16 | rgb[i + 1] << 8 | rgb[i]) >>> 0;
    const left = Math.round(u - side / 2), top = Math.round(v - side / 2);
    for (let y = Math.max(top, 0); y < Math.min(top + side, height); y++)
      for (let x = Math.max(left, 0); x < Math.min(left + side, width); x++)
        if (depth < nearest[y * width + x]) {
          nearest[y * width + x] = depth;
          pixels[y * width + x] = color;
        }
  }
  pen.putImageData(picture, 0, 0);
  cloud.boxes.forEach((box) => drawBox(box, see));
}

function drawBox(box, see) {
  const corners = box.corners.map((corner) => see(...corner));
  if (corners.some((corner) => corner[2] < 0.02)) return;
  pen.strokeStyle = pen.fillStyle = box.color;
  pen.lineWidth = 2;
  pen.beginPath();
  for (let a = 0; a < 8; a++)
    for (const bit of [1, 2, 4]) if (!(a & bit)) {
      pen.moveTo(corners[a][0], corners[a][1]);
      pen.lineTo(corners[a | bit][0], corners[a | bit][1]);
    }
  pen.stroke();
  const top = corners.reduce((best, corner) => corner[1] < best[1] ? corner : best);
  pen.font = "bold 15px system-ui, sans-serif";
  pen.strokeStyle = "#000";
  pen.strokeText(box.label, top[0] - 20, top[1] - 6);
  pen.fillText(box.label, top[0] - 20, top[1] - 6);
}

function turn(right, down, closer) {
  yaw += right;
  pitch = Math.min(Math.max(pitch + down, -1.5), 1.5);
  zoom = Math.min(Math.max(zoom * closer, 0.3), 12);
  requestAnimationFrame(drawCloud);
}

space.addEventListener("pointerdown", (event) => space.setPointerCapture(event.pointerId));
space.addEventListener("pointermove", (event) => {
  if (event.buttons) turn(-0.008 * event.movementX, 0.008 * event.movementY, 1);
});
const KEYS = {
  ArrowLeft: [0.12, 0, 1], ArrowRight: [-0.12, 0, 1], ArrowUp: [0, -0.1, 1], ArrowDown: [0, 0.1, 1],
  "+": [0, 0, 1.15], "-": [0, 0, 1 / 1.15],
};
space.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS)) return;
  event.preventDefault();
  turn(...KEYS[event.key]);
});
drawCloud();
"""
