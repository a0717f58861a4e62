"""Pictures on the device where the networks run: brought there, or decoded by its nvJPEG.

Decoders round differently: on CUDA pixels differ by a few 255ths from libjpeg's on the CPU. What no
device decodes (another format, a JPEG file that is cut off or stored as CMYK) is decoded on the
CPU as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deepface.errors import UnimplementedError, as_ours, with_item
from deepface.images.arrays import WHITE
from deepface.images.batch import Attempt, EncodedImage, FailedImage, LoadedImage
from deepface.images.containers import exif, jpeg
from deepface.logger import get_logger
from deepface.runtime.execution.batching import is_out_of_memory
from deepface.types import Image

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class DeviceImage:
    """One image of a batch whose pixels are on a device; as :class:`LoadedImage` otherwise.

    ``pixels`` is a BGR ``uint8`` tensor ``(H, W, 3)``, contiguous; ``known`` are the same on the
    CPU, where they were decoded there.
    """

    index: int
    name: str
    pixels: Tensor
    seconds: float | None = None
    known: Image | None = None
    #: What white is.
    full_scale = WHITE

    @property
    def source(self) -> Tensor:
        """What crops are cut from."""
        return self.pixels

    @cached_property
    def host(self) -> Image:
        """The pixels as an array, brought to the CPU at the first use."""
        if self.known is not None:
            return self.known
        array: Image = self.pixels.cpu().numpy()
        return array


def on_device(
    images: Sequence[LoadedImage | DeviceImage | FailedImage], device: torch.device
) -> list[LoadedImage | DeviceImage | FailedImage]:
    """The images of a batch with their pixels on a device, too: all in one copy.

    A caller's float array stays where it is: its crops keep their dtype and range.
    """
    from deepface.runtime.execution.transfer import uploaded

    chosen = [
        image for image in images if isinstance(image, LoadedImage) and image.source is image.pixels
    ]
    try:
        tensors = uploaded([image.pixels for image in chosen], device) if chosen else []
    except RuntimeError as error:
        if not is_out_of_memory(error):
            get_logger().warning("pictures could not be sent to %s: %s", device, error)
        return list(images)  # each step sends what it can, and tells whose picture it could not
    moved = {
        image.index: DeviceImage(image.index, image.name, tensor, image.seconds, image.pixels)
        for image, tensor in zip(chosen, tensors, strict=True)
    }
    return [moved.get(image.index, image) for image in images]


def check_decoder(device: torch.device) -> None:
    """See that pictures can be decoded on a device, before the first one comes.

    Raises:
        UnimplementedError: they cannot; the message says why.
    """
    if device.type not in ("cpu", "cuda"):
        raise UnimplementedError(
            f"decode='device' needs a CUDA device, not {device.type!r}; leave it out to decode on "
            "the CPU"
        )
    reason = _missing(device)
    if reason is not None:
        raise UnimplementedError(
            f"decode='device' does not work on {device}: torchvision's JPEG decoder says "
            f"{reason!r}. torchvision's own CUDA wheels, 0.20 and later, have it; or leave decode "
            "out to decode on the CPU."
        )


@cache
def _missing(device: torch.device) -> str | None:
    tiny = bytes(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1])
    try:
        _torchvision([tiny], device)
    except (ImportError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return None


def decoded(
    images: Sequence[Attempt], device: torch.device | None, single: bool
) -> list[LoadedImage | DeviceImage | FailedImage]:
    """Decode what was left encoded, all files in one batch.

    Args:
        images: of :meth:`deepface.images.batch.Batch.attempts`.
        device: where pixels go; ``None`` where nothing was left.
        single: the batch is one image, whose error needs no number.
    """
    files = [image.content.data for image in images if isinstance(image, EncodedImage)]
    pictures = iter([] if device is None else _decoded(files, device))
    result: list[LoadedImage | DeviceImage | FailedImage] = []
    for image in images:
        if not isinstance(image, EncodedImage):
            result.append(image)
            continue
        picture = next(pictures)
        if picture is None:
            result.append(_decoded_by_the_cpu(image, single))
        else:
            result.append(DeviceImage(image.index, image.name, picture))
    return result


def _decoded(files: Sequence[bytes], device: torch.device) -> list[Tensor | None]:
    """As in :class:`DeviceImage`; ``None`` for what the decoder refuses or has no memory for."""
    if not files:
        return []
    try:
        return [
            _upright(picture, exif.orientation(jpeg.exif(file)))
            for picture, file in zip(_torchvision(files, device), files, strict=True)
        ]
    except RuntimeError as error:
        if len(files) == 1:
            get_logger().debug("decoding on %s failed: %s", device, error)
            return [None]
    half = len(files) // 2
    return _decoded(files[:half], device) + _decoded(files[half:], device)


def _torchvision(files: Sequence[bytes], device: torch.device) -> list[Tensor]:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    data = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
    # torchvision 0.29 announces, by a warning that is not shown by default, that TorchCodec will
    # take the place of this one day.
    pictures: list[Tensor] = decode_jpeg(data, mode=ImageReadMode.RGB, device=device)
    return pictures


def _decoded_by_the_cpu(image: EncodedImage, single: bool) -> LoadedImage | FailedImage:
    try:
        pixels = image.content.decode()
    except Exception as error:
        if single:
            ours = as_ours(error, f"Exception while loading {image.name}")
            return FailedImage(image.index, image.name, ours)
        return FailedImage(image.index, image.name, with_item(error, image.index, image.name))
    return LoadedImage(image.index, image.name, pixels, pixels)


def _upright(picture: Tensor, orientation: int) -> Tensor:
    """RGB ``(3, H, W)`` as it was stored to BGR ``(H, W, 3)``, turned by its EXIF orientation."""
    if orientation >= 5:  # rows are stored as columns
        picture = picture.transpose(1, 2)
    flips = [0]  # of the channels
    if orientation in (3, 4, 7, 8):
        flips.append(1)
    if orientation in (2, 3, 6, 7):
        flips.append(2)
    return picture.flip(flips).permute(1, 2, 0).contiguous()
