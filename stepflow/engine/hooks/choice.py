"""Which ends a hook is called for."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow.core.run import ENDS
from stepflow.errors import InvalidOption, shown


@dataclass(frozen=True, slots=True)
class HookChoice:
    """Which ends a hook is called for, and whether it takes a context."""

    #: all where it is empty
    events: frozenset[str] = frozenset()
    runners: frozenset[str] = frozenset()
    has_context: bool = False

    def wants(self, runner: str, status: str | None) -> bool:
        """Whether the hook is called for an end of *runner* by *status*; None where not known."""
        is_of_status = not self.events or status is None or status in self.events
        return is_of_status and (not self.runners or runner in self.runners)


#: that of a hook that has chosen nothing
ANY_END = HookChoice()


def read_events(events: object) -> frozenset[str]:
    """Read which ends a hook chooses; raises InvalidOption."""
    known = [str(end) for end in ENDS]
    chosen = [events] if isinstance(events, str) else events
    if not isinstance(chosen, list | tuple | set | frozenset) or not chosen:
        msg = f"events is {shown(events)}; give some of {', '.join(known)}"
        raise InvalidOption(msg)
    for each in chosen:
        if each not in known:
            msg = f"{shown(each)} is no end of a run; events may have {', '.join(known)}"
            raise InvalidOption(msg)
    return frozenset(str(each) for each in chosen)
