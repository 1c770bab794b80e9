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


@pytest.fixture
def loaded(caplog):
    """Load the settings of this process anew, and give what was logged meanwhile."""

    def load():
        load_settings.cache_clear()
        load_settings()
        load_settings()
        return [record.getMessage() for record in caplog.records]

    yield load
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("STEPFLOW_WORKER_CONCURENCY", "STEPFLOW_WORKER_CONCURRENCY"),
        ("STEPFLOW_REDISURL", "STEPFLOW_REDIS_URL"),
        ("STEPFLOW_LEASE_S", "STEPFLOW_WORKER_LEASE_S"),
        ("STEPFLOW_HOMES", "STEPFLOW_HOME"),
        ("stepflow_worker_proceses", "STEPFLOW_WORKER_PROCESSES"),
    ],
)
def test_a_variable_that_is_no_setting_is_warned_of_once_with_the_nearest(
    loaded, monkeypatch, wrong, meant
):
    """[U4]"""
    monkeypatch.setenv(wrong, "1")
    (said,) = loaded()
    assert said == f"{wrong} is no setting of stepflow and changes nothing; did you mean {meant}?"


def test_a_variable_like_no_setting_is_warned_of_without_a_guess(loaded, monkeypatch):
    """[U4]"""
    monkeypatch.setenv("STEPFLOW_QUUX", "1")
    (said,) = loaded()
    assert said.endswith("`stepflow config show` lists them")


def test_keys_of_files_that_are_no_settings_are_warned_of(loaded, nowhere):
    """[U4]"""
    (nowhere / "stepflow.toml").write_text("hoem = 'x'\n[worker]\nconcurency = 3\nbatch = 5\n")
    (nowhere / "pyproject.toml").write_text("[tool.stepflow.retentoin]\nresult_s = 3\n")
    assert [
        said.replace(" is no setting of stepflow and changes nothing", "") for said in loaded()
    ] == [
        "retentoin.result_s in [tool.stepflow]; did you mean retention.result_s?",
        "hoem in stepflow.toml; did you mean home?",
        "worker.concurency in stepflow.toml; did you mean worker.concurrency?",
    ]


def test_what_is_set_for_others_is_not_warned_of(loaded, monkeypatch):
    """[U4] Nor what Kubernetes sets for a Service called stepflow, or stepflow-redis."""
    for name in ("APP", "DEBUG", "REDIS_SERVER", "WORKER_LEASE_S", "EMBEDDED", "SERVICE_HOST"):
        monkeypatch.setenv(f"STEPFLOW_{name}", "1")
    for name in ("PORT", "PORT_6379_TCP_ADDR", "REDIS_PORT", "REDIS_SERVICE_PORT_HTTP"):
        monkeypatch.setenv(f"STEPFLOW_{name}", "tcp://10.0.0.1")
    assert loaded() == []


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
