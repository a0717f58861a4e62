"""JPEG files that a device decodes; here the device is the CPU, whose pixels are OpenCV's."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
import torchvision

from deepface.errors import DeepFaceError, UnimplementedError
from deepface.images.batch import EncodedImage, FailedImage, LoadedImage, open_batch
from deepface.images.containers.jpeg import is_plain_jpeg
from deepface.images.device_image import DeviceImage, check_decoder, decoded
from deepface.images.load import load_image
from tests.data import data
from tests.images.pictures import encoded, picture, with_orientation

CPU = torch.device("cpu")


def saved(image: Any, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(image).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


PLAIN = {
    "baseline": encoded(picture(40, 56), ".jpg"),
    "progressive": saved(picture(40, 56), progressive=True),
    "grey": saved(picture(40, 56), "L"),
    "4:4:4": saved(picture(41, 57), subsampling=0),
    "zeros at the end": encoded(picture(40, 56), ".jpg") + bytes(100),
}
OTHERS = {
    "CMYK": saved(picture(40, 56), "CMYK"),
    "stored as RGB": saved(picture(40, 56), keep_rgb=True),
    "cut off": encoded(picture(40, 56), ".jpg")[:-200],
    "no frame header": b"\xff\xd8\xff\xe0\x00\x02\xff\xd9",
    "PNG": encoded(picture(40, 56)),
    "nothing": b"",
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_are_left_to_the_device(name: str) -> None:
    assert is_plain_jpeg(PLAIN[name])


@pytest.mark.parametrize("name", OTHERS)
def test_what_decoders_differ_in_is_not(name: str) -> None:
    assert not is_plain_jpeg(OTHERS[name])


def test_arithmetic_coding_and_12_bits_are_not_plain() -> None:
    content = PLAIN["baseline"]
    at = content.index(b"\xff\xc0")
    assert not is_plain_jpeg(content[: at + 1] + b"\xc9" + content[at + 2 :])
    assert not is_plain_jpeg(content[: at + 4] + b"\x0c" + content[at + 5 :])


def attempts(items: Any) -> list[Any]:
    return [image for chunk in open_batch(items).attempts(leave_jpeg=True) for image in chunk]


def decode(items: Any) -> list[Any]:
    batch = open_batch(items)
    return [
        image
        for chunk in batch.attempts(leave_jpeg=True)
        for image in decoded(chunk, CPU, batch.single)
    ]


def test_the_batch_leaves_jpeg_files_and_loads_the_rest(tmp_path: Path) -> None:
    array, missing = picture(20, 20), tmp_path / "missing.jpg"
    found = attempts([PLAIN["baseline"], OTHERS["PNG"], array, missing, OTHERS["CMYK"]])
    kinds = [EncodedImage, LoadedImage, LoadedImage, FailedImage, LoadedImage]
    assert [type(image) for image in found] == kinds
    assert [image.index for image in found] == [0, 1, 2, 3, 4]
    assert isinstance(attempts(PLAIN["baseline"])[0], EncodedImage)


@pytest.mark.parametrize("names", [(), ("PNG",), ("CMYK", "nothing", "PNG"), ("nothing",)])
def test_a_batch_of_which_nothing_is_left_to_the_device(names: tuple[str, ...]) -> None:
    found = decode([OTHERS[name] for name in names])
    wanted = [FailedImage if name == "nothing" else LoadedImage for name in names]
    assert [type(image) for image in found] == wanted
    assert decoded([], CPU, False) == []


@pytest.mark.parametrize("name", PLAIN)
def test_pixels_are_those_of_the_cpu(name: str) -> None:
    [image] = decode([PLAIN[name]])
    assert isinstance(image, DeviceImage)
    assert image.pixels.is_contiguous() and image.pixels.dtype == torch.uint8
    np.testing.assert_array_equal(image.host, load_image(PLAIN[name])[0])
    assert image.host is image.host  # brought over once


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    content = with_orientation(picture(40, 56), orientation)
    [image] = decode([content])
    assert isinstance(image, DeviceImage)
    np.testing.assert_array_equal(image.host, load_image(content)[0])


def test_every_photograph_and_odd_file() -> None:
    files = [file for file in sorted(data("images", "odd").rglob("*")) if file.is_file()]
    on_device = 0
    for file, image in zip(files, decode(files), strict=True):
        try:
            expected = load_image(file)[0]
        except DeepFaceError as error:
            assert str(error) in str(image.error)
            continue
        on_device += isinstance(image, DeviceImage)
        np.testing.assert_array_equal(image.host, expected, err_msg=str(file))
    assert on_device > 10


class Picky:
    """A decoder that fails as nvJPEG does: the whole list, because of one file."""

    def __init__(self, refused: Sequence[bytes]) -> None:
        self.refused = refused
        self.calls: list[int] = []
        self.real = torchvision.io.decode_jpeg

    def __call__(self, files: Sequence[torch.Tensor], **options: Any) -> Any:
        self.calls.append(len(files))
        if any(bytes(file.numpy()) in self.refused for file in files):
            raise RuntimeError("nvjpegDecode failed: 4")
        return self.real(files, **options)


def test_a_refused_file_is_decoded_by_the_cpu_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [encoded(picture(30, 30 + n, seed=n), ".jpg") for n in range(8)]
    decoder = Picky([files[5]])
    monkeypatch.setattr("torchvision.io.decode_jpeg", decoder)
    images = decode(files)
    assert [type(image) for image in images] == [DeviceImage] * 5 + [LoadedImage] + [
        DeviceImage
    ] * 2
    assert decoder.calls == [8, 4, 4, 2, 1, 1, 2]
    for file, image in zip(files, images, strict=True):
        np.testing.assert_array_equal(image.host, load_image(file)[0])


def test_a_file_that_nobody_can_decode_is_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = PLAIN["baseline"]
    at = broken.index(b"\xff\xda")  # where the pixels begin: none of them is left
    broken = broken[: at + 2] + b"\x00\x02\xff\xd9"
    assert is_plain_jpeg(broken)
    monkeypatch.setattr("torchvision.io.decode_jpeg", Picky([broken]))
    good, bad = decode([PLAIN["baseline"], broken])
    assert isinstance(good, DeviceImage)
    if isinstance(bad, FailedImage):
        assert "item 1 (encoded bytes)" in str(bad.error)
    else:  # as the CPU alone gives it
        np.testing.assert_array_equal(bad.host, load_image(broken)[0])


def test_a_decoder_that_is_not_there_is_told_before_the_first_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(files: Any, **options: Any) -> Any:
        raise RuntimeError("decode_jpegs_cuda: torchvision not compiled with nvJPEG support")

    monkeypatch.setattr("torchvision.io.decode_jpeg", missing)
    with pytest.raises(UnimplementedError, match=r"nvJPEG support.*leave decode out"):
        check_decoder(torch.device("cuda", 63))
    with pytest.raises(UnimplementedError, match="needs a CUDA device, not 'mps'"):
        check_decoder(torch.device("mps"))


@pytest.mark.gpu
def test_nvjpeg_is_close_to_the_cpu() -> None:
    device = torch.device("cuda", 0)
    check_decoder(device)
    image = cv2.GaussianBlur(picture(240, 320), (0, 0), 3)
    files = [encoded(image, ".jpg"), with_orientation(image, 6)]  # type: ignore[arg-type]
    for file, found in zip(files, decoded(attempts(files), device, False), strict=True):
        assert isinstance(found, DeviceImage) and found.pixels.is_cuda
        difference = np.abs(found.host.astype(int) - load_image(file)[0])
        assert difference.mean() < 1 and difference.max() < 32
