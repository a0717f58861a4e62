"""Whatever bytes a file holds, the outcome is a picture or one of our errors, which names it."""

from __future__ import annotations

import base64
import io
import random
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from deepface.errors import DeepFaceError
from deepface.images.files import list_images
from deepface.images.load import load_image
from deepface.images.video import iter_frames
from deepface.pipeline import FacePipeline
from tests.images.bombs import measured
from tests.images.pictures import ORIENTATION, picture

#: Damaged files of each format.
COUNT = 60
PILLOW: list[tuple[str, str, dict[str, Any]]] = [
    ("AVIF", "RGBA", {}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("DDS", "RGBA", {}),
    ("DDS", "RGB", {"pixel_format": "DXT1"}),
    ("DIB", "RGB", {}),
    ("GIF", "P", {}),
    ("ICNS", "RGBA", {}),
    ("ICO", "RGBA", {}),
    ("ICO", "RGBA", {"bitmap_format": "bmp"}),
    ("JPEG", "RGB", {}),
    ("JPEG", "CMYK", {"progressive": True}),
    ("JPEG2000", "RGBA", {}),
    ("MPO", "RGB", {}),
    ("PCX", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {"save_all": True, "append_images": [PIL.Image.new("P", (64, 64))]}),
    ("PPM", "RGB", {}),
    ("PPM", "1", {}),
    ("SGI", "RGB", {"rle": 1}),
    ("TGA", "RGB", {"compression": "tga_rle"}),
    ("TIFF", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"compression": "jpeg"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "F", {"big_tiff": True}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"save_all": True, "append_images": [PIL.Image.new("RGB", (64, 64))]}),
]
OPENCV = (".hdr", ".pfm", ".pam", ".sr", ".jp2", ".ppm", ".tiff")


def whole_files() -> Iterator[tuple[str, bytes]]:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    image = PIL.Image.fromarray(picture(64, 64))
    for kind, mode, options in PILLOW:
        stream = io.BytesIO()
        image.convert(mode).save(stream, kind, exif=exif, **options)
        yield " ".join([kind, mode, *options]), stream.getvalue()
    for suffix in OPENCV:
        pixels = picture(64, 64)
        floats = pixels.astype(np.float32) / 255
        yield (
            suffix,
            bytes(cv2.imencode(suffix, floats if suffix in (".hdr", ".pfm") else pixels)[1]),
        )


FILES = dict(whole_files())
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes changed, numbers put to their extremes, parts cut, repeated and taken from others."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        # Headers come first.
        at = chance.randrange(min(len(data), chance.choice((16, 64, 256, len(data)))) or 1)
        what = chance.randrange(7)
        if what == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 1 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif what == 2:
            number = struct.pack(chance.choice("<>") + "I", chance.choice(NUMBERS))
            size = chance.choice((1, 2, 4))
            data[at : at + size] = number[:size]
        elif what == 3:
            del data[at : at + chance.choice((1, 4, 100))]
        elif what == 4:
            data[at:at] = data[at : at + chance.choice((1, 4, 100))]
        elif what == 5:
            other = chance.choice(list(FILES.values()))
            data[at:] = other[chance.randrange(len(other)) :]
        else:
            del data[at + chance.randrange(len(data) - at + 1) :]
    return bytes(data)


def is_fine(content: Any, name: str) -> bool:
    """Whether it is a picture; anything but that and an error of ours is raised."""
    try:
        image, _ = load_image(content)
    except DeepFaceError as error:
        assert name in str(error)
        assert str(error).isprintable()
        return False
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    return True


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore")  # Pillow's
def test_damaged_pictures(kind: str, tmp_path: Path) -> None:
    whole = FILES[kind]
    assert is_fine(whole, "encoded bytes") or " F" in kind
    chance = random.Random(f"pictures {kind}")
    path = tmp_path / "x"
    for number in range(COUNT):
        content = damaged(whole, chance)

        def load(content: bytes = content, number: int = number) -> None:
            if number % 4 == 0:
                path.write_bytes(content)
                is_fine(path, str(path))
            else:
                is_fine(content, "encoded bytes")

        if sys.platform.startswith("linux"):
            memory, seconds = measured(load)
            assert memory < 300 and seconds < 5, (number, memory, seconds)
        else:
            load()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in OPENCV])
def test_damaged_pictures_that_pillow_has_opened(kind: str) -> None:
    chance = random.Random(f"pillow {kind}")
    opened = 0
    for _ in range(COUNT // 2):
        try:
            image = PIL.Image.open(io.BytesIO(damaged(FILES[kind], chance)))
        except Exception:  # Pillow's own
            continue
        opened += 1
        is_fine(image, "PIL image")
    assert opened


def test_bytes_of_no_format() -> None:
    chance = random.Random("noise")
    starts = [content[: chance.randrange(24)] for content in FILES.values()]
    for _ in range(500):
        is_fine(chance.choice(starts) + chance.randbytes(chance.randrange(300)), "encoded bytes")
    for length in range(40):
        for content in FILES.values():
            is_fine(content[:length], "encoded bytes")


def test_damaged_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    chance = random.Random("texts")
    png = base64.b64encode(FILES["PNG RGBA"]).decode()
    wholes = [
        f"data:image/png;base64,{png}",
        "https://user:secret@host:80/a/b.jpg?q=1#f",
        "http://[::1]:8080/%2e%2e/x",
        "http://пример.example/ü.png",
        "rtsp://user:secret@host/1",
        "file:///etc/passwd",
        "/a/b/c.jpg",
        "C:\\a\\b.png",
    ]
    alphabet = "\0\n\r\t %/:@[]#?=.,;\\~\x1b\x7f\x85\u202e\udcff\U0001f600aZ09"
    for _ in range(800):
        text = list(chance.choice(wholes))
        for _ in range(chance.choice((1, 2, 9))):
            at = chance.randrange(len(text))
            text[at : at + chance.randrange(3)] = chance.choice(alphabet) * chance.choice(
                (1, 1, 99)
            )
        try:
            load_image("".join(text))
        except DeepFaceError as error:
            assert str(error).isprintable()


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_damaged_videos(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    code = cv2.VideoWriter.fourcc(*("MJPG" if suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), code, 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no such video")
    for number in range(6):
        writer.write(picture(48, 64, number))
    writer.release()
    whole = path.read_bytes()
    assert len(list(iter_frames(path))) == 6
    chance = random.Random(f"videos {suffix}")
    for _ in range(COUNT // 2):
        path.write_bytes(damaged(whole, chance))
        items = list(FacePipeline("skip").stream(path, on_error="yield"))
        assert items, "it ends without a word"
        for item in items:
            assert item.source.startswith(str(path))
            assert item.error is None or isinstance(item.error, DeepFaceError)


def test_damaged_files_in_a_folder(tmp_path: Path) -> None:
    chance = random.Random("folder")
    for number, content in enumerate(FILES.values()):
        (tmp_path / f"{number}.jpg").write_bytes(damaged(content, chance))
    items = list(FacePipeline("skip").stream(tmp_path, on_error="yield"))
    assert sorted(item.source for item in items) == sorted(map(str, tmp_path.iterdir()))
    assert set(list_images(tmp_path)) <= {item.source for item in items}
