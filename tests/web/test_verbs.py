"""The routes that change something [O16], each carried out and seen in Redis."""

import logging

import pytest

from stepflow import PermanentError, Succeed
from stepflow.web import Grant
from tests.support import until

PATHS = (
    "/runs", "/runs/a/cancel", "/runs/a/fail", "/runs/a/pause", "/runs/a/resume",
    "/runs/a/run-now", "/runs/a/retry", "/runs/a/fork", "/runs/a/signal", "/questions/a.b",
    "/hooks/a/redeliver", "/bulk", "/bulk/a/stop", "/bulk/a/resume",
    "/queues/a/pause", "/queues/a/resume",
)  # fmt: skip


async def test_a_submit_is_accepted_once_under_its_key(http, client):
    """[O16] The same again is the same run; other input is a conflict; Location leads to it."""
    body, key = {"runner": "report", "payload": {"pages": 3}}, {"Idempotency-Key": "r-1"}
    first = await http.post("/runs", json=body, headers=key)
    assert (first.status_code, first.json()) == (202, {"id": "r-1", "created": True})
    assert first.headers["location"] == "/runs/r-1"
    again = await http.post("/runs", json=body, headers=key)
    assert (again.status_code, again.json()) == (202, {"id": "r-1", "created": False})
    other = await http.post("/runs", json={**body, "payload": 4}, headers=key)
    assert (other.status_code, other.json()["type"]) == (409, "RunConflict")
    two = await http.post("/runs", json={**body, "id": "r-2"}, headers=key)
    assert (two.status_code, two.json()["type"]) == (422, "InvalidOption")
    assert client.status("r-1").payload == {"pages": 3}
    assert client.status("r-2") is None


async def test_a_submit_takes_the_options_of_the_command_line(http, client):
    """[O16]"""
    body = {
        "runner": "report", "id": "r-1", "queue": "slow", "priority": "low",
        "timeout": 7200, "on_timeout": "end", "headers": {"tenant": "acme"}, "version": 2,
    }  # fmt: skip
    assert (await http.post("/runs", json=body)).status_code == 202
    run = client.status("r-1")
    assert (run.queue, run.priority, run.state, run.version) == ("slow", "low", "pending", 2)
    assert run.headers == {"tenant": "acme"}
    assert run.deadline_at is not None
    at = {"runner": "report", "id": "r-2", "start_at": "2099-01-01T00:00:00Z"}
    assert (await http.post("/runs", json=at)).status_code == 202
    assert client.status("r-2").due_at.year == 2099
    later = {"runner": "report", "id": "r-3", "delay": 3600.5}
    assert (await http.post("/runs", json=later)).status_code == 202
    assert client.status("r-3").state == "scheduled"


async def test_verbs_on_a_run_are_carried_out(http, client):
    """[O16] Each answers with the run's status."""
    client.submit("report", run_id="r-1", delay=3600)
    assert (await http.post("/runs/r-1/pause", json={"reason": "wait"})).json()["state"] == "paused"
    assert (await http.post("/runs/r-1/resume")).json()["state"] == "scheduled"
    assert (await http.post("/runs/r-1/run-now")).json()["state"] == "pending"
    cancelled = (await http.post("/runs/r-1/cancel", json={"reason": "enough"})).json()
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "enough")
    again = await http.post("/runs/r-1/cancel")
    assert (again.status_code, again.json()["type"]) == (409, "RunStateError")
    assert (await http.delete("/runs/r-1")).json() == {"id": "r-1", "deleted": True}
    assert (await http.delete("/runs/r-1")).status_code == 404
    client.submit("report", run_id="r-2")
    assert (await http.delete("/runs/r-2")).status_code == 409
    assert (await http.delete("/runs/r-2?force=true")).json()["deleted"] is True
    client.submit("report", run_id="r-3")
    assert (await http.post("/runs/r-3/fail")).json()["state"] == "failed"
    assert client.status("r-1") is client.status("r-2") is None


async def test_a_signal_starts_a_run_that_is_not_there(http, client):
    """[K23]"""
    start = {"runner": "report", "payload": 3, "queue": "slow"}
    body = {"name": "go", "payload": 1, "start": start}
    assert (await http.post("/runs/s-1/signal", json=body)).json()["answer"] == "started"
    run = client.status("s-1")
    assert (run.runner, run.payload, run.queue) == ("report", 3, "slow")
    latest = {"name": "go", "payload": 2, "keep": "latest"}
    assert (await http.post("/runs/s-1/signal", json=latest)).json()["answer"] == "buffered"
    assert [mail.payload for mail in client.mailbox("s-1")] == [2]
    other = {**body, "start": {"runner": "other"}}
    answer = await http.post("/runs/s-1/signal", json=other)
    assert (answer.status_code, answer.json()["type"]) == (409, "RunConflict")
    client.cancel("s-1")


