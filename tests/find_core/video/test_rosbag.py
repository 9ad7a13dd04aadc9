"""Bags that are none, or no longer whole: one sentence each, whatever rosbags makes of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed (pip install .[video])")

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from find_core.errors import FindError
from find_core.video.sources import SourceError, open_source

STORE = get_typestore(Stores.ROS2_HUMBLE)
HEIGHT, WIDTH, FRAMES = 48, 64, 40
IMAGE = "sensor_msgs/msg/Image"
PLUGINS = {"db3": StoragePlugin.SQLITE3, "mcap": StoragePlugin.MCAP}


def write_bag(path, kind):
    """`FRAMES` noisy pictures, so that a cut goes through the recording and not its index."""
    data = np.random.default_rng(0).integers(0, 256, HEIGHT * WIDTH * 3).astype(np.uint8)
    with Writer(path, version=9, storage_plugin=PLUGINS[kind]) as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=STORE)
        for n in range(FRAMES):
            stamp = STORE.types["builtin_interfaces/msg/Time"](sec=10, nanosec=n * 10**8)
            header = STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
            image = STORE.types[IMAGE](
                header=header, height=HEIGHT, width=WIDTH, encoding="rgb8", is_bigendian=0,
                step=3 * WIDTH, data=data,
            )  # fmt: skip
            writer.write(connection, 10**10 + n * 10**8, STORE.serialize_cdr(image, IMAGE))
    return path


def recording(bag):
    return next(p for p in bag.iterdir() if p.suffix in (".db3", ".mcap"))


def rewrite_metadata(bag, change):
    path = bag / "metadata.yaml"
    path.write_text(change(path.read_text()))


def overwrite(bag, start, length=4000):
    """Noise over a part of the recording, given as a fraction of its size."""
    path = recording(bag)
    data = bytearray(path.read_bytes())
    at = int(start * len(data))
    data[at : at + length] = np.random.default_rng(1).integers(0, 256, length, np.uint8).tobytes()
    path.write_bytes(data)


def truncate(bag, part):
    data = recording(bag).read_bytes()
    recording(bag).write_bytes(data[: int(part * len(data))])


BREAK = {
    "no metadata": lambda bag: (bag / "metadata.yaml").unlink(),
    "empty metadata": lambda bag: rewrite_metadata(bag, lambda text: ""),
    "metadata of another kind": lambda bag: rewrite_metadata(bag, lambda text: "a: [1, 2]"),
    "metadata that is no yaml": lambda bag: rewrite_metadata(bag, lambda text: "{" + text),
    "metadata that is no text": lambda bag: (bag / "metadata.yaml").write_bytes(b"\xff\xfe\x00"),
    "metadata cut short": lambda bag: rewrite_metadata(bag, lambda text: text[:150]),
    "unknown version": lambda bag: rewrite_metadata(bag, lambda t: t.replace("n: 9", "n: 99")),
    "unknown storage": lambda bag: rewrite_metadata(
        bag, lambda t: t.replace("mcap", "tape").replace("sqlite3", "tape")
    ),
    "no recording": lambda bag: recording(bag).unlink(),
    "empty recording": lambda bag: recording(bag).write_bytes(b""),
    "recording of something else": lambda bag: recording(bag).write_bytes(b"nonsense" * 999),
    "recording cut short": lambda bag: truncate(bag, 0.5),
    "beginning overwritten": lambda bag: overwrite(bag, 0.0),
}


@pytest.mark.parametrize("kind", PLUGINS)
@pytest.mark.parametrize("name", BREAK)
def test_a_broken_bag_is_one_sentence(tmp_path, name, kind):
    bag = write_bag(tmp_path / "drive", kind)
    assert len(list(open_source(bag).frames())) == FRAMES
    BREAK[name](bag)
    for given in (bag, bag / f"drive.{kind}"):
        if not given.exists():
            continue
        with pytest.raises(SourceError, match=r"drive") as caught:
            list(open_source(given).frames())
        text = str(caught.value)
        assert "reindex" in text and "\n" not in text
        assert text.endswith(".") and not text.endswith("..")


@pytest.mark.parametrize("kind", PLUGINS)
def test_damage_inside_is_found_while_reading(tmp_path, kind):
    """Pictures before the damage still come; then the sentence."""
    bag = write_bag(tmp_path / "drive", kind)
    overwrite(bag, 0.5, 20000)
    frames = []
    with pytest.raises(FindError, match="drive"):
        for frame in open_source(bag).frames():
            frames.append(frame)
    assert len(frames) < FRAMES


@pytest.mark.parametrize("content", [b"", b"#ROSBAG V2.0\n", b"nonsense"])
def test_a_broken_ros1_bag(tmp_path, content):
    (tmp_path / "old.bag").write_bytes(content)
    with pytest.raises(SourceError, match=r"Cannot read the bag old\.bag"):
        open_source(tmp_path / "old.bag")


def test_an_image_that_contradicts_itself(tmp_path):
    """A step that does not fit the data: the recorder's mistake, not the reader's."""
    with Writer(tmp_path / "drive", version=9) as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=STORE)
        stamp = STORE.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
        header = STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
        image = STORE.types[IMAGE](
            header=header, height=4, width=4, encoding="rgb8", is_bigendian=0, step=7,
            data=np.zeros(48, np.uint8),
        )  # fmt: skip
        writer.write(connection, 10**9, STORE.serialize_cdr(image, IMAGE))
    with pytest.raises(SourceError, match="drive"):
        list(open_source(tmp_path / "drive").frames())


def test_a_recording_that_its_metadata_does_not_list(tmp_path):
    bag = write_bag(tmp_path / "bag", "mcap")
    other = bag / "drive0.mcap"
    other.write_bytes(recording(bag).read_bytes())
    with pytest.raises(SourceError, match=r"drive0\.mcap is not listed"):
        open_source(other)
    assert (
        len(list(open_source(next(p for p in bag.glob("*.mcap") if p != other)).frames())) == FRAMES
    )


def stamped_bag(path, stamps_ns, bad=(), topics=("/image",), encoding="rgb8"):
    channels, kind = {"rgb8": (3, np.uint8), "16UC1": (1, np.uint16), "mono8": (1, np.uint8)}[
        encoding
    ]
    rng = np.random.default_rng(0)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic in topics:
            connection = writer.add_connection(topic, IMAGE, typestore=STORE)
            for n, ns in enumerate(stamps_ns):
                stamp = STORE.types["builtin_interfaces/msg/Time"](
                    sec=ns // 10**9, nanosec=ns % 10**9
                )
                header = STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
                pixels = rng.integers(0, 255, (HEIGHT, WIDTH, channels)).astype(kind)
                data = np.frombuffer(pixels.tobytes(), np.uint8)
                image = STORE.types[IMAGE](
                    header=header, height=HEIGHT, width=WIDTH, encoding=encoding, is_bigendian=0,
                    step=len(data) // HEIGHT, data=data[:9] if n in bad else data,
                )  # fmt: skip
                writer.write(connection, 10**10 + n * 10**8, STORE.serialize_cdr(image, IMAGE))
    return path


SECOND = 10**9
CLOCKS = {
    "goes back": [100 * SECOND, 101 * SECOND, 102 * SECOND, 0, SECOND, 2 * SECOND],
    "set": [1, 2, 3, 1_700_000_000 * SECOND, 1_700_000_001 * SECOND, 1_700_000_002 * SECOND],
    "none": [0] * 6,
}


@pytest.mark.parametrize("what", CLOCKS)
def test_stamps_of_bags_follow_the_rule(tmp_path, what):
    frames = list(open_source(stamped_bag(tmp_path / "bag", CLOCKS[what])).frames())
    times = [f.time_s for f in frames]
    assert len(times) == 6 and times == sorted(times) and times[-1] < 10


def test_a_bad_message_costs_itself(tmp_path, caplog):
    bag = stamped_bag(tmp_path / "bag", [n * 10**8 + 1 for n in range(6)], bad=(0, 3))
    assert len(list(open_source(bag).frames())) == 4
    assert "2 messages were left out" in caplog.text


def test_exception_of_a_bag_of_bad_messages(tmp_path):
    bag = stamped_bag(tmp_path / "bag", [1, 2], bad=(0, 1))
    with pytest.raises(SourceError, match="Not one image"):
        list(open_source(bag).frames())
