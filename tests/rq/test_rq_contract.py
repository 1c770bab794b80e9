"""
What our scripts write is what RQ itself writes: RQ, rq-dashboard and `rq info` see stepflow's
queues and jobs.
"""

import asyncio
import zlib
from contextlib import suppress

import pytest
import rq
from rq.job import Job
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

import stepflow.entry
from stepflow import RetryPolicy, Succeed
from stepflow.core.ids import Delivery
from stepflow.core.run import Priority, Run, RunState
from stepflow.store.claims import claim_steps, sources_of
from stepflow.store.hooks import HookJob
from stepflow.store.maintenance import move_due
from stepflow.store.runs import Fence, finish_run, hand_over, load_run, submit_run
from stepflow.store.values.codec import pack
from tests.support import dump, until

NOW = 1_800_000_000.25


@pytest.fixture
def client(real):
    return real


@pytest.fixture
def submit(link_to_real, keys):
    def submit(run_id="a", *, due_in=0.0, priority=Priority.NORMAL):
        run = Run(
            run_id, "x", "default", priority, RunState.SCHEDULED if due_in else RunState.PENDING,
            delivery=Delivery(run_id, 0).rq_id, due_at=NOW + due_in if due_in else 0.0,
            created_at=NOW,
        )  # fmt: skip
        assert (
            link_to_real.call(submit_run(keys, run, request="r", data=["payload", pack(1)])) is None
        )

    return submit


@pytest.fixture
def claim(link_to_real, keys):
    def claim(number=0):
        call = claim_steps(
            keys, sources_of(keys, "default"), given=f"{NOW:.6f}", stem="w1.", number=number,
            lease_s=9, limit=9, live_workers=1, worker="w1", now=NOW, runners=["x"],
        )  # fmt: skip
        return link_to_real.call(call).taken

    return claim


def fetch(client, rq_id):
    return Job.fetch(rq_id, connection=client, serializer=JSONSerializer)


def theirs(client, rq_id, function, queue="default"):
    """The same job as RQ itself writes it, on another queue of the same server."""
    queue = rq.Queue("theirs", connection=client, serializer=JSONSerializer)
    job = queue.enqueue_call(
        function,
        ("stepflow", rq_id),
        timeout=-1,
        result_ttl=0,
        job_id=f"{rq_id}-theirs",
        description=f"{function.__name__} {rq_id}",
    )
    return client.hgetall(f"rq:job:{job.id}")


def comparable(row):
    """The fields that mean the same for both: times are times, empty ones are none at all."""
    times = {b"created_at", b"enqueued_at", b"started_at"}
    return {
        name: (len(value) if name in times else value)
        for name, value in row.items()
        if value not in (b"", b"{}")
    }


#: fields RQ writes for jobs of any kind that say nothing here: empty, or of features that a
#: delivery does not use
RQS_OWN = {
    b"meta",
    b"group_id",
    b"worker_name",
    b"success_callback_name",
    b"failure_callback_name",
    b"stopped_callback_name",
}


@pytest.mark.parametrize("due_in", [0.0, 5.0])
def test_a_job_is_written_field_by_field_as_rq_writes_it(client, submit, due_in):
    """[C38]"""
    submit("a", due_in=due_in)
    ours = comparable(client.hgetall("rq:job:run-a-0"))
    wanted = comparable(theirs(client, "run-a-0", stepflow.entry.run_step))
    wanted[b"origin"], wanted[b"status"] = b"default", b"scheduled" if due_in else b"queued"
    assert ours.pop(b"data") == JSONSerializer.dumps(
        ("stepflow.entry.run_step", None, ("stepflow", "run-a-0"), {})
    )
    wanted.pop(b"data")
    assert ours == {name: value for name, value in wanted.items() if name not in RQS_OWN}
    _forget(client)


def _forget(client):
    client.flushall()


def test_rq_reads_back_what_we_wrote(client, submit):
    """[C38]"""
    submit("a")
    job = fetch(client, "run-a-0")
    assert (job.func_name, job.args, job.kwargs) == (
        "stepflow.entry.run_step",
        ["stepflow", "run-a-0"],
        {},
    )
    assert job.func is stepflow.entry.run_step
    assert (job.origin, job.get_status(), job.timeout, job.result_ttl) == (
        "default",
        "queued",
        -1,
        0,
    )
    assert job.description == "run_step run-a-0"
    assert job.enqueued_at.timestamp() == job.created_at.timestamp() == NOW