async def test_a_signal_that_may_start_a_run_needs_the_right_to_submit(api, client):
    """[K23] [O18]"""
    body = {"name": "go", "start": {"runner": "report"}}
    allowed = api(access=lambda request: {"signal", "submit"})
    assert (
        await api(access=lambda request: {"signal"}).post("/runs/s-1/signal", json=body)
    ).status_code == 403
    assert client.status("s-1") is None
    assert (await allowed.post("/runs/s-1/signal", json=body)).status_code == 200
    client.cancel("s-1")


async def test_a_failed_run_is_retried_and_a_workflow_signalled_answered_and_forked(
    http, app, client, aclient, working
):
    """[O16] And the delivery of its hook is sent again."""
    broken = True
    hooked = []

    @app.runner("sometimes")
    def sometimes(step):
        if broken:
            raise PermanentError("not yet")
        return Succeed(7)
        return 7

    @app.on_terminal
    def told(outcome):
        if outcome.runner == "sometimes":
            hooked.append(outcome.status)

    @app.workflow("order")
    async def order(ctx, n):
        first = await ctx.step("first", lambda: n)
        name = await ctx.wait_for_signal("name")
        return [first, name, await ctx.ask(bool, "Publish?")]

    async with working(app):
        run = await aclient.submit("order", 1, run_id="o-1")
        signal = {"name": "name", "payload": "Ada", "dedup": "s-1"}
        sent = await http.post("/runs/o-1/signal", json=signal)
        assert sent.json()["signal"] == "name"
        await until(client.questions)
        [question] = (await http.get("/questions")).json()
        wrong = await http.post(f"/questions/{question['token']}", json={"value": "perhaps"})
        assert (wrong.status_code, wrong.json()["type"]) == (422, "AnswerMisfit")
        given = await http.post(f"/questions/{question['token']}", json={"value": True})
        assert given.json() == {"token": question["token"], "answered": True}
        assert await run.result(60) == [1, "Ada", True]
        forked = await http.post("/runs/o-1/fork", json={"at": "first", "set": 2, "id": "o-2"})
        assert forked.json() == {"id": "o-2", "created": True}
        assert client.status("o-2").payload == 2
        failing = await aclient.submit("sometimes", run_id="f-1")
        await failing.wait(60)
        broken = False
        assert (await http.post("/runs/f-1/retry")).status_code == 200
        await failing.wait(60)
        await until(lambda: len(hooked) == 2)
        hook = (await until(lambda: client.hooks("f-1")))[0]
        queued = await http.post(f"/hooks/{hook.id}/redeliver")
        assert queued.json() == {"id": hook.id, "state": "pending"}
        await until(lambda: len(hooked) == 3)
        await http.post("/runs/o-2/cancel")


async def test_a_queue_is_paused_and_resumed(http, client):
    """[O16]"""
    paused = await http.post("/queues/mail/pause", json={"reason": "provider down"})
    assert paused.json() == {"queue": "mail", "changed": True}
    assert [queue.paused.reason for queue in client.queues()] == ["provider down"]
    assert (await http.post("/queues/mail/pause")).json()["changed"] is False
    assert (await http.post("/queues/mail/resume")).json()["changed"] is True


async def test_many_runs_are_cancelled_after_a_preview(http, app, client, working):
    """[O16] The bulk is not begun where many more fit than were expected."""
    client.submit_many([("report", n) for n in range(5)])
    what = {"verb": "cancel", "where": "runner=report"}
    seen = (await http.get("/bulk/preview", params=what)).json()
    assert (seen["count"], seen["is_exact"]) == (5, True)
    grown = await http.post("/bulk", json={**what, "expect": 3})
    assert (grown.status_code, grown.json()["type"]) == (409, "BulkGrown")
    begun = await http.post("/bulk", json={**what, "expect": 5, "reason": "enough"})
    assert begun.status_code == 202
    path = begun.headers["location"]
    async with working(app, queues=["other"]):

        async def is_done():
            return (await http.get(path)).json()["state"] == "done"

        await until(is_done)
    assert (await http.get("/bulk")).json() == [(await http.get(path)).json()]
    assert {run.reason for run in client.list(state="cancelled")} == {"enough"}
    assert (await http.post("/bulk/nobody/stop")).status_code == 404
    wrong = await http.post("/bulk", json={**what, "where": "colour=red"})
    assert (wrong.status_code, wrong.json()["type"]) == (422, "InvalidOption")


async def test_a_bulk_needs_the_right_of_its_verb_too(api):
    """[O18] So a token for one verb does no other to many."""
    http = api(access=lambda request: {"bulk", "pause"})
    cancel = await http.post("/bulk", json={"verb": "cancel", "where": "runner=report"})
    assert cancel.status_code == 403
    pause = await http.post("/bulk", json={"verb": "pause", "where": "runner=report"})
    assert pause.status_code == 202


