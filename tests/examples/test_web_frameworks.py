"""The examples of web frameworks, each a server and a worker, asked over HTTP [O31]."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from stepflow import Client, embedded
from tests.ports import free_port
from tests.support import until_blocking

#: each has processes of its own
pytestmark = pytest.mark.crash

#: give it an example, the program that serves it and its options; it has an HTTP client of the site
Site = Callable[..., Any]


def answers(http: httpx.Client) -> bool:
    try:
        return bool(http.get("/nothing-is-here").status_code)
    except httpx.TransportError:
        return False


@pytest.fixture
def site(background: Any) -> Site:
    @contextmanager
    def serve(example: str, *command: str) -> Iterator[httpx.Client]:
        port = str(free_port())
        with (
            background("stepflow", "worker", f"examples.web.{example}:app"),
            background(*command, "--port", port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
        ):
            until_blocking(lambda: answers(http))
            yield http

    return serve


def test_django_submits_when_the_row_is_committed_and_only_then(
    site: Site, environment: dict[str, str], home: Path
) -> None:
    environment["ORDERS_FILE"] = str(home / "orders.sqlite3")
    with site("14_django", "uvicorn", "examples.web.14_django:site") as http:
        bought = http.get("/buy/kite")
        assert (bought.status_code, bought.json()) == (202, {"order": 1})
        assert http.get("/buy/nothing").json() == {"order": 2}  # rolled back
        until_blocking(lambda: http.get("/orders/1").json()["state"] == "paid")
        with Client(embedded.join(home, None).url) as client:
            assert [run.id for run in client.list().runs] == ["order-1"]


def test_flask_submits_and_a_person_answers(site: Site) -> None:
    with site("15_flask", "flask", "--app", "examples.web.15_flask:site", "run") as http:
        small = http.post("/expenses", json={"amount": 7}).json()
        key = {"idempotency-key": "expense-1"}
        asked = [http.post("/expenses", json={"amount": 700}, headers=key) for _ in range(2)]
        assert [answer.json()["created"] for answer in asked] == [True, False]
        conflict = http.post("/expenses", json={"amount": 8}, headers=key)
        assert (conflict.status_code, "different input" in conflict.json()["detail"]) == (409, True)
        [question] = until_blocking(lambda: http.get("/questions").json())
        assert question["prompt"] == "Pay 700?"
        http.post(f"/questions/{question['token']}", json={"answer": True, "who": "ann"})
        paths = [f"/expenses/{run_id}" for run_id in (small["id"], "expense-1")]
        for path in paths:
            until_blocking(lambda path=path: http.get(path).json()["state"] == "succeeded")
        assert [http.get(path).json()["result"] for path in paths] == ["paid 7", "paid 700"]
        assert http.get("/expenses/nobody").status_code == 404


def test_the_api_is_mounted_behind_the_guard_of_the_site(site: Site) -> None:
    with site("16_mounted_api", "uvicorn", "examples.web.16_mounted_api:api") as http:
        look = http.post("/reports", params={"customer": "acme"}).json()["look"]
        assert http.get(look).status_code == 401
        for user, allowed in (("ann", 409), ("bob", 403)):  # it has ended, so it is not cancelled
            http.cookies.set("session", f"secret of {user}")
            until_blocking(lambda: http.get(look).json()["state"] == "succeeded")
            assert http.get(look).json()["result"] == "report for acme"
            assert http.post(f"{look}/pause", json={}).status_code == allowed
