"""What Prometheus is told: requests, the queue, batches, faces and errors."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from deepface.server.batching import Batcher, BatchReport

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The metrics of one server, whichever protocols it speaks.

    Args:
        batcher: its queue, which is asked for its length whenever Prometheus asks.
    """

    def __init__(self, batcher: Batcher) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        sizes = partial(Histogram, registry=self._registry, buckets=_SIZES)
        seconds = partial(Histogram, registry=self._registry, buckets=_SECONDS)
        self._requests = counter("deepface_requests", "Requests answered", ["route", "status"])
        self._request_seconds = seconds(
            "deepface_request_seconds", "From the first byte of a request to its answer", ["route"]
        )
        self.in_flight = gauge("deepface_requests_in_flight", "Requests that are being answered")
        gauge("deepface_queue_depth", "Pictures that wait").set_function(lambda: len(batcher))
        self._queued = seconds("deepface_queue_seconds", "What a picture waited for its batch")
        self._sizes = sizes("deepface_batch_size", "Pictures per batch")
        kind = ["detector", "model", "actions"]
        self._compute = seconds(
            "deepface_batch_seconds", "What a batch took from decoding to results", kind
        )
        self._steps = seconds(
            "deepface_step_seconds",
            "What a step of a batch took: decode, find, judge, embed, estimate",
            ["step", *kind],
        )
        self._pictures = counter("deepface_pictures", "Pictures", kind)
        self._faces = counter("deepface_faces", "Faces", kind)
        self._errors = counter("deepface_picture_errors", "Pictures that gave an error", kind)

    def answered(self, route: str, status: int | str, seconds: float) -> None:
        """A request has its answer. The route is one of those that exist."""
        self._requests.labels(route, status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def observe(self, done: BatchReport) -> None:
        """A batch is done."""
        # Sorted, each once: callers could make any number of series of other orders.
        actions = "+".join(sorted(set(done.kind.actions or ())))
        kind = (done.kind.detector_backend, done.kind.model_name or "", actions)
        for seconds in done.queued:
            self._queued.observe(seconds)
        self._sizes.observe(len(done.queued))
        self._compute.labels(*kind).observe(done.seconds)
        for step, seconds in done.steps.items():
            self._steps.labels(step, *kind).observe(seconds)
        self._pictures.labels(*kind).inc(len(done.queued))
        self._faces.labels(*kind).inc(done.faces)
        self._errors.labels(*kind).inc(done.errors)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
