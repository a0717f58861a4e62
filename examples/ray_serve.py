"""The service on more machines than one: replicas of it behind Ray Serve's proxy.

    pip install "deepface[server]" "ray[serve]"
    serve run examples.ray_serve:app

Each replica has a queue of its own, so batches form within a replica: few replicas with much to do
are better than many. The settings are the environment variables of ``docs/server.md``, on every
machine; faces belong into a database that all replicas reach (``DEEPFACE_DATABASE_TYPE``).
"""

from __future__ import annotations

from ray import serve

from deepface.server.app import create_app

#: Requests that a replica takes before the proxy lets others wait; several batches.
REQUESTS = 128


@serve.deployment(num_replicas=2, max_ongoing_requests=REQUESTS, max_queued_requests=4 * REQUESTS)
@serve.ingress(create_app)
class DeepFaceService:
    """A replica: one process with the whole service. For GPUs: ``ray_actor_options``."""


app = DeepFaceService.bind()  # type: ignore[attr-defined]
