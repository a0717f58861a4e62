"""The published library's module paths, for scripts that import them.

One table says where each published name lives here; an import hook serves the modules. Reading,
replacing (as ``unittest.mock.patch`` does) and deleting a name act on the module that owns it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

_ERRORS = (
    "DataTypeError",
    "DimensionMismatchError",
    "DuplicateEntryError",
    "EmptyDatasource",
    "FaceNotDetected",
    "ImgNotFound",
    "InvalidEmbeddingsShapeError",
    "PathNotFound",
    "SpoofDetected",
    "UnimplementedError",
)

_DETECTORS = {
    "CenterFace": {"CenterFaceClient": "centerface"},
    "Dlib": {"DlibClient": "dlib"},
    "FastMtCnn": {"FastMtCnnClient": "fastmtcnn"},
    "MediaPipe": {"MediaPipeClient": "mediapipe"},
    "MtCnn": {"MtCnnClient": "mtcnn"},
    "OpenCv": {"OpenCvClient": "opencv"},
    "RetinaFace": {"RetinaFaceClient": "retinaface"},
    "Ssd": {"SsdClient": "ssd"},
    "Yolo": {
        f"YoloDetectorClientV{variant}": f"yolov{variant}"
        for variant in ["8n", "8m", "8l", "11n", "11s", "11m", "11l", "12n", "12s", "12m", "12l"]
    },
    "YuNet": {"YuNetClient": "yunet"},
}
_RECOGNIZERS = {
    "ArcFace": {"ArcFaceClient": "ArcFace"},
    "Buffalo_L": {"Buffalo_L": "Buffalo_L"},
    "DeepID": {"DeepIdClient": "DeepID"},
    "Dlib": {"DlibClient": "Dlib"},
    "Facenet": {"FaceNet128dClient": "Facenet", "FaceNet512dClient": "Facenet512"},
    "FbDeepFace": {"DeepFaceClient": "DeepFace"},
    "GhostFaceNet": {"GhostFaceNetClient": "GhostFaceNet"},
    "OpenFace": {"OpenFaceClient": "OpenFace"},
    "SFace": {"SFaceClient": "SFace"},
    "VGGFace": {"VggFaceClient": "VGG-Face"},
}
_ATTRIBUTES = {
    "Age": {"ApparentAgeClient": "Age"},
    "Emotion": {"EmotionClient": "Emotion"},
    "Gender": {"GenderClient": "Gender"},
    "Race": {"RaceClient": "Race"},
}
#: Where models were before 0.0.102, and where they are since, per engine.
_ENGINES = ("", ".tf", ".pytorch", ".onnx")


def _clients(
    package: str, task: str, modules: dict[str, dict[str, str]], engines: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Published modules of models; the classes are those of :func:`get_model_class`."""
    served: dict[str, dict[str, str]] = {}
    for engine in engines:
        served[f"deepface.models.{package}{engine}"] = {}
        for module, classes in modules.items():
            served[f"deepface.models.{package}{engine}.{module}"] = {
                client: f"{task}/{name}" for client, name in classes.items()
            }
    return served


_MESSAGES = (
    "AnalyzeRequest",
    "BuildIndexRequest",
    "DeepFaceResponse",
    "Image",
    "RegisterRequest",
    "RepresentRequest",
    "SearchRequest",
    "VerifyRequest",
)
#: What ``python -m`` runs of them.
_PROGRAMS = {"deepface.api.src.grpc_server": "serve"}

