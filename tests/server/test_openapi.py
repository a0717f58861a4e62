"""The description of the service: a snapshot, the routes it tells of, and requests made from it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from deepface.server.app import create_app
from deepface.server.settings import Settings
from tests.server.conftest import client_of

SNAPSHOT = Path(__file__).with_name("openapi.json")


def test_the_description_is_the_one_in_the_repository() -> None:
    """After a change on purpose: run this file with DEEPFACE_UPDATE_SNAPSHOTS=1."""
    schema = create_app(Settings.load()).openapi()
    schema["info"]["version"] = "-"
    text = json.dumps(schema, indent=1, sort_keys=True) + "\n"
    if os.environ.get("DEEPFACE_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert json.loads(text) == json.loads(SNAPSHOT.read_text())


def test_every_parameter_is_described() -> None:
    schema = create_app(Settings.load()).openapi()
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            assert operation["summary"] and operation["responses"], path
            body = operation.get("requestBody")
            if body:
                kinds = set(body["content"])
                assert kinds == {
                    "application/json", "multipart/form-data", "application/x-www-form-urlencoded",
                }  # fmt: skip


def test_requests_that_are_made_from_the_description_find_no_fault() -> None:
    schemathesis = pytest.importorskip("schemathesis")
    import hypothesis
    from schemathesis.checks import not_a_server_error

    with client_of(max_items=4) as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
        checks = schemathesis.specs.openapi.checks

        for operation in schema.get_all_operations():
            case = operation.ok().as_strategy()

            @hypothesis.settings(
                max_examples=hypothesis.settings().max_examples // 12,
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(case)
            def run(made: object) -> None:
                made.call_and_validate(  # type: ignore[attr-defined]
                    checks=[
                        not_a_server_error,
                        checks.status_code_conformance,
                        checks.content_type_conformance,
                        checks.response_schema_conformance,
                    ]
                )

            run()
