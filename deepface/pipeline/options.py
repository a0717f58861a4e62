"""What can be asked of the walk from pictures to results, in one place, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from deepface.arguments import in_order, number, one_of, shown, truth, whole
from deepface.attributes.registry import ATTRIBUTES
from deepface.cropping.face_crops import (
    LANDMARKS_ALIGNMENT,
    PUBLISHED_BORDER,
    Align,
    CropOptions,
    checked_align,
)
from deepface.detection.registry import DETECTORS
from deepface.errors import InvalidArgument, UnimplementedError
from deepface.recognition.preprocessing import check_normalization
from deepface.recognition.registry import RECOGNIZERS, face_cut
from deepface.runtime.execution.device import check_device_name, device_names, precision_name

if TYPE_CHECKING:
    from typing_extensions import Self

#: Action -> name of its network.
ACTIONS = {"emotion": "Emotion", "age": "Age", "gender": "Gender", "race": "Race"}
assert set(ACTIONS.values()) <= set(ATTRIBUTES.entries)
#: As published.
DEFAULT_DETECTOR, DEFAULT_MODEL = "opencv", "VGG-Face"
#: Stands for a detector's name where each picture is taken as a face.
SKIP = "skip"
COLORS = ("rgb", "bgr", "gray")
#: Fields that are on or off.
_TRUTHS = (
    *("anti_spoofing", "l2_normalize", "minmax_normalize", "return_face"),
    *("skip_rounds", "normalize_face", "progress"),
)
#: What happens to a picture without a face; see :class:`Options`.
EnforceDetection: TypeAlias = bool | Literal["empty"]
#: Where JPEG files are decoded; see :class:`Options`.
Decode: TypeAlias = Literal["cpu", "device"]


@dataclass(frozen=True)
class Options:
    """Which faces are wanted, and what of them.

    Args:
        detector_backend: a detector's name, or ``"skip"`` to take each picture as a face.
        model_name: the recognition model; ``None`` for no embeddings.
        actions: one or several of ``"emotion"``, ``"age"``, ``"gender"``, ``"race"``; ``None`` for
            no attributes.
        anti_spoofing: judge whether each face is real. Where embeddings or attributes are asked
            for, a face that is not is an error.
        enforce_detection: a picture without a face is an error (``True``), gives one item that is
            the whole picture with confidence 0 (``False``, as published), or no item
            (``"empty"``).
        align: rotate each face so that its eyes are level; ``"landmarks"`` cuts it as the
            recognition model's training did.
        expand_percentage: enlarge each box by so many percent.
        border: width of the black border that alignment puts around a picture before detection,
            as a fraction of its height and width.
        min_face_size: faces below so many pixels are not needed; taken by RetinaFace's detectors.
        max_faces: only so many faces per picture, the largest first.
        normalization: how pixel values are scaled for the recognition model.
        l2_normalize: scale each vector to length 1.
        minmax_normalize: scale each vector to [0, 1] by the model's known range.
        return_face: add the recognition network's input.
        skip_rounds: with ``"skip"``, resize ``uint8`` pictures for the recognition model as they
            are, which rounds (``True``, as ``represent`` does), or as floats (``False``, as
            ``verify`` and ``find`` do).
        cryptosystem: a ``lightphe.LightPHE`` object that encrypts the vectors.
        color_face: ``"rgb"``, ``"bgr"`` or ``"gray"``, for crops.
        normalize_face: crops as float64 in [0, 1] instead of ``uint8``.
        batch_size: most pictures per step; ``None`` chooses by the device. It changes speed and
            memory, never the result.
        workers: threads that read and decode pictures; ``None`` chooses by the processor.
        decode: ``"device"`` decodes JPEG files on the device and leaves them there; only boxes and
            results come back. Pixels differ by a few 255ths from those that the CPU decodes.
            Detectors that run on the CPU are given copies. ``"cpu"`` decodes there.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``; ``None`` takes the default.
            Several of them share the batches of a list or a stream; results come in input order.
        precision: of the networks: ``"fp32"`` (``None``), ``"tf32"`` (on CUDA), ``"bf16"`` or
            ``"fp16"``, for embeddings, attributes, and detectors that run in PyTorch; the others
            stay as they are.
        progress: show a progress bar.
    """

    detector_backend: str = DEFAULT_DETECTOR
    model_name: str | None = None
    actions: str | Sequence[str] | None = None
    anti_spoofing: bool = False
    _: KW_ONLY
    enforce_detection: EnforceDetection = True
    align: Align = True
    expand_percentage: int = 0
    border: float = PUBLISHED_BORDER
    min_face_size: int | None = None
    max_faces: int | None = None
    normalization: str = "base"
    l2_normalize: bool = False
    minmax_normalize: bool = False
    return_face: bool = False
    skip_rounds: bool = True
    cryptosystem: Any = None
    color_face: str = "rgb"
    normalize_face: bool = True
    batch_size: int | None = None
    workers: int | None = None
    decode: Decode = "cpu"
    device: str | Sequence[str] | None = None
    precision: str | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if not self.skips_detection:
            DETECTORS.check(self.detector_backend)
        if self.model_name is not None:
            RECOGNIZERS.check(self.model_name)
        if self.cryptosystem is not None and not callable(
            getattr(self.cryptosystem, "encrypt", None)
        ):
            raise InvalidArgument(
                f"cryptosystem must have a method encrypt, but it is {shown(self.cryptosystem)}"
            )
        one_of("color_face", self.color_face, COLORS)
        one_of("decode", self.decode, get_args(Decode))
        check_normalization(self.normalization)
        if self.actions is not None:
            self._set("actions", _checked_actions(self.actions))
        for name in _TRUTHS:
            self._set(name, truth(name, getattr(self, name)))
        if not isinstance(self.enforce_detection, str):
            self._set("enforce_detection", truth("enforce_detection", self.enforce_detection))
        elif self.enforce_detection != "empty":
            raise UnimplementedError(
                f"unknown enforce_detection {self.enforce_detection!r}: use True, False or 'empty'"
            )
        for name in ("batch_size", "workers", "max_faces"):
            if (value := getattr(self, name)) is not None:
                self._set(name, whole(name, value))
        if self.min_face_size is not None:
            self._set("min_face_size", number("min_face_size", self.min_face_size, above=0))
        if not isinstance(self.device, str):
            self._set("device", device_names(self.device))
        precision = precision_name(self.precision)
        self._set("precision", None if precision == "fp32" else precision)
        for device in self.devices:
            check_device_name(device)
        # What has to do with crops is checked there: once, instead of at the first picture.
        self._set("align", checked_align(self.align))
        crops = self.crops()
        self._set("border", crops.border)
        self._set("expand_percentage", crops.expand_percentage)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def devices(self) -> tuple[str | None, ...]:
        """All devices that share the work."""
        if self.device is None or isinstance(self.device, str):
            return (self.device,)
        return tuple(self.device)

    def on(self, device: str | None) -> Self:
        """The same on one device."""
        return replace(self, device=device)

    @property
    def one_device(self) -> str | None:
        """The device, where there is one; of several the first."""
        return self.devices[0]

    @property
    def skips_detection(self) -> bool:
        """Whether each picture is taken as a face."""
        return isinstance(self.detector_backend, str) and self.detector_backend == SKIP

    def detector_options(self) -> dict[str, Any]:
        """What the detector is built with besides its device."""
        options: dict[str, Any] = {"min_face_size": self.min_face_size}
        card = DETECTORS.find(self.detector_backend) if self.precision is not None else None
        if card is not None and "precision" in getattr(card.load(), "options", ()):
            options["precision"] = self.precision
        return options

    def crops(self) -> CropOptions:
        """What happens around detection."""
        by_landmarks = self.align == LANDMARKS_ALIGNMENT and self.model_name is not None
        return CropOptions(
            align=self.align,
            expand_percentage=self.expand_percentage,
            max_faces=self.max_faces,
            border=self.border,
            face_cut=face_cut(str(self.model_name)) if by_landmarks else None,
        )


def _checked_actions(actions: object) -> tuple[str, ...]:
    given = [actions] if isinstance(actions, str) else actions
    names: list[Any] = list(given) if in_order(given) else []  # type: ignore[call-overload]
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidArgument(f"`actions` must be a list of strings. It is {shown(actions)}")
    for action in names:
        if action not in ACTIONS:
            raise UnimplementedError(
                f"Invalid action passed ({action!r}). Valid actions are {', '.join(ACTIONS)}"
            )
    return tuple(map(str, names))
