"""What every verb works with: key names, settings, the clock, a source of chance."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stepflow.settings import Settings
from stepflow.store.clock import ServerClock
from stepflow.store.connection.address import Address
from stepflow.store.keys import Keys

HooksOf = Callable[[str], "Sequence[Sequence[str]] | None"]


def _unknown(runner: str) -> None:
    del runner


@dataclass(slots=True)
class Env:
    """One name space on one Redis, as seen from one client or worker."""

    keys: Keys
    settings: Settings
    clock: ServerClock = field(default_factory=ServerClock)
    rng: random.Random = field(default_factory=random.Random)
    #: gives the terminal hooks of the app at hand, as (kind, name); None without an app
    hooks_of: HooksOf = _unknown

    def __post_init__(self) -> None:
        if self.settings.encryption.keys:
            from stepflow.store.values.keyring import use_keys  # noqa: PLC0415  an extra

            use_keys(self.settings.encryption.plain())
        if self.settings.offload.url is not None:
            from stepflow.store.offload.use import use_store  # noqa: PLC0415  an extra

            use_store(self.settings.offload, self.settings.limits.payload_bytes)

    def stand_at(self, address: Callable[[], Address]) -> None:
        """Say where its Redis is: a store for large values asks there whether it may begin."""
        if self.settings.offload.url is not None:
            from stepflow.store.offload.use import begin_at  # noqa: PLC0415  an extra

            begin_at(address, self.keys)

    def request_id(self) -> str:
        """Make the id by which a script recognizes its own second arrival."""
        return secrets.token_hex(8)
