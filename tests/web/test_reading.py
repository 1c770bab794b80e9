"""The routes that look [O16], and what they show of values [O19]."""

import json

import httpx
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.routing import Mount

from stepflow import AsyncClient, PermanentError, Webhook
from stepflow.cli.main import cli
from stepflow.web import app as make_api
from stepflow.web import everything
from stepflow.web.redact import HIDDEN, hide_nothing


@pytest.fixture
async def run_id(app, aclient, working):
    """A workflow that has ended well, with secrets in all it keeps."""

    @app.workflow("order")
    async def order(ctx, payload):
        login = await ctx.step("login", lambda: {"user": "ada", "password": "hunter2"})
        await ctx.step("fetch-token", lambda: "hunter2")
        await ctx.vars.set("api_key", "hunter2")
        return {"user": login["user"], "cookie": "hunter2"}

    async with working(app):
        run = await aclient.submit(
            "order",
            {"n": 1, "nested": [{"apiKey": "hunter2"}]},
            run_id="order-1",
            headers={"Authorization": "hunter2", "tenant": "acme"},
            webhooks=[
                Webhook(
                    "http://127.0.0.1:9/x",
                    secret="whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI=",
                )
            ],
        )
        await run.wait(60)
    return run.id


async def printed(url, *words):
    """What the command line prints with --json."""
    result = CliRunner().invoke(cli, ["--redis-url", url, "--json", *words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/runs?state=succeeded", ["list", "--state", "succeeded"]),
        ("/runs?header=tenant%3Dacme&roots=true", ["list", "--header", "tenant=acme", "--roots"]),
        ("/runs/order-1/why", ["why", "order-1"]),
        ("/runs/order-1/journal", ["export", "order-1"]),
        ("/questions", ["questions"]),
        ("/hooks?run=order-1", ["hooks", "list", "--run", "order-1"]),
        ("/queues", ["queues"]),
        ("/workers", ["workers"]),
        ("/runners", ["runners"]),
    ],
)
async def test_a_route_gives_what_the_command_line_prints_as_json(api, run_id, url, path, words):
    """[O16] Nothing hidden, for the command line hides nothing."""
    http = api(redact=hide_nothing)
    for _ in range(10):  # a sentence that says in how many seconds may be a second older
        answer, shown = await http.get(path), await printed(url, *words)
        if answer.json() == shown:
            break
    assert (answer.status_code, answer.json()) == (200, shown)


async def test_a_run_and_its_steps_are_what_show_prints(api, run_id, url):
    """[O16]"""
    http = api(redact=hide_nothing)
    shown = await printed(url, "show", run_id)
    run, steps = (await http.get("/runs/order-1")).json(), (await http.get("/runs/order-1/steps"))
    assert run == {name: shown[name] for name in run}
    assert steps.json()["steps"] == shown["steps"]
    assert steps.json()["is_workflow"] is True


async def test_a_timeline_has_the_steps_and_when_a_worker_had_the_run(
    http, app, aclient, working, run_id
):
    """[O16] A workflow's activations; a runner's steps are its attempts; when children ended."""
    steps = (await http.get(f"/runs/{run_id}/steps")).json()["steps"]
    whole = (await http.get(f"/runs/{run_id}/timeline")).json()
    assert (whole["id"], whole["state"], whole["is_workflow"]) == (run_id, "succeeded", True)
    assert whole["steps"] == steps
    [activation] = whole["activations"]
    assert (activation["number"], activation["attempt"], activation["error"]) == (0, 1, None)
    moments = [whole["created_at"], activation["started_at"], activation["ended_at"]]
    assert moments == sorted(moments)

    @app.runner("child")
    def child(step):
        raise PermanentError("broken")

    @app.workflow("parent")
    async def parent(ctx):
        await (await ctx.spawn("child")).result()

    async with working(app):
        await (await aclient.submit("parent", run_id="p1")).wait(60)
    whole = (await http.get("/runs/p1/timeline")).json()
    [(child_id, ended_at)] = whole["child_ends"].items()
    assert ended_at
    of_runner = (await http.get(f"/runs/{child_id}/timeline")).json()
    assert of_runner["activations"] == []
    assert [step["error"]["message"] for step in of_runner["steps"]] == ["broken"]


@pytest.mark.parametrize(
    "path",
    [
        "/runs",
        "/runs/order-1",
        "/runs/order-1/steps",
        "/runs/order-1/timeline",
        "/runs/order-1/journal",
        "/hooks?run=order-1",
    ],
)
async def test_values_under_the_keys_of_secrets_are_hidden(http, run_id, path):
    """[O19] In payloads, results, headers, the values of steps and journals, by key and by name."""
    answer = await http.get(path)
    assert answer.status_code == 200
    assert "hunter2" not in answer.text
    assert "aHVudGVy" not in answer.text
    if path == "/runs/order-1":
        run = answer.json()
        assert run["payload"] == {"n": 1, "nested": [{"apiKey": HIDDEN}]}
        assert run["headers"] == {"Authorization": HIDDEN, "tenant": "acme"}
        assert run["result"] == {"user": "ada", "cookie": HIDDEN}


