"""What is fuzzed: readers of bytes, each with whole inputs to begin from and one law.

The law of all: a `FindError` of one short printable sentence, or an answer. No other exception, no
crash, no input that takes 2 s.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import jsonschema
import numpy as np

from find_core.errors import FindError
from find_core.images import (
    decode_image,
    from_png_base64,
    read_depth_image,
    read_labels,
    to_png_base64,
)
from find_core.masks import mask_to_rle, rle_to_mask
from find_core.prompts.prompt import Prompt
from find_core.prompts.text_form import parse_reference, prompt_from_json_text
from find_core.schemas import load_schema
from find_core.support.strict_json import parse_json
from find_core.video.records import localization_from_json
from find_core.video.resume import read_resume
from find_core.video.sources.image_encodings import decode_compressed, decode_depth_m, decode_rgb

CAMERA = {"camera": np.zeros((16, 20, 3), np.uint8)}
PHOTO = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Target:
    """Attributes:
    kind: "parser" (of text and messages) or "file".
    seeds: (folder) -> whole inputs. run: (bytes, folder) reads one input.
    """

    kind: str
    seeds: Callable[[Path], list[bytes]]
    run: Callable[[bytes, Path], None]


def text_of(data: bytes) -> str:
    """Bytes as Python hands over command lines and messages: never failing."""
    return data.decode("utf-8", "surrogateescape")


# -- parsers ----------------------------------------------------------------------------------


def _prompt_text(data: bytes, folder: Path) -> None:
    prompt = Prompt.parse(text_of(data))
    again = Prompt.parse(prompt.markup)
    assert again.text == prompt.text
    assert [e.label for e in again.entities] == [e.label for e in prompt.entities]
    text, spans = prompt.sentence()
    assert [text[a:b] for a, b in spans] == [e.label for e in prompt.entities]


def _prompt_seeds(folder: Path) -> list[bytes]:
    region = [
        {"kind": "box", "data": [1, 2, 9, 8]}, {"kind": "point", "data": [3, 4], "positive": False},
        {"kind": "scribble", "data": [[1, 1], [5, 6]], "width_px": 3},
        {"kind": "polygon", "data": [[0, 0], [9, 0], [0, 9]]}, {"kind": "circle", "data": [5, 5, 3]},
        {"kind": "mask", "data": {"png_base64": to_png_base64(np.full((16, 20), 255, np.uint8))}},
    ]  # fmt: skip
    images = [{"name": "camera"}, {"png_base64": to_png_base64(PHOTO)}, {"path": "a.png"}]
    out = [{"prompt": "the <a> by <b c>"}, {"version": 1, "prompt": "a \\< b", "references": {}}]
    out += [
        {"version": 1, "prompt": "the <a> on <b>", "references": {"a": {"image": i, "region": r}}}
        for r in region
        for i in images
    ]
    return [json.dumps(o).encode() for o in out]


_PROMPT_SCHEMA = jsonschema.Draft202012Validator(load_schema("prompt"))


def _prompt_json(data: bytes, folder: Path) -> None:
    text = text_of(data)
    prompt_from_json_text(text, images=CAMERA)
    assert _PROMPT_SCHEMA.is_valid(json.loads(text.removeprefix("\ufeff")))  # accepted: it must fit


def _reference_seeds(folder: Path) -> list[bytes]:
    cv2.imwrite(str(folder / "p.png"), PHOTO)
    kinds = ["box=1,2,9,8", "point=3,4", "circle=5,5,2", "polygon=1,1,9,1,5,9", "scribble=1,1,5,5",
             "mask=p.png"]  # fmt: skip
    return [f"cup={folder}/p.png:{kind}".encode() for kind in kinds] + [b"a=p.png@box:1,2,3,4"]


def _localization_seeds(folder: Path) -> list[bytes]:
    mask = np.zeros((9, 11), bool)
    mask[2:5, 3:7] = True
    rle = mask_to_rle(mask)
    part = {"score": 0.5, "box_xyxy": [3, 2, 7, 5], "mask_rle": rle, "track_id": 1}
    entity = {"label": "mug", "found": True, **part, "instances": [part]}
    return [json.dumps({"version": 1, "relevance": 0.5, "entities": [entity]}).encode()]


def _localization(data: bytes, folder: Path) -> None:
    localization_from_json(parse_json(data, "It", FindError))


def _rle_seeds(folder: Path) -> list[bytes]:
    rng = np.random.default_rng(0)
    return [
        json.dumps(mask_to_rle(rng.random((h, w)) < 0.3)).encode()
        for h, w in [(3, 4), (20, 9), (1, 50)]
    ] + [b'{"size": [2, 3], "counts": [1, 2, 3]}']


def _rle(data: bytes, folder: Path) -> None:
    rle = parse_json(data, "It", FindError)
    mask = rle_to_mask(rle)
    assert list(mask.shape) == list(rle["size"]) and mask.dtype == np.bool_


_ENCODINGS = (
    "rgb8",
    "bgra8",
    "mono8",
    "bayer_rggb8",
    "yuyv",
    "16UC1",
    "32FC1",
    "x",
    "rgb8; jpeg",
    "png",
)


def _message_seeds(folder: Path) -> list[bytes]:
    out = []
    for n, size in enumerate((3, 4, 1, 1, 2, 2, 4)):
        out.append(struct.pack("<BIIIB", n, 4, 6, 6 * size, 0) + bytes(4 * 6 * size))
    jpeg = cv2.imencode(".jpg", PHOTO)[1].tobytes()
    return [*out, struct.pack("<BIIIB", 8, 0, 0, 0, 0) + jpeg]


def _message(data: bytes, folder: Path) -> None:
    if len(data) < 14:
        return
    which, height, width, step, big = struct.unpack_from("<BIIIB", data)
    encoding = _ENCODINGS[which % len(_ENCODINGS)]
    if which % len(_ENCODINGS) >= 8:
        decode_compressed(encoding, data[14:])
    elif which % 2:
        assert np.isfinite(decode_depth_m(encoding, height, width, step, data[14:], big)).all()
    else:
        assert decode_rgb(encoding, height, width, step, data[14:]).shape == (height, width, 3)


# -- files ------------------------------------------------------------------------------------


def _image_seeds(folder: Path) -> list[bytes]:
    out = [cv2.imencode(e, PHOTO)[1].tobytes() for e in (".png", ".jpg", ".webp", ".bmp", ".tiff")]
    out.append(cv2.imencode(".jpg", PHOTO, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    out += [
        cv2.imencode(e, PHOTO[..., 0].astype(np.uint16))[1].tobytes() for e in (".png", ".tiff")
    ]
    return out


def _image(data: bytes, folder: Path) -> None:
    image = decode_image(data)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def _written(data: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _depth(data: bytes, folder: Path) -> None:
    depth = read_depth_image(_written(data, folder, "d.npy" if data[:2] == b"\x93N" else "d.png"))
    assert depth.ndim == 2 and depth.dtype.itemsize > 1
    read_labels(folder / "d.png")


def _depth_seeds(folder: Path) -> list[bytes]:
    np.save(folder / "seed.npy", np.ones((5, 7), np.float32))
    png = cv2.imencode(".png", PHOTO[..., 0].astype(np.uint16))[1].tobytes()
    return [(folder / "seed.npy").read_bytes(), png]


def _resume_seeds(folder: Path) -> list[bytes]:
    (folder / "part").write_bytes(b"x" * 100)
    state = {"key": "k", "bytes": 50, "stream": {"index": 3}, "index": 2, "time_s": 0.5}
    return [json.dumps(state).encode()]


def _resume(data: bytes, folder: Path) -> None:
    state = read_resume(_written(data, folder, "resume.json"), folder / "part", "k")
    assert state is None or (0 <= state["bytes"] <= 100 and state["time_s"] >= 0)


def _json_seeds(folder: Path) -> list[bytes]:
    return [b'{"a": [1, 2.5, -3e4, "x", null, true], "b": {"c": "\\u00e9"}}', b"[]", b'"a"', b"3"]


def _json(data: bytes, folder: Path) -> None:
    json.dumps(parse_json(data, "It", FindError), allow_nan=False)


def _base64(data: bytes, folder: Path) -> None:
    from_png_base64(text_of(data))


TARGETS = {
    "prompt_text": Target("parser", lambda _: [b"the <white mug> left of <thing>", b"a \\< b <c>", b"cup"],
                          _prompt_text),
    "prompt_json": Target("parser", _prompt_seeds, _prompt_json),
    "reference": Target("parser", _reference_seeds, lambda d, f: parse_reference(text_of(d)) and None),
    "json": Target("parser", _json_seeds, _json),
    "rle": Target("parser", _rle_seeds, _rle),
    "localization": Target("parser", _localization_seeds, _localization),
    "message": Target("parser", _message_seeds, _message),
    "inline_image": Target("parser", lambda _: [to_png_base64(PHOTO).encode()], _base64),
    "image": Target("file", _image_seeds, _image),
    "depth": Target("file", _depth_seeds, _depth),
    "resume": Target("file", _resume_seeds, _resume),
}  # fmt: skip


def all_targets() -> dict[str, Target]:
    """Also those whose packages take long to import."""
    from tests.fuzz.formats import FORMATS

    return TARGETS | FORMATS
