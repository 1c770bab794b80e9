"""What a scrape says: the same at every process, and never less than the one before."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
import redis
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from stepflow import AsyncClient, Client, Stepflow, Succeed
from stepflow.core.counts import MOST_RUNNERS, Counted, field_of
from stepflow.engine.env import Env
from stepflow.engine.stats.one_moment import read_at_one_moment
from stepflow.engine.stats.snapshot import Snapshot, snapshot
from stepflow.engine.stats.tally import Tally
from stepflow.metrics import exposition
from stepflow.metrics.names import METRICS, Kind
from stepflow.store.calls import Plan, batch_of
from stepflow.store.counting.counts import add_counts
from stepflow.store.keys import Keys
from stepflow.web import app as make_api
from stepflow.web import everything
from tests.conftest import Working
from tests.support import until

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
CONTRIB = ROOT / "docs" / "contrib"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

#: samples by name and labels
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Read a scrape as Prometheus does."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_text(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def taken(client: Client) -> Snapshot:
    return client._do(snapshot(client.env))


def scraped(client: Client) -> Samples:
    return read(exposition(taken(client))[0].decode())


@pytest.fixture
async def webs(url: str) -> Iterator[list[httpx.AsyncClient]]:
    """Two servers of the API, each with a client of its own."""
    clients = [AsyncClient(url) for _ in range(2)]
    yield [
        httpx.AsyncClient(
            transport=httpx.ASGITransport(make_api(client, access=everything)),
            base_url="http://localhost",
        )
        for client in clients
    ]
    for client in clients:
        await client.close()


async def test_two_servers_tell_the_same_and_counters_never_go_down(
    counted_app: Stepflow, aclient: AsyncClient, working: Working, webs: list[httpx.AsyncClient]
) -> None:
    """[E21] Scraped by turns while runs are submitted, worked off and cancelled."""
    seen: list[Samples] = []

    async def scrape() -> None:
        for web in webs:
            answer = await web.get("/metrics")
            assert answer.status_code == 200
            seen.append(read(answer.text))

    async with working(counted_app):
        for round_ in range(8):
            runs = [await aclient.submit("chain", "two steps") for _ in range(5)]
            later = await aclient.submit("chain", delay=3600)
            await scrape()
            await later.cancel("not needed")
            await scrape()
            if round_ % 2:
                for run in runs:
                    await run.wait(60)
            await scrape()
        for run in [await aclient.submit("chain")]:
            await run.wait(60)
    await scrape()

    totals = [name for metric in METRICS.values() for name in metric.samples]
    for before, after in pairwise(seen):
        for key, number in before.items():
            if key[0] in totals and key[0].endswith(("_total", "_bucket", "_count", "_sum")):
                assert after[key] >= number, key
    ours = [
        {key: number for key, number in samples.items() if "redis" not in key[0]}
        for samples in seen[-2:]
    ]
    assert ours[0] == ours[1]
    assert value(seen[-1], "stepflow_runs_submitted_total", runner="chain") == 49
    ended = "stepflow_runs_ended_total"
    assert value(seen[-1], ended, runner="chain", state="cancelled") == 8
    assert value(seen[-1], ended, runner="chain", state="succeeded") == 41


async def test_a_scrape_has_every_metric_and_prometheus_reads_it(
    counted_app: Stepflow, aclient: AsyncClient, working: Working, client: Client
) -> None:
    """[E20] In both formats, under the names of the table."""
    async with working(counted_app):
        await (await aclient.submit("chain")).wait(60)
    found = taken(client)
    text, kind = exposition(found)
    assert kind.startswith("text/plain")
    families = {family.name: family for family in read_text(text.decode())}
    assert set(families) == set(METRICS)
    assert {name: family.type for name, family in families.items()} == {
        name: str(metric.kind) for name, metric in METRICS.items()
    }
    opened, kind = exposition(found, OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    assert {family.name for family in read_openmetrics(opened.decode())} == set(METRICS)


async def test_histograms_are_cumulative_and_agree_with_their_counters(
    counted_app: Stepflow, aclient: AsyncClient, working: Working, client: Client
) -> None:
    """[E20]"""
    async with working(counted_app):
        for run in [await aclient.submit("chain", "two steps") for _ in range(10)]:
            await run.wait(60)
    samples = scraped(client)
    assert value(samples, "stepflow_step_seconds_count", runner="chain") == 20
    assert value(samples, "stepflow_steps_total", runner="chain", outcome="done") == 20
    assert value(samples, "stepflow_queue_wait_seconds_count", queue="default") >= 10
    buckets = sorted(
        (float(dict(labels)["le"]), number)
        for (name, labels), number in samples.items()
        if name == "stepflow_step_seconds_bucket"
    )
    numbers = [number for _, number in buckets]
    assert numbers == sorted(numbers)
    assert buckets[-1] == (float("inf"), 20)


def test_how_things_stand_is_read_from_queues_and_indexes(
    counted_app: Stepflow, client: Client
) -> None:
    """[E20] Without a worker."""
    for _ in range(3):
        client.submit("chain")
    client.submit("chain", delay=3600)
    client.cancel(client.submit("chain").id)
    client.pause_queue("other")
    samples = scraped(client)
    states = {state: value(samples, "stepflow_runs", state=state) for state in taken(client).runs}
    assert states == {
        "pending": 3, "running": 0, "waiting": 1, "succeeded": 0, "failed": 0, "cancelled": 1,
    }  # fmt: skip
    assert value(samples, "stepflow_queue_depth", queue="default", priority="normal") == 3
    oldest = value(samples, "stepflow_queue_oldest_seconds", queue="default", priority="normal")
    assert oldest > 0
    assert value(samples, "stepflow_queue_paused", queue="other", priority="normal") == 1
    assert value(samples, "stepflow_workers") == 0
    assert value(samples, "stepflow_due_lag_seconds") == 0
    assert value(samples, "stepflow_redis_memory_bytes") > 0


async def test_hooks_are_counted_by_how_their_tries_ended(
    url: str, settings, aclient: AsyncClient, client: Client, working: Working
) -> None:
    """[E20] Those of an app; what the runtime carries out for itself is no hook."""
    app, tries = Stepflow(url, settings=settings), []

    @app.on_terminal
    async def told(outcome) -> None:
        tries.append(outcome)
        if len(tries) == 1:
            raise RuntimeError("not now")

    @app.runner("x")
    async def x(step):
        return Succeed()

    async with working(app, next_wait=lambda tried, spread, after: 0.01):
        await aclient.submit("x")
        await until(lambda: len(tries) == 2)
    samples = scraped(client)
    assert value(samples, "stepflow_hooks_total", outcome="retried") == 1
    assert value(samples, "stepflow_hooks_total", outcome="delivered") == 1


def test_runners_beyond_the_first_are_counted_as_other(client: Client, real: redis.Redis) -> None:
    """[E20] However many names there are: a scrape stays small."""
    keys, number = Keys(), 0

    def send(*runners: str) -> None:
        nonlocal number
        number += 1
        counts = {field_of(Counted.SUBMITTED, runner): 1 for runner in runners}
        call = add_counts(keys, counts, sender="w", number=number, now=1_800_000_000.0)
        real.execute_command(*_loaded(real, call))

    send(*(f"runner-{index}" for index in range(MOST_RUNNERS)))
    send("late", "runner-7")
    client.submit("later-still")
    samples = scraped(client)
    submitted = "stepflow_runs_submitted_total"
    assert value(samples, submitted, runner="runner-7") == 2
    assert value(samples, submitted, runner="other") == 1
    assert sum(name == submitted for name, _ in samples) == MOST_RUNNERS + 1
    send("runner-1")
    assert value(scraped(client), submitted, runner="other") == 2


def test_counts_that_arrive_twice_count_once(client: Client, real: redis.Redis) -> None:
    """[E21] A reply that is lost with its connection has the call sent again."""
    call = add_counts(Keys(), {"claims_lost": 3}, sender="w", number=1, now=1_800_000_000.0)
    for _ in range(2):
        real.execute_command(*_loaded(real, call))
    assert value(scraped(client), "stepflow_claims_lost_total") == 3


@pytest.mark.parametrize("read_after", range(3))
def test_what_a_worker_takes_into_the_totals_meanwhile_is_counted_once(
    client: Client, real: redis.Redis, settings, read_after: int
) -> None:
    """[E21] Wherever a reader is: another connection comes between two commands of one write."""
    for name in ("a", "b", "c"):
        client.submit("chain", run_id=name)
    env, number = Env(Keys(), settings), 0

    def add_some() -> None:
        nonlocal number
        number += 1
        call = add_counts(env.keys, {"claims_lost": 1}, sender="w", number=number, now=time.time())
        real.execute_command(*_loaded(real, call))

    def read_meanwhile(plan: Plan[T]) -> T:
        answers, done = None, 0
        try:
            while True:
                calls, answers = plan.send(answers), []
                for call in calls:
                    if done == read_after:
                        add_some()
                    done += 1
                    answers += client._do(batch_of([call]))
        except StopIteration as end:
            return end.value

    for plan in (read_at_one_moment((), env), read_at_one_moment([env.keys.minute(0)], env)):
        client.submit("chain")
        found = read_meanwhile(plan)
        counts = Tally([found.totals, found.new])
        assert counts.total(Counted.SUBMITTED) == 3 + number
    assert number == 2


def test_counts_that_cannot_be_read_stop_nothing(client: Client, real: redis.Redis) -> None:
    """[E21] Whatever somebody wrote there."""
    keys = Keys()
    odd = {"claims_lost": "many", "?": "1", "steps|a|done": "2", "steps|b": "1", "|": "1"}
    odd |= {"took|a|99999999": "1", "took|a|²": "1", "took|a|12": "1", "\udcff": "1", "": "1"}
    odd_bytes = {name.encode("utf-8", "surrogateescape"): value for name, value in odd.items()}
    for key in (keys.totals, keys.minute(time.time()), keys.hour(time.time())):
        real.hset(key, mapping=odd_bytes)
        real.expire(key, 1000)
    real.rpush(keys.new_counts, "x")
    call = add_counts(keys, {"claims_lost": 3}, sender="w", number=1, now=1_800_000_000.0)
    real.execute_command(*_loaded(real, call))
    samples = scraped(client)
    assert value(samples, "stepflow_claims_lost_total") == 3
    assert value(samples, "stepflow_steps_total", runner="a", outcome="done") == 2
    client.submit("chain", run_id="r")
    assert client.status("r") is not None
    assert [runner.runner for runner in client.stats().runners] == ["a", "b"]
    real.delete(keys.new_counts)


def _loaded(real: redis.Redis, call) -> tuple:
    real.script_load(call.script.text)
    return call.parts


def test_board_and_alerts_name_metrics_that_there_are() -> None:
    """[E20] Those under docs/contrib, by the table that the collector exports."""
    exported = {name for metric in METRICS.values() for name in metric.samples}
    for path in (CONTRIB / "grafana-board.json", CONTRIB / "prometheus-alerts.yml"):
        named = set(re.findall(r"\bstepflow_\w+", path.read_text()))
        assert named, path
        assert named <= exported, path
    board = json.loads((CONTRIB / "grafana-board.json").read_text())
    shown = {
        name
        for panel in board["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"\bstepflow_\w+", target["expr"])
    }
    assert {"stepflow_runs_ended_total", "stepflow_step_seconds_bucket"} <= shown


def test_labels_and_names_are_as_prometheus_wants_them() -> None:
    """[E20] No run id anywhere, units in names, and a sentence for each."""
    for name, metric in METRICS.items():
        assert re.fullmatch(r"stepflow_[a-z_]+", name)
        assert not name.endswith("_total")
        assert metric.says.endswith(".")
        assert set(metric.labels) <= {
            "schedule",
            "runner",
            "state",
            "outcome",
            "queue",
            "priority",
            "why",
            "breaker",
            "to",
        }
        assert metric.kind is not Kind.HISTOGRAM or name.endswith("_seconds")


def test_the_docs_list_each_metric_with_its_labels_and_what_it_says() -> None:
    """[E20]"""
    page = (ROOT / "docs" / "how-to" / "metrics.md").read_text()
    for name, metric in METRICS.items():
        shown = name if metric.kind is Kind.HISTOGRAM else metric.samples[0]
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `{shown}` | {labels} | {metric.says} |" in page


def test_a_breaker_is_told_of_with_its_state_and_counts(client: Client, real: redis.Redis) -> None:
    """[K10]"""
    client.breakers.open("stripe", 60)
    found = scraped(client)
    assert value(found, "stepflow_breaker_open", breaker="stripe") == 1
    assert value(found, "stepflow_breaker_transitions_total", breaker="stripe", to="open") == 1
    client.breakers.close("stripe")
    found = scraped(client)
    assert value(found, "stepflow_breaker_open", breaker="stripe") == 0
    assert value(found, "stepflow_breaker_waiting", breaker="stripe") == 0
    assert value(found, "stepflow_breaker_refused_total", breaker="stripe") == 0
