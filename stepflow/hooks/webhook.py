"""The webhook as you write it, and as it is stored with a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from stepflow.core.run import ENDS, RunState
from stepflow.errors import InvalidOption, UnreadableValue, UsageError
from stepflow.hooks.secret import PREFIX, key_of
from stepflow.hooks.target import Target, read_target, shown

_ENDS = tuple(state.value for state in ENDS)
_EVENTS = (*_ENDS, RunState.PAUSED.value)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: part of the name of every variable whose value is sent in clear: whoever may submit a run must
#: not be able to read a worker's other variables
_SENT_IN_CLEAR = "WEBHOOK"
#: headers that are the delivery's own business
_RESERVED = re.compile(
    r"(?:webhook-.*|proxy-.*|host|content-(?:length|type|encoding)|transfer-encoding|connection"
    r"|keep-alive|te|trailer|upgrade|expect)",
    re.IGNORECASE,
)


def _empty() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, repr=False)
class Webhook:
    """
    An HTTP endpoint that gets a signed POST when a run ends (Standard Webhooks 1.0).

    *secret_env* names the environment variable of the workers that holds the secret: `whsec_` and
    base64, of 24 random bytes or more. Workers read it for each delivery; without a secret the
    delivery is unsigned. To change secrets, name the old one's variable as *previous_secret_env*
    for a while: deliveries then carry both signatures. *headers_env* maps headers to the variables
    that hold their values; such a variable must have WEBHOOK in its name, for its value is sent in
    clear. A delivery whose variable is not set is tried again like one without an answer. *events*
    are the ends to be told of: `succeeded`, `failed`, `cancelled`, by default all three. With
    `paused` it is also told when a run stops because no worker's code fits it.

    What you write into the code itself, *secret*, *previous_secret*, *headers* and the URL's query,
    is stored in clear in Redis for as long as the run is kept.

    Raises WebhookRefused for a URL that cannot be a webhook's, InvalidOption for the rest. The
    address that the URL leads to is checked at the submit, and again at each try.
    """

    url: str
    secret: str | None = None
    _: KW_ONLY
    previous_secret: str | None = None
    events: Iterable[str] = _ENDS
    headers: Mapping[str, str] = field(default_factory=_empty, hash=False)
    secret_env: str | None = None
    previous_secret_env: str | None = None
    headers_env: Mapping[str, str] = field(default_factory=_empty, hash=False)

    def __post_init__(self) -> None:
        read_target(self.url)
        for name in ("secret", "previous_secret"):
            _check_secret(name, getattr(self, name))
            _check_variable(f"{name}_env", getattr(self, f"{name}_env"))
            if getattr(self, name) is not None and getattr(self, f"{name}_env") is not None:
                msg = f"{name} and {name}_env are two ways to give one secret; give {name}_env"
                raise InvalidOption(msg)
        has_previous = self.previous_secret is not None or self.previous_secret_env is not None
        if has_previous and self.secret is None and self.secret_env is None:
            msg = (
                "previous_secret is for changing secrets; give the new one as secret_env or secret"
            )
            raise InvalidOption(msg)
        object.__setattr__(self, "events", _checked_events(self.events))
        object.__setattr__(self, "headers", _checked_headers(self.headers))
        object.__setattr__(self, "headers_env", _checked_headers(self.headers_env))
        for name, variable in self.headers_env.items():
            _check_variable(f"headers_env of {name!r}", variable)
            if _SENT_IN_CLEAR not in variable:
                msg = (
                    f"header {name!r} cannot come from variable {variable!r}: its name must have "
                    f"{_SENT_IN_CLEAR} in it"
                )
                raise InvalidOption(msg)
        if both := {name.lower() for name in self.headers} & {
            name.lower() for name in self.headers_env
        }:
            msg = (
                f"webhook header {min(both)!r} is given in headers and in headers_env; give it once"
            )
            raise InvalidOption(msg)

    def __repr__(self) -> str:
        """Show it without secrets, query values and header values."""
        signed = "unsigned" if self.secret is None else "secret=***"
        if self.secret_env is not None:
            signed = f"secret_env={self.secret_env!r}"
        sent = sorted({*self.headers, *self.headers_env})
        names = f", headers={sent}" if sent else ""
        return f"Webhook({shown(self.url)!r}, {signed}, events={self.events}{names})"

    @property
    def target(self) -> Target:
        """The parsed URL."""
        return read_target(self.url)

    @property
    def in_clear(self) -> list[str]:
        """The parts that are stored in clear and may be secret, in words."""
        parts = (
            ["the secret"] if self.secret is not None or self.previous_secret is not None else []
        )
        parts += [f"header {name}" for name in self.headers]
        return parts + (["the query of its URL"] if "?" in self.url else [])

    def resolved(self, variables: Mapping[str, str]) -> Webhook:
        """
        Return a copy with the values of the environment variables that this one names.

        Raises InvalidOption, which names the variable, for one that is not set or whose value does
        not fit.
        """
        given: dict[str, Any] = {}
        for name in ("secret", "previous_secret"):
            variable = getattr(self, f"{name}_env")
            given[name] = (
                getattr(self, name)
                if variable is None
                else _read_variable(variables, variable, "secret")
            )
            if variable is not None:
                _check_secret(f"the value of environment variable {variable}", given[name])
        headers = {
            name: _read_variable(variables, each, f"header {name}")
            for name, each in self.headers_env.items()
        }
        return Webhook(
            self.url,
            events=self.events,
            headers={**self.headers, **_checked_headers(headers)},
            **given,
        )

    def wants(self, status: str) -> bool:
        """Whether *status* is one of the ends to be told of."""
        return status in tuple(self.events)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storing: secrets as given, or the names of their variables."""
        by_name = {
            "secret_env": self.secret_env,
            "previous_secret_env": self.previous_secret_env,
            "headers_env": dict(self.headers_env),
        }
        return {name: kept for name, kept in by_name.items() if kept} | {
            "url": self.url,
            "secret": self.secret,
            "previous_secret": self.previous_secret,
            "events": list(self.events),
            "headers": dict(self.headers),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Webhook:
        """
        Read what `as_dict` returned.

        Raises UnreadableValue for anything else, without quoting it.
        """
        try:
            return cls(**stored)
        except (UsageError, TypeError):
            msg = "a stored webhook cannot be read: its fields are not those of a valid webhook"
            raise UnreadableValue(msg) from None


def _check_variable(name: str, variable: object) -> None:
    if variable is not None and not (isinstance(variable, str) and _VARIABLE.fullmatch(variable)):
        msg = (
            f"{name} is not the name of an environment variable: letters, digits and '_', not "
            "starting with a digit"
        )
        raise InvalidOption(msg)


def _read_variable(variables: Mapping[str, str], variable: str, what: str) -> str:
    value = variables.get(variable)
    if not value:
        msg = (
            f"environment variable {variable}, which holds the webhook's {what}, is not set on "
            "this worker"
        )
        raise InvalidOption(msg)
    return value


def _check_secret(name: str, secret: object) -> None:
    if secret is None:
        return
    if not isinstance(secret, str) or not secret.startswith(PREFIX):
        msg = f"{name} must start with {PREFIX!r}, followed by base64"
        raise InvalidOption(msg)
    try:
        key_of(secret)
    except ValueError:
        msg = f"{name} has no valid base64 after {PREFIX!r}"
        raise InvalidOption(msg) from None


def _checked_events(events: Iterable[str]) -> tuple[str, ...]:
    chosen = () if isinstance(events, str) else tuple(str(event) for event in events)
    if not chosen or not set(chosen) <= set(_EVENTS):
        msg = (
            f"events {events!r} is not valid; give one or more of {', '.join(_EVENTS)}, as a "
            "tuple or list"
        )
        raise InvalidOption(msg)
    return chosen


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked: dict[str, str] = {}
    given: Iterable[tuple[object, object]] = headers.items()
    for name, value in given:
        if (
            not isinstance(name, str)
            or not _HEADER_NAME.fullmatch(name)
            or _RESERVED.fullmatch(name)
        ):
            msg = (
                f"webhook header {name!r} cannot be set: it is not a header name, or belongs to "
                "the delivery"
            )
            raise InvalidOption(msg)
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            msg = (
                f"the value of webhook header {name!r} is not printable ASCII without space at "
                "its ends"
            )
            raise InvalidOption(msg)
        checked[name] = value
    return checked
