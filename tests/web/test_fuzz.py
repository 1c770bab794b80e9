"""What fits the document is taken, what does not is refused, and nothing is a fault [O17]."""

import os

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

from stepflow import AsyncClient, Client
from stepflow.web import app as make_api
from stepflow.web.access import Tokens
from stepflow.web.routes import OPERATIONS

pytestmark = pytest.mark.crash

TOKEN = "0123456789abcdef"
#: what fits the schema may still be what cannot be done (422), or of another run's state
CONFIG = {
    "checks": {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "403", "404", "409", "413", "422"]
        }
    }
}
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
#: operations that have nothing to be given wrongly
TAKE_NOTHING = {"health", "ready"}


@pytest.fixture(scope="module")
def described(server):
    """The document, read from an app on the real server."""
    client = AsyncClient(server)
    api = make_api(client, access=Tokens({TOKEN: "ann"}, {}))
    config = schemathesis.Config.from_dict(CONFIG)
    return schemathesis.openapi.from_asgi("/openapi.json", api, config=config)


@pytest.fixture
def known(real, server, monkeypatch):
    """Runs in several states, for the operations to meet; streams end at once."""
    monkeypatch.setattr("stepflow.web.streams.LASTS_S", 0.0)
    with Client(server) as client:
        client.submit("report", {"password": "x"}, run_id="pending")
        client.submit("report", run_id="scheduled", delay=3600)
        for run_id in ("cancelled", "failed", "paused"):
            client.submit("report", run_id=run_id)
        client.cancel("cancelled")
        client.fail("failed")
        client.pause("paused")
        client.schedules.put("nightly", "report", every=3600)
        client.groups.submit("load", {"a": ("report", 1)})
    yield ["pending", "scheduled", "cancelled", "failed", "paused"]
    real.flushall()


def has_lost(case, operation):
    """Whether what is wrong with a query is a name without a value, which no URL carries."""
    names = set(operation.query.model_fields if operation.query else ())
    return any(name not in names and is_nothing(value) for name, value in case.query.items())


def is_nothing(value):
    """Whether a value has no part that a URL could carry."""
    parts = value.values() if isinstance(value, dict) else value
    return value in (None, "") or (
        isinstance(value, list | dict) and all(is_nothing(part) for part in parts)
    )


def fuzz(described, known, operation, mode, examples):
    found = described[operation.path][operation.method]

    @hypothesis.settings(
        max_examples=examples, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @hypothesis.given(
        case=found.as_strategy(generation_mode=mode),
        run_id=hypothesis.strategies.sampled_from(known),
    )
    def one(case, run_id):
        hypothesis.assume(not has_lost(case, operation))
        if mode is GenerationMode.POSITIVE and "run_id" in case.path_parameters:
            case.path_parameters["run_id"] = run_id
        if mode is GenerationMode.POSITIVE and "schedule_id" in case.path_parameters:
            case.path_parameters["schedule_id"] = "nightly"
        if mode is GenerationMode.POSITIVE and "group_id" in case.path_parameters:
            case.path_parameters["group_id"] = "load"
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"})

    one()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_many_examples_are_answered_as_the_document_says(described, known, operation):
    """[O17] As many of each kind as FUZZ_EXAMPLES says."""
    fuzz(described, known, operation, GenerationMode.POSITIVE, EXAMPLES)
    if operation.name not in TAKE_NOTHING:
        fuzz(described, known, operation, GenerationMode.NEGATIVE, EXAMPLES)