#: Published module -> its names -> where each is: ``"module:name"``, ``"module"`` for a module,
#: ``"task/model"`` for a model's class.
MODULES: dict[str, dict[str, str]] = {
    "deepface.modules": {},
    "deepface.modules.detection": {
        "extract_faces": "deepface.DeepFace:extract_faces",
        "detect_faces": "deepface.cropping.face_crops:detect_faces",
        "extract_face": "deepface.cropping.face_crops:extract_face",
        "extract_sub_image": "deepface.cropping.alignment:extract_sub_image",
        "align_img_wrt_eyes": "deepface.cropping.alignment:align_img_wrt_eyes",
        "project_facial_area": "deepface.cropping.alignment:project_facial_area",
        "is_valid_landmark": "deepface.cropping.alignment:is_valid_landmark",
        "image_utils": "deepface.commons.image_utils",
        "modeling": "deepface.modeling",
        "DetectedFace": "deepface.types:DetectedFace",
        "FacialAreaRegion": "deepface.types:FacialAreaRegion",
        "Detector": "deepface.detection.detector:Detector",
    },
    "deepface.modules.modeling": {
        "build_model": "deepface.modeling:build_model",
        "get_model_class": "deepface.modeling:get_model_class",
        "cached_models": "deepface.runtime.models:cached_models",
        "AVAILABLE_MODELS": "deepface.modeling:AVAILABLE_MODELS",
    },
    "deepface.modules.preprocessing": {
        "normalize_input": "deepface.recognition.preprocessing:normalize_input",
        "resize_image": "deepface.recognition.preprocessing:resize_image",
    },
    "deepface.modules.normalization": {
        "normalize_embedding_minmax": (
            "deepface.recognition.normalization:normalize_embedding_minmax"
        ),
        "normalize_embedding_l2": "deepface.recognition.normalization:normalize_embedding_l2",
    },
    "deepface.modules.representation": {
        "represent": "deepface.DeepFace:represent",
    },
    "deepface.modules.verification": {
        "verify": "deepface.DeepFace:verify",
        "find_cosine_distance": "deepface.matching.distance:find_cosine_distance",
        "find_angular_distance": "deepface.matching.distance:find_angular_distance",
        "find_euclidean_distance": "deepface.matching.distance:find_euclidean_distance",
        "l2_normalize": "deepface.matching.distance:l2_normalize",
        "find_distance": "deepface.matching.distance:find_distance",
        "find_threshold": "deepface.matching.thresholds:find_threshold",
        "find_confidence": "deepface.matching.confidence:find_confidence",
    },
    "deepface.modules.recognition": {
        "find": "deepface.DeepFace:find",
    },
    "deepface.modules.datastore": {
        "register": "deepface.DeepFace:register",
        "search": "deepface.DeepFace:search",
        "identify": "deepface.DeepFace:identify",
        "build_index": "deepface.DeepFace:build_index",
    },
    "deepface.modules.demography": {
        "analyze": "deepface.DeepFace:analyze",
    },
    "deepface.modules.streaming": {
        "analysis": "deepface.DeepFace:stream",
    },
    "deepface.modules.exceptions": {name: f"deepface.errors:{name}" for name in _ERRORS},
    "deepface.models": {},
    "deepface.models.Detector": {
        "Detector": "deepface.detection.detector:Detector",
        "DetectedFace": "deepface.types:DetectedFace",
        "FacialAreaRegion": "deepface.types:FacialAreaRegion",
    },
    "deepface.models.FacialRecognition": {
        "FacialRecognition": "deepface.recognition.model:FacialRecognition",
    },
    "deepface.models.Demography": {
        "Demography": "deepface.attributes.model:FacialAttribute",
    },
    **_clients("face_detection", "face_detector", _DETECTORS, [""]),
    **_clients("facial_recognition", "facial_recognition", _RECOGNIZERS, (*_ENGINES, ".dlib")),
    **_clients("demography", "facial_attribute", _ATTRIBUTES, _ENGINES),
    **_clients("spoofing", "spoofing", {"FasNet": {"Fasnet": "Fasnet"}}, _ENGINES),
    "deepface.config": {},
    "deepface.config.threshold": {"thresholds": "deepface.matching.thresholds:THRESHOLDS"},
    "deepface.config.confidence": {"confidences": "deepface.matching.confidence:CONFIDENCES"},
    "deepface.config.minmax": {"minmax_values": "deepface.recognition.normalization:MINMAX"},
    "deepface.commons": {},
    "deepface.commons.image_utils": {
        "find_image_hash": "deepface.search.folder.scan:file_hash",
        "load_image": "deepface.images.load:load_image",
        "load_image_from_base64": "deepface.images.load:load_image_from_base64",
        "load_image_from_io_object": "deepface.images.load:load_image_from_io_object",
        "load_image_from_web": "deepface.images.load:load_image_from_web",
        "load_image_from_file_storage": "deepface.images.load:load_image_from_file_storage",
        "list_images": "deepface.images.files:list_images",
        "yield_images": "deepface.images.files:yield_images",
    },
    "deepface.commons.folder_utils": {
        "get_deepface_home": "deepface.runtime.home:get_deepface_home",
        "initialize_folder": "deepface.runtime.home:initialize_folder",
    },
    "deepface.commons.weight_utils": {
        "download_weights_if_necessary": ("deepface.modeling:download_weights_if_necessary"),
        "download_all_models_in_one_shot": ("deepface.modeling:download_all_models_in_one_shot"),
    },
    "deepface.commons.embed_utils": {"is_flat_embedding": "deepface.published:is_flat_embedding"},
    "deepface.commons.package_utils": {"find_file_hash": "deepface.published:find_file_hash"},
    "deepface.commons.backend_utils": {
        "is_package_installed": "deepface.published:is_package_installed",
        **{
            name: f"deepface.runtime.engine:{name}"
            for name in (
                *("BACKENDS", "get_backend_engine"),
                *("is_onnx", "is_pytorch", "is_tensorflow"),
            )
        },
    },
    "deepface.commons.constant": {
        "ROOT_DIR": "deepface.published:PARENT_FOLDER",
        "SRC_DIR": "deepface.published:PACKAGE_FOLDER",
    },
    "deepface.commons.logger": {
        "Logger": "deepface.logger:Logger",
    },
    "deepface.api": {},
    "deepface.api.src": {},
    "deepface.api.src.app": {"create_app": "deepface.server.app:create_app"},
    "deepface.api.src.grpc_server": {
        "create_server": "deepface.server.grpc:create_server",
        "serve": "deepface.server.grpc:serve",
    },
    "deepface.api.proto": {},
    "deepface.api.proto.deepface_pb2": {
        name: f"deepface.server.grpc.messages:{name}" for name in _MESSAGES
    },
    "deepface.api.proto.deepface_pb2_grpc": {
        "DeepFaceServiceStub": "deepface.server.grpc.messages:DeepFaceServiceStub",
        "add_DeepFaceServiceServicer_to_server": (
            "deepface.server.grpc.messages:add_DeepFaceServiceServicer_to_server"
        ),
    },
}


