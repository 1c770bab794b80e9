"""Schedules that definitions declare."""

from __future__ import annotations

from collections.abc import Iterator

from stepflow.core.graphs.definitions import RUNNER
from stepflow.engine.schedules.declared import Declaration
from stepflow.engine.schedules.spec import ScheduleOptions, make_spec
from stepflow.kits.definition.model import Definition
from stepflow.kits.definition.submission import payload_of
from stepflow.kits.definition.triggers.model import OnSchedule


def schedules_of(definition: Definition) -> Iterator[Declaration]:
    """
    Give what *definition* declares to run at given times: with itself, as it is now.

    Raises InvalidOption for times that never come, and for an input that does not fit.
    """
    for number, trigger in enumerate(definition.triggers):
        if isinstance(trigger, OnSchedule):
            options: ScheduleOptions = {}
            if trigger.every is not None:
                options["every"] = trigger.every
            else:
                options["tz"] = trigger.timezone
            payload = payload_of(definition, trigger.input, trigger.entry_point)
            schedule_id = f"{definition.name}-{number}"
            yield Declaration(make_spec(schedule_id, RUNNER, trigger.cron, payload, options))
