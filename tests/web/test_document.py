"""The OpenAPI document and the app are of one table [O17]."""

import jsonschema
import pytest
from starlette.routing import Route

from stepflow.web import app as make_api
from stepflow.web import everything
from stepflow.web.document import document
from stepflow.web.limits.path import KIND
from stepflow.web.problems import status_of
from stepflow.web.routes import OPERATIONS, problems_of


def test_every_route_of_the_app_is_in_the_document_and_the_other_way_round(aclient):
    """[O17] But the document itself, and what leads to the pages."""
    api = make_api(aclient, access=everything)
    routes = {
        (route.path.replace(f":{KIND}}}", "}"), method)
        for route in api.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    paths = document(OPERATIONS, "")["paths"]
    described = {(path, method.upper()) for path, of_path in paths.items() for method in of_path}
    assert routes - described == {("/openapi.json", "GET"), ("/", "GET"), ("/ui", "GET")}
    assert described <= routes


@pytest.fixture(scope="module")
def whole():
    return document(OPERATIONS, "")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_status_of_an_operation_is_in_the_document(operation, whole):
    """[O17]"""
    described = whole["paths"][operation.path][operation.method.lower()]
    expected = {str(operation.status), *(str(status_of(kind)) for kind in problems_of(operation))}
    assert set(described["responses"]) == expected
    assert described["summary"]


def test_names_of_operations_are_unique_and_all_schemas_are_sound():
    """[O17]"""
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    for schema in document(OPERATIONS, "")["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_fields_are_told_what_they_are():
    """[O17] A run's state is one of those that there are."""
    schemas = document(OPERATIONS, "")["components"]["schemas"]
    assert "succeeded" in schemas["RunState"]["enum"]
    assert schemas["ShownRun"]["properties"]["why"]
