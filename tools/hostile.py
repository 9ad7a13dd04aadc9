"""Messages that nobody should send, for fuzzing nodes over DDS: random ones and good ones mutated.

Everything follows from the given `random.Random`. No message is larger than about a megabyte: what
is tried is what a node believes, not how much the network carries.
"""

from __future__ import annotations

import base64
import json
import random
from array import array
from typing import Any

import cv2
import numpy as np

HEIGHT, WIDTH = 72, 96
# Numbers that code takes for others: ends of ranges, no numbers at all, halves of characters.
NUMBERS = (
    0.0, -0.0, -1.0, 1e-300, 1e-40, 1e300, 3.4e38, float("nan"), float("inf"), float("-inf"), 0.5, 2.0
)  # fmt: skip
SIDES = (0, 1, 2, 3, 7, 71, 72, 73, 96, 1000, 65535, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "16UC1", "32FC1", "64FC1", "8UC1", "8UC3",
    "8UC7", "yuv422", "yuv422_yuy2", "bayer_rggb8", "bayer_grbg16", "", "RGB8", "x" * 5000, "\u00e9",
)  # fmt: skip
FORMATS = (
    "jpeg", "png", "rgb8; jpeg compressed bgr8", "16UC1; png compressed ", "16UC1; compressedDepth png",
    "32FC1; compressedDepth", "tiff", "", "webp", "x" * 5000,
)  # fmt: skip
FRAMES = (
    "camera",
    "camera",
    "camera",
    "world",
    "",
    "other",
    "/",
    "a" * 3000,
    "\u202e",
    "\n",
    "thing",
)
WORDS = (
    "the <red>", "a <mug> on the <table>", "<thing>", "<>", "<<a>>", "<a", "a>", "", " ", "\x00", "\x1b[2J",
    "<\u202eab>", "\U0001f600 <\U0001f600>", "<" * 500, "<a> " * 300, "the <" + "x" * 20_000 + ">", "%s%n",
    "<a|b>", "<" + "\u0301" * 400 + ">", "\ufeff<a>",
)  # fmt: skip
REGIONS: tuple[Any, ...] = (
    [1, 1, 9, 9], [9, 9, 1, 1], [1e308, 0, 1, 1], [0, 0, 0, 0], [], "1,1,9,9", None, {"x": 1}, [[1, 2], [3]],
    [-5, -5, 200, 200], [True, False, 1, 1], [10**400, 1, 1, 1], [[1, 1], [9, 1], [9, 9]], 7,
)  # fmt: skip
KINDS = ("box", "point", "circle", "polygon", "scribble", "mask", "nothing", "", 3)
JSON_VALUES: tuple[Any, ...] = (
    None, True, -1, 10**400, 1e308, "", "x" * 3000, [], {}, [[[[[]]]]], {"a": {"a": {"a": {}}}},
    "\ud800", "/etc/shadow", "..", "NaN", 2**63,
)  # fmt: skip


