"""No small file takes much memory or time, whatever it says of itself."""

from __future__ import annotations

import base64
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import PIL.EpsImagePlugin
import PIL.Image
import pytest

from deepface.errors import DataTypeError, DeepFaceError, ImageTooLarge
from deepface.images.header import read_header
from deepface.images.load import load_image
from deepface.pipeline import FacePipeline
from tests.images.bombs import PNG, bombs, chunk, ihdr, measured, zeros
from tests.images.pictures import encoded, picture

#: Above these, in MB and seconds of all threads, a file of less than 1 MB is an attack.
MEMORY, SECONDS = 300, 5

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measured by Linux")


@on_linux
def test_no_small_file_takes_much() -> None:
    outcomes: Counter[str] = Counter()

    def load(content: bytes) -> None:
        try:
            load_image(content)
        except DeepFaceError as error:
            assert "encoded bytes" in str(error)
            outcomes[type(error).__name__] += 1
        else:
            outcomes["result"] += 1

    for name, content in bombs():
        memory, seconds = measured(partial(load, content))
        assert memory < MEMORY and seconds < SECONDS, (name, memory, seconds)
    assert outcomes.total() > 1_500
    assert outcomes["result"] > 100 and outcomes["InvalidImage"] > 100, outcomes
    assert outcomes["ImageTooLarge"] > 100 and len(outcomes) == 3, outcomes


#: The largest flat pictures that are below the limit, by how Pillow writes them.
LARGEST = [
    ("JPEG", "RGB", {}),
    ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    ("JPEG", "CMYK", {"progressive": True}),
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "RGB", {"save_all": True, "append_images": [PIL.Image.new("RGB", (8, 8), "red")]}),
    ("WEBP", "RGBA", {"method": 0}),
    ("AVIF", "RGB", {"speed": 10, "subsampling": "4:4:4"}),
    ("AVIF", "RGBA", {"speed": 10, "subsampling": "4:4:4"}),
    ("JPEG2000", "RGB", {}),
    ("JPEG2000", "RGBA", {}),
    ("GIF", "P", {}),
    ("TIFF", "RGB", {"compression": "tiff_adobe_deflate", "strip_size": 1 << 30}),
    ("TIFF", "CMYK", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "F", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("TGA", "RGB", {"compression": "tga_rle"}),
    ("PCX", "RGB", {}),
]


@on_linux
@pytest.mark.parametrize(("kind", "mode", "options"), LARGEST)
def test_the_estimate_of_memory_holds(
    kind: str, mode: str, options: dict[str, object], tmp_path: Path
) -> None:
    """What is estimated, and so kept below the limit, is not much less than what is taken."""
    path = tmp_path / "x"
    PIL.Image.new(mode, (2_400, 2_000)).save(path, kind, **options)
    content = path.read_bytes()
    header = read_header(content)
    estimated = header.layout.memory if header else 12 * 2_400 * 2_000

    def load() -> None:
        try:
            load_image(content)
        except DeepFaceError as error:  # animated, of floats
            assert "would take" in str(error) or "values" in str(error)

    load()
    memory, _ = measured(load)
    assert memory < 1.1 * estimated / 1e6 + 10


@on_linux
def test_threads_do_not_multiply_it(tmp_path: Path) -> None:
    names = (
        "IDAT of 4294967295 and no more",
        "1 x 170000000 8 2 0",
        "many tiles",
        "ICO with a PNG",
    )
    attacks = [content for name, content in bombs() if name.partition(": ")[2] in names]
    assert len(attacks) >= len(names)
    paths = []
    for number, content in enumerate(attacks * 8):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(content)

    def stream() -> None:
        items = list(FacePipeline("skip", batch_size=8).stream(paths, on_error="yield"))
        assert all(item.error is not None for item in items)

    memory, seconds = measured(stream)
    assert memory < MEMORY and seconds < SECONDS


