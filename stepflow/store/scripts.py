"""
The Lua scripts, read once from disk and sent by digest.

`store/lua/source.py` says how they are written. Python passes keys and arguments by the names in
a script's header: `scripts.PUT_MEMO.call(bool, keys={"run": ..., "memo": ...}, args={...})`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from stepflow.store.calls import Call, Part
from stepflow.store.lua.source import Names, expand, unpacked

T = TypeVar("T")

_NO_ARGS: Mapping[str, Part] = {}
_NO_LISTS: Mapping[str, Sequence[Part]] = {}
_NO_KEY_LISTS: Mapping[str, Sequence[str]] = {}


#: makes an EVALSHA of keys, lists of keys, arguments and lists of arguments, by name
_Packer = Callable[
    [
        Mapping[str, str],
        Mapping[str, Sequence[str]],
        Mapping[str, Part],
        Mapping[str, Sequence[Part]],
    ],
    tuple[Part, ...],
]


def _packer(sha: str, keys: Names, args: Names) -> _Packer:
    """Write the function that puts names in order: a call costs a lookup for each, and no loop."""
    counts = [f"len(key_lists[{name!r}])" for name in keys.lists]
    number = " + ".join([str(len(keys.single)), *counts])
    sent_keys = [f"keys[{name!r}]" for name in keys.single]
    sent_keys += [f"*key_lists[{name!r}]" for name in keys.lists]
    sent = [f"args[{name!r}]" for name in args.single]
    sent += counts[:-1]
    sent += [f"len(lists[{name!r}]), *lists[{name!r}]" for name in args.lists]
    parts = ", ".join([repr("EVALSHA"), repr(sha), number, *sent_keys, *sent])
    text = f"lambda keys, key_lists, args, lists: ({parts},)"
    packer: _Packer = eval(text, {"len": len})  # noqa: S307  made of the names in our own headers
    return packer


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """
    One script: its name, its text as it is sent, and the names of its keys and arguments.

    EVALSHA calls it by *sha*, the SHA1 of its text.
    """

    name: str
    text: str
    keys: Names
    args: Names
    sha: str = field(init=False)
    _pack: _Packer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", sha)
        object.__setattr__(self, "_pack", self._pack_first)

    def _pack_first(self, *given: Any) -> tuple[Part, ...]:
        """Write the packer with the first call: a process calls few of the scripts."""
        packer = _packer(self.sha, self.keys, self.args)
        object.__setattr__(self, "_pack", packer)
        return packer(*given)

    def call(
        self,
        read: Callable[[Any], T],
        *,
        keys: Mapping[str, str],
        args: Mapping[str, Part] = _NO_ARGS,
        lists: Mapping[str, Sequence[Part]] = _NO_LISTS,
        key_lists: Mapping[str, Sequence[str]] = _NO_KEY_LISTS,
        resend: bool = True,
    ) -> Call[T]:
        """
        Make a call of the script, each key and argument by the name in its header.

        TypeError for a name that is missing. One too many costs nothing to leave unnoticed here:
        tests/store/test_scripts.py looks at all callers.
        """
        try:
            parts = self._pack(keys, key_lists, args, lists)
        except KeyError as missing:
            raise TypeError(f"{self.name} is called without its {missing}") from None
        return Call(self, parts, read, resend)


class Group:
    """The items of a list that the library unpacks into names: given by name, sent in order."""

    def __init__(self, source: str, table: str) -> None:
        self.names = unpacked(source, table)
        self._known = frozenset(self.names)

    def order(self, given: Mapping[str, T]) -> tuple[T, ...]:
        """Give the values in the order of the names; TypeError where the names differ."""
        if given.keys() != self._known:
            raise TypeError(f"not the names {', '.join(self.names)}: {', '.join(given)}")
        return tuple(given[name] for name in self.names)


def load(name: str) -> Script:
    """Read `lua/<name>.lua`, with all that it includes."""
    return Script(name.rpartition("/")[2], *expand(name))


SUBMIT_RUN = load("runs/submit_run")
SIGNAL_START = load("runs/signal_start")
PUT_OFF = load("runs/put_off")
SUBMIT_CHILD = load("runs/submit_child")
SETTLE_MAP = load("runs/settle_map")
CLAIM_STEPS = load("claims/claim_steps")
CLAIM_ONE = load("claims/claim_one")
KEEP_STEP = load("runs/keep_step")
HAND_ON = load("runs/hand_on")
HAND_OVER = load("runs/hand_over")
FINISH_RUN = load("runs/finish_run")
MARK_RUN = load("runs/mark_run")
RETRY_RUN = load("runs/retry_run")
DELETE_RUN = load("runs/delete_run")
STAGE_RUN = load("runs/stage_run")
RELEASE_RUN = load("runs/release_run")
TAKE_ENDS = load("runs/take_ends")
START_BULK = load("bulk/start_bulk")
ADVANCE_BULK = load("bulk/advance_bulk")
WRITE_SCHEDULE = load("schedules/write_schedule")
FIRE_SCHEDULE = load("schedules/fire_schedule")
DELETE_SCHEDULE = load("schedules/delete_schedule")
WRITE_SLICE = load("groups/write_slice")
SUBMIT_MEMBER = load("groups/submit_member")
ADVANCE_GROUP = load("groups/advance_group")
MEND_MEMBER = load("groups/mend_member")
FORGET_GROUP = load("groups/forget_group")
RECOUNT_GROUP = load("groups/recount_group")
TAKE_PERMIT = load("breakers/take_permit")
SETTLE_PERMIT = load("breakers/settle_permit")
SET_BREAKER = load("breakers/set_breaker")
RESERVE_BUDGET = load("budgets/reserve_budget")
SETTLE_BUDGET = load("budgets/settle_budget")
SET_BUDGET = load("budgets/set_budget")
CLAIM_SHARED = load("shared/claim_shared")
SETTLE_SHARED = load("shared/settle_shared")
DROP_SHARED = load("shared/drop_shared")
CALL_LINE = load("limits/call_line")
MEND_SLOTS = load("limits/mend_slots")
TAKE_SLOTS = load("limits/take_slots")
LEAVE_SLOTS = load("limits/leave_slots")
SETTLE_UNITS = load("limits/settle_units")
RENEW_CLAIMS = load("claims/renew_claims")
LEAVE_WAITING = load("claims/leave_waiting")
EXTEND_CLAIM = load("claims/extend_claim")
PUT_MEMO = load("claims/put_memo")
MOVE_DUE = load("maintenance/move_due")
SCAN_MAINTENANCE = load("maintenance/scan_maintenance")
SWEEP_EXPIRED = load("maintenance/sweep_expired")
MOVE_OLD = load("maintenance/move_old")
SET_ASIDE = load("runs/set_aside")
BURY_HOOK = load("hooks/bury_hook")
TELL_GONE = load("runs/tell_gone")
PRUNE_WAITING_LIST = load("maintenance/prune_waiting_list")
PARK_RUN = load("runs/park_run")
PAUSE_RUN = load("runs/pause_run")
ADD_ENTRY = load("journal/add_entry")
ADD_ENTRY_LIMITED = load("journal/add_entry_limited")
TAKE_SIGNAL = load("journal/take_signal")
TOUCH_VAR = load("journal/touch_var")
SETTLE_QUESTION = load("journal/settle_question")
CLOSE_QUESTIONS = load("journal/close_questions")
ANSWER_QUESTION = load("journal/answer_question")
SEND_SIGNAL = load("journal/send_signal")
SETTLE_HOOK = load("hooks/settle_hook")
COMMIT_HOOK = load("hooks/commit_hook")
REQUEUE_HOOK = load("hooks/requeue_hook")
TELL_UNTOLD = load("hooks/tell_untold")
EMIT = load("output/emit")
EMIT_ENTRY = load("output/emit_entry")
ADD_COUNTS = load("counting/add_counts")
ASK_WORKER = load("claims/ask_worker")
CHECK_RIGHTS = load("maintenance/check_rights")
INSPECT_RUNS = load("maintenance/inspect_runs")
MEND_INDEX = load("maintenance/mend_index")
MEND_TTL = load("maintenance/mend_ttl")


@cache
def all_scripts() -> tuple[Script, ...]:
    """Give every script there is."""
    return tuple(value for value in globals().values() if isinstance(value, Script))