def test_rq_sees_queues_counts_and_jobs(client, submit, link_to_real, keys):
    """[C38] Also the queues of the other priorities, and a namespace's."""
    for priority in Priority:
        submit(priority.name, priority=priority)
    submit("more")
    queues = {
        queue.name: queue for queue in rq.Queue.all(connection=client, serializer=JSONSerializer)
    }
    assert {name: queue.count for name, queue in queues.items()} == {
        "default.high": 1,
        "default": 2,
        "default.low": 1,
    }
    assert queues["default"].job_ids == ["run-NORMAL-0", "run-more-0"]
    assert [job.id for job in queues["default"].jobs] == ["run-NORMAL-0", "run-more-0"]


def test_a_claimed_job_stands_in_the_started_registry_and_looking_does_not_end_it(
    client, submit, claim
):
    """[C38] RQ's own counting deletes expired entries and fails their jobs: ours never expire."""
    submit("a")
    claim()
    registry = StartedJobRegistry("default", connection=client, serializer=JSONSerializer)
    assert registry.count == 1
    registry.cleanup()
    assert registry.get_job_ids() == ["run-a-0"]
    job = fetch(client, "run-a-0")
    assert (job.get_status(), job.worker_name, job.started_at.timestamp()) == ("started", "w1", NOW)
    assert FailedJobRegistry("default", connection=client, serializer=JSONSerializer).count == 0
    assert rq.Queue("default", connection=client, serializer=JSONSerializer).count == 0


def test_a_briefly_delayed_job_stands_in_the_scheduled_registry_until_it_is_due(
    client, submit, link_to_real, keys
):
    """[C38]"""
    submit("a", due_in=5.0)
    registry = ScheduledJobRegistry("default", connection=client, serializer=JSONSerializer)
    assert registry.get_job_ids() == ["run-a-0"]
    assert registry.get_scheduled_time("run-a-0").timestamp() == pytest.approx(NOW + 5, abs=1)
    assert fetch(client, "run-a-0").get_status() == "scheduled"
    link_to_real.call(move_due(keys, given=f"{NOW + 6:.6f}", now=NOW + 6))
    assert registry.count == 0
    assert fetch(client, "run-a-0").get_status() == "queued"
    assert rq.Queue("default", connection=client, serializer=JSONSerializer).job_ids == ["run-a-0"]


def test_nothing_of_rqs_is_left_when_a_run_has_ended(client, submit, claim, link_to_real, keys):
    """[C37]"""
    submit("a")
    claim()
    run = link_to_real.call(load_run(keys, "a"))
    fence = Fence(run.token, "0", f"{run.token}continue")
    onwards = {
        "state": RunState.PENDING,
        "step": 1,
        "failures": 0,
        "crashes": 0,
        "due_at": None,
        "now": NOW,
    }
    link_to_real.call(hand_over(keys, run, fence, **onwards))
    assert list(client.scan_iter("rq:job:*")) == [b"rq:job:run-a-1"]
    claim(1)
    run = link_to_real.call(load_run(keys, "a"))
    link_to_real.call(
        finish_run(
            keys,
            run,
            Fence(run.token, "1", f"{run.token}succeed"),
            state=RunState.SUCCEEDED,
            now=NOW,
            ttl_s=9,
        )
    )
    assert sorted(client.scan_iter("rq:*")) == [b"rq:queues"]


def test_a_hook_job_is_one_rq_can_read(client, submit, claim, link_to_real, keys):
    """[C29]"""
    submit("a")
    claim()
    run = link_to_real.call(load_run(keys, "a"))
    hook = HookJob(
        "a-0-1-0",
        "hook-a-0-1-0",
        ["state", "pending", "delivery", "hook-a-0-1-0", "rev", 1, "queue", keys.hook_queue],
    )
    link_to_real.call(
        finish_run(
            keys,
            run,
            Fence(run.token, "0", f"{run.token}x"),
            state=RunState.FAILED,
            now=NOW,
            ttl_s=9,
            hooks=[hook],
        )
    )
    job = fetch(client, "hook-a-0-1-0")
    assert (job.func, job.args, job.origin) == (
        stepflow.entry.run_hook,
        ["stepflow", "hook-a-0-1-0"],
        "stepflow.hooks",
    )
    assert rq.Queue("stepflow.hooks", connection=client, serializer=JSONSerializer).count == 1