def test_the_limit_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = chunk(b"IDAT", zeros(9_000 * 9_001))
    content = PNG + ihdr(9_000, 9_000, 8, 0) + pixels + chunk(b"IEND", b"")
    with pytest.raises(ImageTooLarge, match="DEEPFACE_MAX_EXPANSION"):
        load_image(content)
    monkeypatch.setenv("DEEPFACE_MAX_EXPANSION", "2000")
    assert not load_image(content)[0].any()
    monkeypatch.setenv("DEEPFACE_MAX_EXPANSION", "0.001")
    with pytest.raises(ImageTooLarge, match="DEEPFACE_MAX_EXPANSION"):
        load_image(encoded(picture()))


@on_linux
@pytest.mark.parametrize("size", [300 << 20, 800 << 20])
def test_a_data_uri_is_refused_before_it_is_decoded(size: int) -> None:
    uri = "data:image/png;base64," + base64.b64encode(encoded(picture())).decode().rstrip("=")
    uri += "A" * (size * 4 // 3)

    def load() -> None:
        with pytest.raises(ImageTooLarge, match="base64 encoded string"):
            load_image(uri)
        (item,) = FacePipeline("skip").stream([uri], on_error="yield")
        assert isinstance(item.error, ImageTooLarge)

    memory, seconds = measured(load)
    assert memory < 50 and seconds < 2


def test_a_data_uri_of_exactly_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for filling in range(3):
        content = encoded(picture()) + bytes(filling)
        uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        monkeypatch.setenv("DEEPFACE_MAX_IMAGE_BYTES", str(len(content)))
        assert load_image(uri)[0].any()
        monkeypatch.setenv("DEEPFACE_MAX_IMAGE_BYTES", str(len(content) - 1))
        with pytest.raises(ImageTooLarge):
            load_image(uri)


@on_linux
def test_a_long_string_is_not_looked_up() -> None:
    text = "/9j/" + "A" * (200 << 20)

    def load() -> None:
        for source in (text, text + ".mp4"):
            with pytest.raises(DeepFaceError, match="must start with data:image/"):
                load_image(source)
            list(FacePipeline("skip").stream([source], on_error="yield"))

    memory, seconds = measured(load)
    assert memory < 250 and seconds < 2  # the second is a copy


@pytest.mark.parametrize("suffix", [".jpg", ".eps", ".png", ""])
def test_no_file_starts_a_program(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow gives EPS to Ghostscript, and other formats to whatever is registered."""

    def start(*args: object, **options: object) -> None:
        pytest.fail(f"a program is started: {args}")

    monkeypatch.setattr(os, "posix_spawn", start)
    monkeypatch.setattr("subprocess.Popen.__init__", start)
    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", start)
    stream = tmp_path / "made"
    PIL.Image.new("RGB", (8, 8)).save(stream, "EPS")
    path = tmp_path / f"x{suffix}"
    preview = b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + bytes(24)  # EPS in a DOS file
    for before in (b"", preview, b"\n", b"\xef\xbb\xbf"):
        path.write_bytes(before + stream.read_bytes())
        for source in (path, path.read_bytes()):
            with pytest.raises(DeepFaceError, match="no format that is read here"):
                load_image(source)


@pytest.mark.parametrize(
    "kind", ["EPS", "PDF", "WMF", "GRIB", "BUFR", "HDF5", "FITS", "IPTC", "MPEG"]
)
def test_what_pillow_is_not_asked_for(kind: str) -> None:
    from deepface.images.pil import FORMATS

    assert kind not in FORMATS


def test_flat_files_are_whole() -> None:
    """The files that the tests make say what they should: once the limits are off, they decode."""
    content = PNG + ihdr(3_000, 2_000, 8, 0) + chunk(b"IDAT", zeros(2_000 * 3_001))
    image, _ = load_image(content + chunk(b"IEND", b""))
    assert image.shape == (2_000, 3_000, 3) and not image.any()


def test_many_small_files_at_once() -> None:
    """Readers keep no state: the same answers from many threads."""
    files = [content for _, content in bombs()][::29]

    def outcome(content: bytes) -> str | int:
        try:
            return int(np.asarray(load_image(content)[0], np.int64).sum())
        except DeepFaceError as error:
            return str(error)

    one = [outcome(content) for content in files]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outcome, files)) == one


def test_nothing_else_is_a_data_uri() -> None:
    with pytest.raises(DataTypeError):
        load_image("data:image/png;base64," + base64.b64encode(b"GIF89a").decode())
