"""
What an operator may set.

By environment (`STEPFLOW_<GROUP>_<FIELD>`), by `stepflow.toml` or `[tool.stepflow]`.

A flag or argument beats the environment, the environment beats the files, the files beat the
defaults written here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from stepflow.errors import InvalidOption

#: seconds: what a setting may be at most
HOUR_S, DAY_S, CENTURY_S = 3600.0, 86_400.0, 36_525 * 86_400.0
#: bytes: what one value in Redis may be at most
MOST_BYTES = 512 * 1_048_576


def _split(value: object) -> object:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


class _Group(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class RedisSettings(_Group):
    """Where Redis is and how to talk to it."""

    url: str | None = Field(default=None, repr=False)
    """`redis:// rediss:// unix:// valkey:// valkeys:// redis+sentinel://`; else REDIS_URL, else the embedded server."""
    namespace: str = Field(default="stepflow", pattern=r"^[A-Za-z0-9_-]{1,32}$")
    """The prefix of every key of ours; another one is another stepflow on the same Redis."""
    connect_timeout_s: float = Field(default=5.0, gt=0, le=HOUR_S)
    """Seconds for one try to connect, looking up the name or the primary included."""
    reply_timeout_s: float = Field(default=30.0, gt=0, le=HOUR_S)
    """Seconds without a reply after which a connection counts as broken, although no new one works either."""
    retry_for_s: float = Field(default=10.0, ge=0, le=DAY_S)
    """Seconds a client call takes in all, whatever fails on the way; workers try for ever."""


class LimitSettings(_Group):
    """What a single call may be."""

    payload_bytes: int = Field(default=1_048_576, gt=0, le=MOST_BYTES)
    """Packed size of a payload, a result or a header set."""
    mailbox_bytes: int = Field(default=16 * 1_048_576, gt=0, le=MOST_BYTES)
    """Packed size of all the signals that one run holds and has not asked for."""
    webhooks: int = Field(default=10, ge=0)
    """Webhooks of one run."""


class WorkerSettings(_Group):
    """How a worker process behaves."""

    concurrency: int = Field(default=100, ge=1)
    """Steps in progress at once in one process."""
    processes: int = Field(default=1, ge=1)
    """Worker processes under one supervisor."""
    lease_s: float = Field(default=15.0, gt=0, le=DAY_S)
    """Seconds a claim lives without renewal; it is renewed three times in that time."""
    grace_s: float = Field(default=30.0, ge=0, le=DAY_S)
    """Seconds running steps are given to finish after SIGTERM."""
    stop_grace_s: float = Field(default=5.0, ge=0, le=DAY_S)
    """Seconds a step is given past its timeout, its run's deadline or a cancel before it is left behind."""
    slice_s: float = Field(default=0.1, ge=0, le=HOUR_S)
    """Seconds one worker may keep going with one run while others wait; ten times that for a workflow, which is replayed."""
    batch: int = Field(default=64, ge=1, le=1000)
    """Claims taken in one script at most; no more than 1,000."""
    hook_slots: int = Field(default=256, ge=1)
    """Hook deliveries in progress at once, apart from the slots for steps."""
    max_crashes: int = Field(default=10, ge=0)
    """Deliveries of one step that may be lost with their worker before the run fails."""
    redeliver_after_s: float = Field(default=5.0, gt=0, le=DAY_S)
    """Seconds after which a pending run whose queue entry is missing is handed over again."""


class RetentionSettings(_Group):
    """How long what has ended is kept."""

    result_s: float = Field(default=7 * 86400.0, gt=0, le=CENTURY_S)
    """Seconds a finished run's record is kept."""
    hook_s: float = Field(default=30 * 86400.0, gt=0, le=CENTURY_S)
    """Seconds a dead hook delivery is kept."""
    session_s: float = Field(default=30 * 86400.0, gt=0, le=CENTURY_S)
    """Seconds the variables of a session are kept after their last use."""
    delivered_s: float = Field(default=86400.0, gt=0, le=CENTURY_S)
    """Seconds a delivered hook's record is kept."""


class WebhookSettings(_Group):
    """How webhooks are delivered, and where they may go."""

    allow_cidrs: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()
    """Networks, comma-separated, opened to webhooks although they are private, loopback or reserved."""
    timeout_s: float = Field(default=15.0, gt=0, le=HOUR_S)
    """Seconds for one try."""
    per_host: int = Field(default=4, ge=1)
    """Deliveries in progress at once to one host, per worker process."""


class Settings(BaseSettings):
    """All of it, by group. Built once per app or client; never read again while running."""

    model_config = SettingsConfigDict(
        env_prefix="STEPFLOW_",
        use_attribute_docstrings=True,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        extra="ignore",
        frozen=True,
        toml_file="stepflow.toml",
        pyproject_toml_table_header=("tool", "stepflow"),
    )

    redis: RedisSettings = RedisSettings()
    limits: LimitSettings = LimitSettings()
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    webhook: WebhookSettings = WebhookSettings()
    home: Path | None = None
    """The embedded server's folder; `./.stepflow` without one."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """
        Put the sources in their order.

        Arguments, environment, `stepflow.toml`, `pyproject.toml`.
        """
        del dotenv_settings, file_secret_settings
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls),
            PyprojectTomlConfigSettingsSource(settings_cls),
        )


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """
    Read the settings of this process once.

    Raises InvalidOption, naming the variable, for a value that does not fit.
    """
    try:
        return Settings()
    except ValueError as error:  # a ValidationError, or a file that is no TOML
        raise InvalidOption(wrong_setting(error)) from None


def wrong_setting(error: ValueError) -> str:
    """Say which setting is wrong; the value, which may be a secret, stays out of it."""
    problems: list[Any] = error.errors() if isinstance(error, ValidationError) else []
    if not problems:
        return f"the settings cannot be read: {str(error).splitlines()[0]}; correct stepflow.toml or pyproject.toml"
    names = ["_".join(str(part) for part in problem["loc"]) for problem in problems]
    said = "; ".join(
        f"{name.replace('_', '.', 1)}: {problem['msg']}"
        for name, problem in zip(names, problems, strict=True)
    )
    return f"setting {said}; correct STEPFLOW_{names[0].upper()}, stepflow.toml or [tool.stepflow]"


def redis_url(explicit: str | None, settings: Settings) -> str | None:
    """
    Choose the Redis URL: argument, STEPFLOW_REDIS_URL, REDIS_URL.

    None means the embedded server.
    """
    return explicit or settings.redis.url or os.environ.get("REDIS_URL") or None
