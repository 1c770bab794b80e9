"""Settings: where they come from and which beats which."""

import pytest
from pydantic import ValidationError

from stepflow import Stepflow
from stepflow.errors import InvalidOption
from stepflow.settings import RedisSettings, Settings, load_settings, redis_url


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A folder without settings, and none in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "STEPFLOW_REDIS_URL", "STEPFLOW_WORKER_LEASE_S"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_defaults_are_those_the_guarantees_name():
    settings = Settings()
    assert (
        settings.limits.payload_bytes,
        settings.worker.lease_s,
        settings.worker.max_crashes,
    ) == (2**20, 15.0, 10)
    assert settings.retention.result_s == 7 * 24 * 3600
    assert settings.redis.namespace == "stepflow"


def test_an_argument_beats_the_environment_beats_the_files_beat_the_defaults(nowhere, monkeypatch):
    (nowhere / "pyproject.toml").write_text(
        "[tool.stepflow.worker]\nlease_s = 2\ngrace_s = 3\nslice_s = 4\nbatch = 5\n"
    )
    (nowhere / "stepflow.toml").write_text("[worker]\nlease_s = 20\ngrace_s = 30\nslice_s = 40\n")
    monkeypatch.setenv("STEPFLOW_WORKER_LEASE_S", "200")
    monkeypatch.setenv("STEPFLOW_WORKER_GRACE_S", "300")
    worker = Settings(worker={"lease_s": 2000.0}).worker
    assert (worker.lease_s, worker.grace_s, worker.slice_s, worker.batch, worker.max_crashes) == (
        2000,
        300,
        40,
        5,
        10,
    )


def test_lists_are_comma_separated_in_the_environment(monkeypatch):
    monkeypatch.setenv("STEPFLOW_WEBHOOK_ALLOW_CIDRS", "10.0.0.0/8, 127.0.0.0/8")
    assert Settings().webhook.allow_cidrs == ("10.0.0.0/8", "127.0.0.0/8")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_LEASE_S", "0"),
        ("WORKER_CONCURRENCY", "x"),
        ("REDIS_NAMESPACE", "a b"),
        ("LIMITS_PAYLOAD_BYTES", "-1"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv(f"STEPFLOW_{name}", value)
    with pytest.raises(ValidationError, match=name.split("_", 1)[1].lower()):
        Settings()


def test_a_name_nobody_knows_is_let_be(monkeypatch):
    monkeypatch.setenv("STEPFLOW_WORKER_NO_SUCH", "1")
    monkeypatch.setenv("STEPFLOW_APP", "x:app")
    Settings()


def test_the_url_argument_beats_stepflows_variable_beats_redis_url(monkeypatch):
    assert redis_url(None, Settings()) is None
    monkeypatch.setenv("REDIS_URL", "redis://plain")
    assert redis_url(None, Settings()) == "redis://plain"
    monkeypatch.setenv("STEPFLOW_REDIS_URL", "redis://ours")
    assert redis_url(None, Settings()) == "redis://ours"
    assert redis_url("redis://given", Settings()) == "redis://given"


def test_settings_do_not_change_while_running():
    with pytest.raises(ValidationError):
        Settings().redis.url = "redis://other"


def test_a_password_in_the_settings_is_not_shown():
    """[C40]"""
    settings = Settings(redis=RedisSettings(url="redis://u:s3cret@h"))
    assert "s3cret" not in repr(settings) + str(settings) + repr(Stepflow(settings=settings))


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e30", "-1"])
@pytest.mark.parametrize(
    "name",
    [
        "WORKER_LEASE_S",
        "WORKER_GRACE_S",
        "WORKER_STOP_GRACE_S",
        "WORKER_SLICE_S",
        "WORKER_REDELIVER_AFTER_S",
        "RETENTION_RESULT_S",
        "RETENTION_HOOK_S",
        "RETENTION_SESSION_S",
        "RETENTION_DELIVERED_S",
        "REDIS_CONNECT_TIMEOUT_S",
        "REDIS_REPLY_TIMEOUT_S",
        "REDIS_RETRY_FOR_S",
        "WEBHOOK_TIMEOUT_S",
        "LIMITS_PAYLOAD_BYTES",
        "LIMITS_MAILBOX_BYTES",
    ],
)
def test_a_setting_that_is_endless_is_refused_in_words_that_name_its_variable(
    monkeypatch, name, value
):
    """[B14]"""
    monkeypatch.setenv(f"STEPFLOW_{name}", value)
    with pytest.raises(InvalidOption, match=f"correct STEPFLOW_{name}, stepflow.toml") as caught:
        load_settings.__wrapped__()
    assert "\n" not in str(caught.value)
