"""What encoded images claim, read from their headers alone: nothing is decoded, no memory is taken.

    header = read_header(data)      # ImageHeader("png", 640, 480, 1, 16, is_float=False)

Decoders allocate what a file claims. So sizes, and lengths of the parts that hold them, are compared
with the bytes first. Formats: PNG, JPEG, WebP, BMP, TIFF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from find_core.errors import ImageError

FORMATS = "PNG, JPEG, WebP, BMP or TIFF"
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
MAX_JPEG_SCANS = 100  # a progressive image has about ten; each scan costs the time of a whole image


@dataclass(frozen=True)
class ImageHeader:
    """What an encoded image says of itself.

    Attributes:
        format: "png", "jpeg", "webp", "bmp" or "tiff".
        width, height: pixels, as stored (before any EXIF rotation).
        channels: samples a pixel; a palette counts as 3. bits: of one sample.
        is_float: samples are floating-point numbers.
        orientation: EXIF's, 1 to 8, where OpenCV's own reading of it is not right: TIFF and WebP.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    is_float: bool = False
    orientation: int = 1

    @property
    def may_be_depth(self) -> bool:
        """One channel of more than 8 bits."""
        return self.channels == 1 and self.bits > 8


def read_header(data: bytes | memoryview, what: str = "the image") -> ImageHeader:
    """The header of an encoded image.

    Raises:
        ImageError: none of the five formats, cut short, or its lengths exceed its bytes.
    """
    view = memoryview(data).cast("B")
    start = bytes(view[:16])
    try:
        if start.startswith(PNG_START):
            return _png(view)
        if start.startswith(JPEG_START):
            return _jpeg(view)
        if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
            return _webp(view)
        if start[:2] == b"BM":
            return _bmp(view)
        if start[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(view)
    except (struct.error, IndexError, KeyError):
        raise ImageError(f"Cannot decode {what}: it is cut short. Get it again.") from None
    except ValueError as problem:
        raise ImageError(f"Cannot decode {what}: {problem}. Get it again.") from None
    raise ImageError(f"Cannot decode {what}: give a whole {FORMATS} image.")


def _png(view: memoryview) -> ImageHeader:
    length, kind = struct.unpack_from(">I4s", view, 8)
    if kind != b"IHDR" or length != 13:
        raise ValueError("it does not begin with its header")
    width, height, bits, colour = struct.unpack_from(">IIBB", view, 16)
    channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour, 0)
    place, pixels = 8, False
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", view, place)
        if place + 12 + length > len(view):
            raise ValueError(f"a part of {length} bytes is announced, it is cut short or damaged")
        pixels |= kind == b"IDAT"
        place += 12 + length
    if not (channels and pixels):
        raise ValueError("it has no pixels")
    return ImageHeader("png", width, height, channels, 8 if colour == 3 else bits)


def _jpeg(view: memoryview) -> ImageHeader:
    place, found = 2, None
    while True:
        while view[place] == 0xFF and view[place + 1] == 0xFF:  # padding before a marker
            place += 1
        marker, length = struct.unpack_from(">HH", view, place)
        if marker >> 8 != 0xFF or length < 2 or place + 2 + length > len(view):
            raise ValueError("a part is announced that is not there, it is cut short or damaged")
        code = marker & 0xFF
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", view, place + 4)
            found = ImageHeader("jpeg", width, height, channels, bits)
        place += 2 + length
        if code == 0xDA:
            break
    if found is None:
        raise ValueError("it has no size")
    # OpenCV fills the missing rows of a JPEG with grey and says nothing. Within the coded pixels
    # the end marker cannot occur; before them it may, in a thumbnail.
    rest = bytes(view[place:])
    if JPEG_END not in rest:
        raise ValueError("it is cut short (no end marker)")
    if rest.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise ValueError(f"it has more than {MAX_JPEG_SCANS} scans")
    return found


def _webp(view: memoryview) -> ImageHeader:
    size = struct.unpack_from("<I", view, 4)[0]
    if size + 8 > len(view):
        raise ValueError(f"{size} bytes are announced, it is cut short")
    kind = bytes(view[12:16])
    if kind == b"VP8X":
        raw = bytes(view[24:30])
        if len(raw) < 6:
            raise IndexError
        width, height = (1 + int.from_bytes(raw[i : i + 3], "little") for i in (0, 3))
    elif kind == b"VP8L":
        if view[20] != 0x2F:
            raise ValueError("its header is damaged")
        packed = struct.unpack_from("<I", view, 21)[0]
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", view, 26))
    else:
        raise ValueError("its header is damaged")
    return ImageHeader("webp", width, height, 3, 8, orientation=_webp_orientation(view))


def _webp_orientation(view: memoryview) -> int:
    """Of its EXIF chunk; 1 where there is none that can be read."""
    place = 12
    while place + 8 <= len(view):
        kind, length = struct.unpack_from("<4sI", view, place)
        if kind == b"EXIF":
            exif = view[place + 8 : place + 8 + length]
            exif = exif[6:] if bytes(exif[:6]) == b"Exif\0\0" else exif
            try:
                return _orientation(_tags(exif))
            except (struct.error, IndexError):
                return 1
        place += 8 + length + length % 2
    return 1


def _bmp(view: memoryview) -> ImageHeader:
    offset, size = struct.unpack_from("<II", view, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", view, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", view, 18)
    height = abs(height)
    row = (width * bits + 31) // 32 * 4
    if compression in (0, 3) and offset + row * height > len(view):
        raise ValueError(f"{row * height} bytes are announced, it is cut short")
    return ImageHeader("bmp", width, height, {32: 4}.get(bits, 3), 8)


_TIFF_TYPES = {1: "B", 3: "H", 4: "I"}


def _tags(view: memoryview) -> dict[int, int]:
    """The first value of each whole-number tag in the first directory of TIFF's or EXIF's bytes."""
    order = "<" if view[0] == ord("I") else ">"
    directory = struct.unpack_from(order + "I", view, 4)[0]
    count = struct.unpack_from(order + "H", view, directory)[0]
    tags: dict[int, int] = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, n = struct.unpack_from(order + "HHI", view, entry)
        if kind in _TIFF_TYPES and n:
            code = _TIFF_TYPES[kind]
            inline = n * struct.calcsize(code) <= 4
            place = entry + 8 if inline else struct.unpack_from(order + "I", view, entry + 8)[0]
            tags[tag] = struct.unpack_from(order + code, view, place)[0]
    return tags


def _orientation(tags: dict[int, int]) -> int:
    found = tags.get(274, 1)
    return found if 1 <= found <= 8 else 1


def _tiff(view: memoryview) -> ImageHeader:
    tags = _tags(view)
    # Tiles are decoded whole, also where they are larger than the image.
    width, height = max(tags[256], tags.get(322, 0)), max(tags[257], tags.get(323, 0))
    channels = 3 if tags.get(262) == 3 else tags.get(277, 1)
    # Sample format 3, or the logarithms of photometric kinds 32844 and 32845.
    is_float = tags.get(339, 1) == 3 or tags.get(262) in (32844, 32845)
    if tags.get(262) in (8, 9, 10):
        raise ValueError("its colours are L*a*b*, which is not read: save it as RGB")
    turned = _orientation(tags)
    return ImageHeader("tiff", width, height, channels, tags.get(258, 1), is_float, turned)
