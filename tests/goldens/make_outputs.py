"""Write ``outputs.json``: what the original networks make of the stand-in weights.

Run twice, as ``python make_outputs.py HOME tensorflow`` and ``… pytorch``, by the Python of the
environment that ``make parity`` makes. ``HOME`` is an empty folder for weight files.
"""

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import networks as stand_ins

RECOGNITION = {
    "VGG-Face": "vgg_face_weights.h5",
    "Facenet": "facenet_weights.h5",
    "Facenet512": "facenet512_weights.h5",
    "OpenFace": "openface_weights.h5",
    "DeepID": "deepid_keras_weights.h5",
    "ArcFace": "arcface_weights.h5",
    "GhostFaceNet": "ghostfacenet_v1.h5",
}
FASNET = {
    "MiniFASNetV2": "2.7_80x80_MiniFASNetV2.pth",
    "MiniFASNetV1SE": "4_0_0_80x80_MiniFASNetV1SE.pth",
}
ATTRIBUTES = {
    "Emotion": "facial_expression_model_weights.h5",
    "Age": "age_model_weights.h5",
    "Gender": "gender_model_weights.h5",
    "Race": "race_model_single_batch.h5",
}


def outputs(name, model):
    found = model(stand_ins.network_input(name))
    return [np.asarray(part) for part in (found if isinstance(found, list) else [found])]


def tensorflow(weights):
    from retinaface import RetinaFace

    from deepface.modules import modeling

    for task, files in (("facial_recognition", RECOGNITION), ("facial_attribute", ATTRIBUTES)):
        for name, file in files.items():
            path = stand_ins.write_h5(name, weights / file)
            found = outputs(name, modeling.build_model(task=task, model_name=name).model)
            if name == "VGG-Face":  # which the published library scales to length 1
                found = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in found]
            yield name, found
            print(name, [part.shape for part in found], flush=True)
            path.unlink()
    stand_ins.write_h5("retinaface", weights / "retinaface.h5")
    yield "retinaface", outputs("retinaface", RetinaFace.build_model())


def pytorch(weights):
    """What no current TensorFlow runs."""
    import torch

    from deepface.models.facial_recognition.pytorch.FbDeepFace import DeepFaceClient
    from deepface.models.spoofing.pytorch.FasNet import Fasnet

    stand_ins.write_pth("DeepFace", weights / "VGGFace2_DeepFace_weights_val-0.9034.pth")
    x = stand_ins.network_input("DeepFace")
    yield "DeepFace", [np.array([DeepFaceClient().forward(face[None]) for face in x])]
    for name, file in FASNET.items():
        stand_ins.write_pth(name, weights / file)
    fasnet = Fasnet()
    for name, module in zip(FASNET, (fasnet.first_model, fasnet.second_model), strict=True):
        faces = torch.from_numpy(stand_ins.network_input(name)).permute(0, 3, 1, 2)
        with torch.no_grad():
            yield name, [module.eval()(faces).numpy()]


def main(home, engine):
    os.environ.update(DEEPFACE_HOME=str(home), DEEPFACE_BACKEND_ENGINE=engine)
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    stand_ins.write_outputs(dict({"tensorflow": tensorflow, "pytorch": pytorch}[engine](weights)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