class _PublishedModule(ModuleType):
    """A module whose names live elsewhere; see :data:`MODULES`."""

    def __getattr__(self, name: str) -> Any:
        target = MODULES[self.__name__].get(name)
        if target is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if "/" in target:
            return importlib.import_module("deepface.modeling").get_model_class(*target.split("/"))
        module, _, attribute = target.partition(":")
        owner = importlib.import_module(module)
        return getattr(owner, attribute) if attribute else owner

    def __setattr__(self, name: str, value: Any) -> None:
        owner = self._owner(name)
        if owner is None:
            super().__setattr__(name, value)
        else:
            setattr(*owner, value)

    def __delattr__(self, name: str) -> None:
        owner = self._owner(name)
        if owner is None:
            super().__delattr__(name)
        else:
            delattr(*owner)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *MODULES[self.__name__]})

    def _owner(self, name: str) -> tuple[ModuleType, str] | None:
        target = MODULES[self.__name__].get(name, "")
        module, _, attribute = target.partition(":")
        return (importlib.import_module(module), attribute) if attribute else None


class _Finder(MetaPathFinder, Loader):
    """Serves the modules of :data:`MODULES` to ``import``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MODULES:
            return None
        is_package = any(name.startswith(fullname + ".") for name in MODULES)
        return ModuleSpec(fullname, self, is_package=is_package)

    def get_code(self, fullname: str) -> CodeType:
        """What ``python -m`` runs."""
        name = _PROGRAMS.get(fullname)
        source = f"from {fullname} import {name} as run; run()" if name else ""
        return compile(source, f"<{fullname}>", "exec")

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _PublishedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__all__"] = [name for name in MODULES[module.__name__] if name[0] != "_"]


def install() -> None:
    """Let ``import`` find the published modules. Called once when ``deepface`` is imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