@pytest.mark.parametrize("run_id", ["a-1-g2", "_", "-", "x" * 128])
def test_every_run_id_makes_an_id_that_rq_takes(client, submit, run_id):
    """[C2]"""
    submit(run_id)
    rq_id = Delivery(run_id, 0).rq_id
    Job(id=rq_id, connection=client, serializer=JSONSerializer)
    assert fetch(client, rq_id).id == rq_id


def pickles(value):
    """The pickled bytes in what a database holds, RQ's compressed ones included."""
    if isinstance(value, dict):
        return pickles([*value.items()])
    if isinstance(value, list | tuple | set):
        return [found for item in value for found in pickles(item)]
    if not isinstance(value, bytes):
        return []
    with suppress(zlib.error):
        value = zlib.decompress(value)
    return (
        [value]
        if b"\x80\x04\x95" in value or b"\x80\x05\x95" in value or b"cpickle" in value.lower()
        else []
    )


async def test_no_pickle_is_anywhere_in_the_database(app, aclient, working, real):
    """[C6] RQ's own job data included; with runs in every state there is."""

    @app.on_terminal
    def note(outcome):
        pass

    @app.runner("x", retry=RetryPolicy(initial=100))
    async def x(step):
        if step.payload == "fail":
            raise ValueError("no")
        await step.memo.put("k", {"a": (1, {2})})
        step.effects.put("k", {3})
        if step.payload == "hold":
            await step.cancel.wait()
        return Succeed({"a": (1, {2})})

    async with working(app):
        runs = await aclient.submit_many([("x", "done"), ("x", "fail"), ("x", "hold")])
        await aclient.submit("x", "wait", delay=30)
        await aclient.submit("x", "elsewhere", queue="elsewhere")
        await runs[0].wait(60)
        await until(lambda: len(real.keys("stepflow:claims")) and real.exists("stepflow:due"))
        await asyncio.sleep(0)
        assert real.exists("rq:job:run-" + runs[2].id + "-0")
        assert pickles(dump(real)) == []
        await runs[2].cancel()
        await runs[2].wait(60)


def test_the_scan_for_pickle_finds_one(real):
    """Negative control: RQ's default serializer leaves what is looked for."""
    rq.Queue("theirs", connection=real).enqueue("os.getcwd")
    assert len(pickles(dump(real))) == 1
    real.flushall()


@pytest.mark.crash
async def test_a_stock_worker_works_a_stepflow_queue(
    app, aclient, working, real, server, monkeypatch, tmp_path
):
    """
    [C38] `rq worker -S rq.serializers.JSONSerializer`, here in a process of its own, in burst mode.
    """
    import subprocess
    import sys

    (tmp_path / "stock_app.py").write_text(
        "from stepflow import Stepflow, Continue, Succeed\n"
        "app = Stepflow()\n"
        "@app.runner('count')\n"
        "async def count(step):\n"
        "    return Continue(step.payload + 1) if step.number < 2 else Succeed(step.payload)\n"
    )
    import os
    from pathlib import Path

    run = await aclient.submit("count", 5)
    environment = {
        **os.environ, "STEPFLOW_APP": "stock_app:app", "STEPFLOW_REDIS_URL": server,
        "NO_PROXY": "*", "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}",
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "rq.cli",
        "worker",
        "--burst",
        "-S",
        "rq.serializers.JSONSerializer",
        "-u",
        server.split("?")[0],
        "default",
    ]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    status = await run.status()
    assert status.state == "succeeded", said.decode()
    assert (status.result, status.step, status.crashes) == (7, 2, 0)
    for key in real.scan_iter("rq:*"):
        if real.ttl(key) < 0 and key != b"rq:queues":
            real.delete(key)