async def test_a_redact_of_ones_own_is_asked_for_every_value(api, app, aclient, working, run_id):
    """[O19] Also for errors; and in a journal, whatever it hides by its key."""

    @app.runner("fails")
    def fails(step):
        raise PermanentError("no hunter2 here")

    async with working(app):
        run = await aclient.submit("fails")
        await run.wait(60)

    def redact(kind, path, value):
        if kind == "error" and path[-1:] == ("message",):
            return "x"
        return "y" if path[-1:] == ("user",) else value

    http = api(redact=redact)
    failed = (await http.get(f"/runs/{run.id}")).json()
    assert failed["error"]["message"] == "x"
    hidden = api(redact=lambda kind, path, value: "z" if path[-1:] == ("sentence",) else value)
    assert (await hidden.get(f"/runs/{run.id}/why")).json()["sentence"] == "z"
    journal = (await http.get("/runs/order-1/journal")).text
    assert "ada" not in journal
    assert "hunter2" in journal


async def test_a_wrong_question_is_a_problem_document(http):
    """[O17] Its type is the class of the error, its detail the sentence of it."""
    answer = await http.get("/runs/nobody")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"], problem["retryable"]) == ("RunNotFound", 404, False)
    assert "there is no run 'nobody'" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/runs?limit=abc", 400, "BadRequest"),
        ("/runs?limit=0", 400, "BadRequest"),
        ("/runs?limit=5&limit=6", 400, "BadRequest"),
        ("/runs?colour=red", 400, "BadRequest"),
        ("/runs?state=lost", 400, "BadRequest"),
        ("/runs?roots=1", 400, "BadRequest"),
        ("/runs?since=yesterday", 422, "InvalidOption"),
        ("/runs?cursor=x", 422, "InvalidOption"),
        ("/runs?parent=a&roots=true", 422, "InvalidOption"),
        ("/runs/a%20b", 400, "BadRequest"),
        ("/runs/a/b/c", 404, "NoSuchRoute"),
        ("/runs/", 404, "NoSuchRoute"),
        ("/runs/nobody/steps", 404, "RunNotFound"),
        ("/runs/nobody/timeline", 404, "RunNotFound"),
        ("/runs/nobody/why", 404, "RunNotFound"),
        ("/runs/nobody/journal", 404, "RunNotFound"),
    ],
)
async def test_what_is_asked_wrongly_is_refused_in_words(http, path, status, kind):
    """[O17]"""
    answer = await http.get(path)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert answer.json()["detail"]


async def test_a_method_that_a_path_does_not_take_is_refused(http):
    answer = await http.put("/runs")
    assert (answer.status_code, answer.json()["type"]) == (405, "MethodNotAllowed")
    assert "GET" in answer.headers["allow"]


async def test_pages_of_runs_go_on_by_their_cursor(http, aclient):
    await aclient.submit_many([("later", n) for n in range(5)])
    first = (await http.get("/runs?limit=3")).json()
    rest = (await http.get("/runs", params={"limit": 3, "cursor": first["cursor"]})).json()
    assert sorted(run["payload"] for run in first["runs"] + rest["runs"]) == [0, 1, 2, 3, 4]


async def test_it_is_mounted_below_a_path_of_another_app(aclient):
    """[O16] With a prefix besides; the document knows where it is."""
    inner = make_api(aclient, access=everything, prefix="/api")
    outer = Starlette(routes=[Mount("/stepflow", inner)])
    transport = httpx.ASGITransport(outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://any.host") as http:
        assert (await http.get("/stepflow/api/runs")).json()["runs"] == []
        whole = (await http.get("/stepflow/api/openapi.json")).json()
    assert whole["servers"] == [{"url": "/stepflow/api"}]


async def test_it_is_not_ready_while_redis_is_away(settings, monkeypatch):
    """[O16] The health of the server itself is another matter."""
    monkeypatch.setattr("stepflow.web.reads.READY_S", 0.1)
    client = AsyncClient("redis://127.0.0.1:1/0", settings=settings)
    transport = httpx.ASGITransport(make_api(client, access=everything))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/health")).json() == {"status": "ok"}
        away = await http.get("/ready")
        assert (away.status_code, away.json()["retryable"]) == (503, True)
        assert away.headers["retry-after"] == "1"
    await client.close()


async def test_it_is_ready_when_redis_answers(http):
    assert (await http.get("/ready")).json() == {"status": "ok"}