class Hostile:
    """A source of bad messages; `stamp` of a message is near the given time, or far from it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        noise = np.random.default_rng(rng.randrange(2**32))
        self._pixels = noise.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        smooth = cv2.GaussianBlur(self._pixels, (0, 0), 5)
        self._encoded = [
            cv2.imencode(e, smooth)[1].tobytes() for e in (".jpg", ".png", ".webp", ".tiff")
        ]
        depth = np.full((HEIGHT, WIDTH), 1500, np.uint16)
        self._encoded.append(cv2.imencode(".png", depth)[1].tobytes())

    def header(self, now_ns: int) -> Any:
        from builtin_interfaces.msg import Time
        from std_msgs.msg import Header

        rng = self.rng
        stamp_ns = now_ns + rng.choice((0, 0, 0, 0, 0, -(10**7), 10**9, -(10**10), 10**10))
        sec, nanosec = divmod(stamp_ns, 10**9)
        if rng.random() < 0.1:
            sec, nanosec = (
                rng.choice((0, 2**31 - 1, -(2**31), -1)),
                rng.choice((0, 2**32 - 1, 10**9)),
            )
        return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=rng.choice(FRAMES))

    def image(self, now_ns: int) -> Any:
        """sensor_msgs/Image, colour or depth or neither."""
        from sensor_msgs.msg import Image

        rng = self.rng
        msg = Image(
            header=self.header(now_ns), height=HEIGHT, width=WIDTH, step=3 * WIDTH, encoding="rgb8"
        )
        data = self._pixels.tobytes()
        for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
            match rng.randrange(6):
                case 0:
                    msg.height = rng.choice(SIDES)
                case 1:
                    msg.width = rng.choice(SIDES)
                case 2:
                    msg.step = rng.choice(SIDES)
                case 3:
                    msg.encoding = rng.choice(ENCODINGS)
                case 4:
                    data = data[: rng.choice((0, 1, 100, WIDTH, len(data) - 1))] * rng.choice(
                        (1, 1, 3)
                    )
                case 5:
                    msg.is_bigendian = rng.choice((0, 1, 255))
        msg.data = array("B", data)
        return msg

    def depth(self, now_ns: int) -> Any:
        """A depth image that fits the colour's size and holds what no depth is."""
        from sensor_msgs.msg import Image

        rng = self.rng
        if rng.random() < 0.3:
            return self.image(now_ns)
        with np.errstate(over="ignore"):
            first, second = np.array(rng.sample((1.5, *NUMBERS), 2)).astype(np.float32)
        values = np.full((HEIGHT, WIDTH), first)
        values[:: rng.randrange(1, 9)] = second
        msg = Image(
            header=self.header(now_ns), height=HEIGHT, width=WIDTH, step=4 * WIDTH, encoding="32FC1"
        )
        msg.data = array("B", values.tobytes())
        return msg

    def compressed(self, now_ns: int) -> Any:
        """sensor_msgs/CompressedImage: whole, cut, flipped, with lengths that lie."""
        from sensor_msgs.msg import CompressedImage

        rng = self.rng
        msg = CompressedImage(header=self.header(now_ns), format=rng.choice(FORMATS))
        msg.data = array("B", self._damaged(rng.choice(self._encoded)))
        return msg

    def camera_info(self, now_ns: int) -> Any:
        from sensor_msgs.msg import CameraInfo

        rng = self.rng
        info = CameraInfo(header=self.header(now_ns), height=HEIGHT, width=WIDTH)
        k = [100.0, 0.0, WIDTH / 2, 0.0, 100.0, HEIGHT / 2, 0.0, 0.0, 1.0]
        p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
        for _ in range(rng.choice((0, 1, 1, 2, 9))):
            match rng.randrange(5):
                case 0:
                    k[rng.randrange(9)] = rng.choice(NUMBERS)
                case 1:
                    p[rng.randrange(12)] = rng.choice(NUMBERS)
                case 2:
                    info.height, info.width = rng.choice(SIDES), rng.choice(SIDES)
                case 3:
                    info.d = [
                        rng.choice(NUMBERS) for _ in range(rng.choice((0, 1, 4, 5, 8, 13, 100)))
                    ]
                case 4:
                    info.distortion_model = rng.choice(("fisheye", "", "plumb_bob", "x" * 5000))
        info.k, info.p = k, p
        return info

    def pose(self, now_ns: int) -> Any:
        from geometry_msgs.msg import PoseStamped

        rng = self.rng
        msg = PoseStamped(header=self.header(now_ns))
        p, q = msg.pose.position, msg.pose.orientation
        p.x, p.y, p.z = (rng.choice((0.0, 1.0, *NUMBERS)) for _ in range(3))
        q.x, q.y, q.z, q.w = (rng.choice((0.0, 0.0, 1.0, *NUMBERS)) for _ in range(4))
        return msg

    def prompt(self) -> str:
        """A prompt or a query: a sentence, JSON, or JSON that was damaged."""
        rng = self.rng
        if rng.random() < 0.3:
            return rng.choice(WORDS)
        text = json.dumps(self._prompt_json())
        if rng.random() < 0.4:
            text = self._damaged(text.encode()).decode("utf-8", "ignore")
        if rng.random() < 0.02:
            text = rng.choice(("[", '{"a":', '{"prompt":[')) * 30_000
        return text

    def _prompt_json(self) -> Any:
        rng = self.rng
        data: dict[str, Any] = {
            "version": 1,
            "prompt": "the <thing>",
            "references": {"thing": self._reference()},
        }
        for _ in range(rng.choice((0, 1, 1, 2))):
            match rng.randrange(5):
                case 0:
                    data[rng.choice(("version", "prompt", "references", "id", "x"))] = rng.choice(
                        JSON_VALUES
                    )
                case 1:
                    data["prompt"] = rng.choice(WORDS)
                case 2:
                    data["references"] = {
                        f"r{n}": self._reference() for n in range(rng.choice((0, 2, 40)))
                    }
                case 3:
                    data.pop(rng.choice(list(data)), None)
                case 4:
                    return rng.choice(JSON_VALUES)
        return data

    def _reference(self) -> Any:
        rng = self.rng
        image: Any = {"name": rng.choice(("thing", "camera", "nobody", ""))}
        match rng.randrange(4):
            case 0:
                image = {
                    "png_base64": base64.b64encode(
                        self._damaged(rng.choice(self._encoded))
                    ).decode()
                }
            case 1:
                image = {"path": rng.choice(("/etc/shadow", "badge.png", "~/.ssh/id_rsa", "\x00"))}
            case 2:
                image = rng.choice(JSON_VALUES)
        region = {"kind": rng.choice(KINDS), "data": rng.choice(REGIONS)}
        if rng.random() < 0.1:
            region["width_px"] = rng.choice(NUMBERS)
        if rng.random() < 0.8:
            return {"image": image, "region": region}
        return {"image": image, str(rng.choice(KINDS)): rng.choice(REGIONS)}

    def _damaged(self, data: bytes) -> bytes:
        """A few bytes changed, cut, doubled; half of the time as it is."""
        rng, out = self.rng, bytearray(data)
        if not out or rng.random() < 0.3:
            return data
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(out)) if out else 0
            match rng.randrange(5):
                case 0 if out:
                    out[at] ^= 1 << rng.randrange(8)
                case 1:
                    del out[at:]
                case 2:
                    out[at : at + 4] = rng.choice(
                        (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xf0\0\0\0")
                    )
                case 3:
                    out[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 8, 64))))
                case _:
                    head = rng.randrange(min(40, len(out))) if out else 0  # where sizes stand
                    out[head : head + 1] = bytes([rng.randrange(256)])
        return bytes(out)
