"""What every verb needs at hand: key names, the clock, settings, a die."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field

from stepflow.settings import Settings
from stepflow.store.clock import ServerClock
from stepflow.store.keys import Keys


@dataclass(slots=True)
class Desk:
    """One name space on one Redis, as seen from one client or worker."""

    keys: Keys
    settings: Settings
    clock: ServerClock = field(default_factory=ServerClock)
    die: random.Random = field(default_factory=random.Random)

    def request_id(self) -> str:
        """Make the id by which a script knows its own second arrival."""
        return secrets.token_hex(8)
