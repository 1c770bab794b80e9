"""The settings of a harness."""

from __future__ import annotations

from stepflow.settings import Settings
from stepflow.times import LAST


def keeping(settings: Settings) -> Settings:
    """
    Give the settings of a harness: those of the app, but what has ended is kept.

    Times to live are counted by the fake server, in real time, and what has expired is swept by the
    clock that the test moves: a test that looks at a run must not depend on either.
    """
    spans = set(type(settings.retention).model_fields) - {"runners", "keep"}
    kept = {**dict.fromkeys(spans, LAST), "runners": {}, "keep": "all"}
    retention = settings.retention.model_copy(update=kept)
    return settings.model_copy(update={"retention": retention})
