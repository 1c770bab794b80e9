"""[O30] How long records are kept: by runner and by end, whoever ends the run."""

from __future__ import annotations

import pytest

from stepflow import Client, Fail, RetryPolicy, Stepflow, Succeed
from stepflow.engine.doctor import examine
from stepflow.errors import InvalidOption
from stepflow.settings import ResultSettings, RetentionSettings, Settings, load_settings
from stepflow.store.connection.sync import carry_out

HOUR, DAY = 3600, 86_400
RETENTION = RetentionSettings(
    result_s=7 * DAY,
    failed_s=30 * DAY,
    runners={
        "chatty": ResultSettings(result_s=HOUR),
        "kept": ResultSettings(succeeded_s=DAY, failed_s=60 * DAY),
    },
)


@pytest.mark.parametrize(
    ("runner", "end", "seconds"),
    [
        ("other", "succeeded", 7 * DAY), ("other", "failed", 30 * DAY),
        ("other", "cancelled", 7 * DAY), ("chatty", "succeeded", HOUR), ("chatty", "failed", HOUR),
        ("kept", "succeeded", DAY), ("kept", "failed", 60 * DAY), ("kept", "cancelled", 7 * DAY),
    ],
)  # fmt: skip
def test_what_is_set_for_a_runner_counts_before_what_is_set_for_all(runner, end, seconds):
    assert RETENTION.of_run(runner, end) == seconds


def test_nothing_that_is_set_means_a_week_for_every_run():
    assert {RetentionSettings().of_run("x", end) for end in ("succeeded", "failed")} == {7 * DAY}


async def test_records_live_as_long_as_is_set_however_their_runs_end(url, real, keys, working):
    """By a worker, by a client, and by the doctor's hand."""
    settings = Settings(retention=RETENTION)
    app = Stepflow(url, settings=settings)

    @app.runner("kept", retry=RetryPolicy(max_attempts=1))
    async def kept(step):
        return Fail("as asked") if step.payload == "fail" else Succeed()

    async with working(app):
        for payload in ("fail", "succeed"):
            await (await app.async_client.submit("kept", payload, run_id=payload)).wait(60)
        await app.async_client.close()
    with Client(url, settings=settings) as client:
        client.submit("chatty", run_id="cancelled")
        client.cancel("cancelled")
        wanted = {"fail": 60 * DAY, "succeed": DAY, "cancelled": HOUR}
        for run_id, seconds in wanted.items():
            assert 0.9 * seconds < real.ttl(keys.run(run_id)) <= seconds, run_id
            assert client.why(run_id).until is not None
        real.persist(keys.run("fail"))
        assert mended(client) == ["fail"]
        assert 0.9 * 60 * DAY < real.ttl(keys.run("fail")) <= 60 * DAY
    expires = dict(real.zrange(keys.expiry, 0, -1, withscores=True))
    assert expires[b"failed|kept|fail"] - expires[b"succeeded|kept|succeed"] > 58 * DAY


def mended(client: Client) -> list[str]:
    """Have the doctor mend everything, and say what it has found."""
    steps = examine(client.env, deep=True, repair=True)
    _, plan = next(steps)
    while True:
        try:
            _, plan = steps.send(carry_out(client.connection, plan))
        except StopIteration as end:
            return [found.where for found in end.value.findings]


def test_it_is_set_by_a_file_and_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stepflow.toml").write_text(
        "[retention]\nfailed_s = 60\n[retention.runners.etl]\nsucceeded_s = 5\n"
    )
    assert Settings().retention.of_run("etl", "succeeded") == 5
    assert Settings().retention.of_run("etl", "failed") == 60
    monkeypatch.setenv("STEPFLOW_RETENTION_RUNNERS", '{"etl": {"result_s": 7}}')
    assert Settings().retention.of_run("etl", "succeeded") == 7
    for wrong in ('{"etl": {"result": 7}}', "etl=7", '{"etl": {"failed_s": -1}}'):
        monkeypatch.setenv("STEPFLOW_RETENTION_RUNNERS", wrong)
        load_settings.cache_clear()
        with pytest.raises(InvalidOption, match="STEPFLOW_RETENTION_RUNNERS"):
            load_settings()
    load_settings.cache_clear()
