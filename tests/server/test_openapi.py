"""The OpenAPI document says what comes: schemathesis asks for everything in it, and finds no 500 and no surprise."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from actorlab import Lab, query, record, task, workflow
from actorlab.server import app

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, negative_data_rejection, unsupported_method, allow_header_conformance,
]  # fmt: skip
EXAMPLES = 5
STREAMS = ("/events", "/streams")
"""What doesn't end by itself."""
LAST = (("post", "/devices/{name}/disconnect"), ("delete", "/devices/{name}"))
NAMES = {
    "name": ["lamp", "watch", "dim", "nothing", "_level"],
    "member": ["level", "dim", "colour", "_secret", "__class__"],
    "run_id": ["dim%231", "show%232", "show%232%2Fdim", "nothing%237"],
    "lease_id": ["lease%231", "nothing"],
}
"""Names that are there, so that not everything ends at 404."""


class Lamp:
    """A lamp."""

    colour: str = "white"

    @query
    def level(self, digits: int = 1) -> float:
        """Tell how bright it is."""
        return round(7.0, digits)

    def dim(self, level: float) -> float:
        """Make it brighter or darker."""
        return level

    def _secret(self) -> None:
        """Nobody's business."""


@task
def dim(lamp: Lamp, level: float = 1.0) -> float:
    """Dim it."""
    record(level=lamp.dim(level))
    return level


@workflow
def show(lamp: Lamp, times: int = 2) -> None:
    """Dim it several times."""
    for _ in range(min(times, 5)):
        dim(lamp, 1.0)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Make a lab in which something has happened."""
    lab = Lab("open", journal=tmp_path / "lab.db", durable=False, cancel_grace=1.0)
    lab.register(dim, show, Lamp)
    lamp = lab.add("lamp", Lamp)
    lab.run(dim, lamp)
    lab.run(show, lamp)
    lab.interlock(lambda: True, "veto", message="the door")
    logging.getLogger("actorlab.server").setLevel(logging.CRITICAL)
    yield lab
    logging.getLogger("actorlab.server").setLevel(logging.NOTSET)
    lab.close()


@pytest.fixture
def document(lab: Lab) -> Any:
    """Read the document of a lab's application."""
    return schemathesis.openapi.from_asgi("/openapi.json", app(lab))


def operations(document: Any) -> list[Any]:
    """Return what can be asked for, but for streams; what takes the lamp away comes last."""
    found = [result.ok() for result in document.get_all_operations()]
    asked = [operation for operation in found if not operation.path.startswith(STREAMS)]
    return sorted(asked, key=lambda operation: (operation.method, operation.path) in LAST)


def test_every_route_is_asked_for_and_answers_as_the_document_says(document: Any) -> None:
    asked = operations(document)
    assert len(asked) > 40
    for operation in asked:
        ask_often(operation, GenerationMode.POSITIVE)


def test_what_does_not_fit_the_document_is_refused_as_it_says(document: Any) -> None:
    for operation in operations(document):
        if operation.body or operation.query:
            ask_often(operation, GenerationMode.NEGATIVE)


def ask_often(operation: Any, mode: GenerationMode) -> None:
    """Ask for one thing again and again, with whatever fits its schema or doesn't, by names that are there or not."""
    cases = operation.as_strategy(generation_mode=mode)

    @seed(6)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=cases, data=st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        for parameter in case.path_parameters or {}:
            if parameter in NAMES:
                case.path_parameters[parameter] = data.draw(st.sampled_from(NAMES[parameter]))
        response = case.call(base_url="http://127.0.0.1")
        case.validate_response(response, checks=CHECKS)

    ask()


def test_the_document_names_only_schemas_that_it_has_and_each_error_has_ours(lab: Lab) -> None:
    told: Any = app(lab).openapi()
    schemas = told["components"]["schemas"]
    text = json.dumps(told)
    named = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= set(schemas)
    assert "HTTPValidationError" not in schemas
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    where = f"{method} {path} {status}"
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, where
                if status == "204":
                    assert "content" not in answer