async def test_a_verb_is_written_down_under_the_name_of_its_bearer(api, client, caplog):
    """[O18] In the run's record and in the audit log."""
    http = api(access=lambda request: Grant("all", by="ann"))
    client.submit("report", run_id="r-1", delay=3600)
    with caplog.at_level(logging.INFO, logger="stepflow.audit"):
        await http.post("/runs/r-1/pause")
        for _ in range(2):  # the second finds the run of the first
            await http.post("/runs", json={"runner": "report", "id": "r-2"})
    assert "by=ann pause r-1" in caplog.text
    assert caplog.text.count("by=ann submit r-2: report") == 1
    assert "ann paused it" in client.status("r-1").waits_for


@pytest.mark.parametrize("path", PATHS)
async def test_who_may_only_look_is_refused_every_verb(api, path):
    """[O18] And who may do one verb, the others."""
    for rights in ("read", {"frob"}):
        http = api(access=lambda request, rights=rights: rights)
        answer = await http.post(path)
        assert (answer.status_code, answer.json()["type"]) == (403, "NotAllowed")
    assert (await api(access=lambda request: None).post(path)).status_code == 401


async def test_who_may_do_one_verb_does_it(api, client):
    client.submit("report", run_id="r-1", delay=3600)
    http = api(access=lambda request: {"pause"})
    assert (await http.post("/runs/r-1/pause")).status_code == 200
    assert (await http.post("/runs/r-1/cancel")).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
    ],
)
async def test_a_page_of_another_origin_sends_no_verb(http, client, headers, status):
    """[O18]"""
    client.submit("report", run_id="r-1", delay=3600)
    answer = await http.post("/runs/r-1/pause", headers=headers)
    assert answer.status_code == status
    assert client.status("r-1").state == ("paused" if status == 200 else "scheduled")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "BadRequest"),
        (b"\xff", 400, "BadRequest"),
        (b"[]", 400, "BadRequest"),
        (b"{}", 400, "BadRequest"),
        (b'{"runner": 3}', 400, "BadRequest"),
        (b'{"runner": "a", "colour": "red"}', 400, "BadRequest"),
        (b'{"runner": "a", "payload": NaN}', 400, "BadRequest"),
        (b'{"runner": "a", "payload": 1e999}', 400, "BadRequest"),
        (b'{"runner": "a", "payload": [-1E400]}', 400, "BadRequest"),
        (b'{"runner": "a", "payload": "\\ud800"}', 400, "BadRequest"),
        (b'{"runner": "a", "payload": %s}' % (b"[" * 200 + b"]" * 200), 400, "BadRequest"),
        (b'{"runner": "a", "payload": %s}' % (b"[" * 90_000 + b"]" * 90_000), 400, "BadRequest"),
        (b'{"runner": "a", "payload": %s}' % (b"9" * 5000), 400, "BadRequest"),
        (b'{"runner": "a", "version": 1.5}', 400, "BadRequest"),
        (b'{"runner": "a", "version": true}', 400, "BadRequest"),
        (b'{"runner": "a", "headers": {"workflow.x": "y"}}', 422, "ReservedHeader"),
        (b'{"runner": "a", "webhooks": ["http://10.0.0.1/"]}', 422, "WebhookRefused"),
        (b'{"runner": "a", "payload": "%s"}' % (b"x" * 1_060_000), 413, "PayloadTooLarge"),
        (b'{"runner": "a", "payload": "%s"}' % (b"x" * 1_200_000), 413, "BodyTooLarge"),
    ],
    ids=range(19),
)  # fmt: skip
async def test_a_body_that_cannot_be_taken_is_refused_in_words(http, client, body, status, kind):
    """[O18] And nothing is written."""
    answer = await http.post("/runs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert client.list().runs == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_type_is_refused(http, headers):
    """[O18]"""
    answer = await http.post("/runs", content=b'{"runner": "a"}', headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "NotJson")


async def test_a_body_without_its_length_is_cut_at_the_limit(http):
    """[O18]"""

    async def parts():
        for _ in range(200):
            yield b"x" * 10_000

    headers = {"Content-Type": "application/json"}
    answer = await http.post("/runs", content=parts(), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (413, "BodyTooLarge")
    headers["Content-Length"] = "9" * 5000
    answer = await http.post("/runs", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (413, "BodyTooLarge")


async def test_a_body_that_comes_too_slowly_is_given_up(api, aclient, monkeypatch):
    """[O18]"""
    import asyncio

    from stepflow.web import app as make_api
    from stepflow.web import everything

    monkeypatch.setattr("stepflow.web.incoming.BODY_S", 0.05)
    sent = []

    async def never():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/runs", "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip
    await make_api(aclient, access=everything)(scope, never, send)
    assert sent[0]["status"] == 408
