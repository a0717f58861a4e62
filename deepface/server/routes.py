"""The functions that every protocol serves, and how one of them is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from deepface.server import parameters as p
from deepface.server.batching import Call, current_call
from deepface.server.failures import Refused
from deepface.server.pictures import Body
from deepface.server.service import Answer, Service


@dataclass(frozen=True)
class Route:
    """A function, its address, and the published word of its errors."""

    path: str
    doing: str
    parameters: type[p.Parameters]
    function: Callable[[Service, Any, Body], Answer]
    #: Those of other methods than POST have their parameters in the address.
    method: str = "POST"

    def perform(self, service: Service, call: Call, body: Body) -> Answer:
        """Carry it out, in the thread of this call.

        Raises:
            Refused: a parameter is wrong.
            Exception: what :func:`deepface.server.failures.refusal` makes a status of.
        """
        current_call.set(call)
        known = self.parameters.model_fields
        if body.strict and (unknown := [name for name in body.fields if name not in known]):
            text = f"{self.path} has no field {unknown[0]!r}, but {', '.join(known)}"
            raise Refused(400, text, code="invalid_argument")
        try:
            asked = self.parameters.model_validate(body.fields)
        except ValidationError as error:
            raise _first(error) from None
        return self.function(service, asked, body)


def _first(error: ValidationError) -> Refused:
    """What is wrong with which field; its code is that of the library's error."""
    problem = error.errors(include_url=False, include_context=False)[0]
    field = str(problem["loc"][0]) if problem["loc"] else "request"
    text = problem["msg"].removeprefix("Value error, ")
    given = "" if problem["type"] == "missing" else f"; it is {str(problem['input'])[:100]!r}"
    is_name = problem["type"] == "literal_error"
    code = "unimplemented_error" if is_name else "invalid_argument"
    return Refused(400, f"{field}: {text}{given}", code=code)


ROUTES = (
    Route("/represent", "representing", p.Represent, Service.represent),
    Route("/verify", "verifying", p.Verify, Service.verify),
    Route("/analyze", "analyzing", p.Analyze, Service.analyze),
    Route("/register", "registering", p.Register, Service.register),
    Route("/search", "searching", p.Search, Service.search),
    Route("/build/index", "building index", p.BuildIndex, Service.build_index),
    Route("/extract_faces", "extracting faces", p.ExtractFaces, Service.extract_faces),
    Route("/find", "finding", p.Find, Service.find),
    Route("/identify", "identifying", p.Identify, Service.identify),
    Route("/unregister", "deleting faces", p.Unregister, Service.unregister),
    Route("/faces", "listing faces", p.ListFaces, Service.list_faces, "GET"),
    Route("/faces", "deleting faces", p.DeleteFaces, Service.delete_faces, "DELETE"),
)
