"""What every verb needs at hand: key names, the clock, settings, a die."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stepflow.settings import Settings
from stepflow.store.clock import ServerClock
from stepflow.store.keys import Keys

HooksOf = Callable[[str], "Sequence[Sequence[str]] | None"]


def _nobody_knows(runner: str) -> None:
    del runner


@dataclass(slots=True)
class Env:
    """One name space on one Redis, as seen from one client or worker."""

    keys: Keys
    settings: Settings
    clock: ServerClock = field(default_factory=ServerClock)
    rng: random.Random = field(default_factory=random.Random)
    #: names the terminal hooks of a runner's app, as (kind, name), where there is an app at hand
    #: that has some
    hooks_of: HooksOf = _nobody_knows

    def request_id(self) -> str:
        """Make the id by which a script knows its own second arrival."""
        return secrets.token_hex(8)
