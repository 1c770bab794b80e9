"""What a definition may say of what begins it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stepflow.kits.definition.durations import Duration


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    input: Any = None
    """The input of the run; may refer to what came, as `{event.id}`. Without one, all of it."""
    entry_point: str | None = None
    """Where the run begins."""


class OnSchedule(_Part):
    """Times, as for `@app.schedule`."""

    on: Literal["schedule"]
    cron: str | None = None
    """A cron line."""
    every: Duration | None = None
    """An interval instead."""
    timezone: str = "UTC"
    """The zone of the cron line."""


class OnWebhook(_Part):
    """A request to `/triggers/PATH` of the API's server; `{event}` is its body."""

    on: Literal["webhook"]
    path: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]
    methods: list[Literal["POST", "PUT", "PATCH", "GET", "DELETE"]] = Field(default=["POST"])
    auth: Literal["hmac", "bearer"]
    """By a signature of the Standard Webhooks, or by a token."""
    secret_env: str
    """The variable, of the server's environment, that has the secret or token."""
    tolerance: Duration = 300.0
    """How far the time of a signed request may be from now."""
    wait: Duration | None = None
    """Answer with the result if the run ends within this time; at once without."""


class OnEvent(_Part):
    """An event that somebody publishes; `{event}` is its data."""

    on: Literal["event"]
    topic: str
    """As in `client.publish(topic, data)`; one that ends with `.*` takes all below."""
    filter: str | None = None
    """An expression that has to be true, such as `event.total > 100`."""
    signal: str | None = None
    """Send this signal, with the input, to a run instead of starting one."""
    run: str | None = None
    """The id of that run, such as `order-{event.id}`."""


class OnMessage(_Part):
    """A text that somebody sends; `{event}` has `text`, `command` and `args`."""

    on: Literal["message"]
    command: str | None = None
    """The first word, such as `/deploy`; without one, every text that no command takes."""
    aliases: list[str] = Field(default=[])


Trigger = Annotated[OnSchedule | OnWebhook | OnEvent | OnMessage, Field(discriminator="on")]
