"""What is known of DeepID; see ``recognition/deepid.py`` for the model."""

from __future__ import annotations

from deepface.recognition.card import Curve, RecognitionCard
from deepface.runtime.weights.table import published

CARD = RecognitionCard(
    name="DeepID",
    model="deepface.recognition.deepid:DeepId",
    summary="A very small network of 2014.",
    published_name="DeepId",
    files=(
        (
            published(
                "deepid_weights.pth",
                None,
                tensors={"Conv1.weight": (20, 3, 4, 4), "fc12.bias": (160,)},
            ),
            published("deepid_keras_weights.h5", None, layers=6),
            published("deepid_weights.onnx", None),
        ),
    ),
    input_shape=(47, 55),
    output_shape=160,
    thresholds={"cosine": 0.015, "euclidean": 45, "euclidean_l2": 0.17, "angular": 0.04},
    curves={
        "cosine": Curve(
            -1.1109389867203003,
            -1.644356005882629,
            0.142463,
            16.114369377586183,
            15.966222060549578,
            15.96057368926546,
            14.153198282635255,
        ),
        "euclidean": Curve(
            -4.267900227772648,
            -0.11777629548659044,
            124.194689,
            27.2342405984107,
            16.08201206739819,
            15.90739039527823,
            1.230125408063358,
        ),
        "euclidean_l2": Curve(
            -3.6681410379067394,
            -0.9230555193862335,
            0.533784,
            21.681829939622233,
            17.57160935306287,
            17.548244679217202,
            5.309829288484883,
        ),
        "angular": Curve(
            -0.2707576106983799,
            -3.87004749575164,
            0.171993,
            2.02619851743467,
            2.0220784432439474,
            2.021498115793411,
            1.951974654804089,
        ),
    },
    minmax=(0.0, 127.86836242675781),
)
