"""
The Lua scripts, read once from disk and sent by digest.

`store/lua_source.py` says how they are written. Python passes keys and arguments by the names in
a script's header: `scripts.PUT_MEMO.call(bool, keys={"run": ..., "memo": ...}, args={...})`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

from stepflow.store.calls import Call, Part
from stepflow.store.lua_source import Names, expand, unpacked

T = TypeVar("T")

_NO_ARGS: Mapping[str, Part] = {}
_NO_LISTS: Mapping[str, Sequence[Part]] = {}
_NO_KEY_LISTS: Mapping[str, Sequence[str]] = {}


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Make what gives the values of *names* in order; KeyError for one that is missing."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda given: tuple(given[name] for name in names)


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
    _pick_keys: Callable[[Mapping[str, Any]], tuple[Any, ...]] = field(init=False, repr=False)
    _pick_args: Callable[[Mapping[str, Any]], tuple[Any, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", sha)
        object.__setattr__(self, "_pick_keys", _picker(self.keys.single))
        object.__setattr__(self, "_pick_args", _picker(self.args.single))

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

        TypeError for a name that is missing, or that the header does not have.
        """
        key_names, arg_names = self.keys, self.args
        if (
            len(keys) != len(key_names.single)
            or len(args) != len(arg_names.single)
            or len(lists) != len(arg_names.lists)
            or len(key_lists) != len(key_names.lists)
        ):
            raise self._misnamed(keys, args, lists, key_lists)
        try:
            sent_keys, sent = self._pick_keys(keys), self._pick_args(args)
            if key_lists:
                many = [key_lists[name] for name in key_names.lists]
                sent_keys += tuple(key for part in many for key in part)
                sent += tuple(len(part) for part in many[:-1])
            for name in arg_names.lists:
                items = lists[name]
                sent = (*sent, len(items), *items) if items else (*sent, 0)
        except KeyError:
            raise self._misnamed(keys, args, lists, key_lists) from None
        return Call(self, sent_keys, sent, read, resend=resend)

    def _misnamed(self, *given: Mapping[str, Any]) -> TypeError:
        wanted = (self.keys.single, self.args.single, self.args.lists, self.keys.lists)
        wrong = sorted(
            name
            for names, mapping in zip(wanted, given, strict=True)
            for name in set(names) ^ set(mapping)
        )
        return TypeError(f"{self.name} is called with other names than it has: {', '.join(wrong)}")


class Group:
    """The items of a list that the library unpacks into names: given by name, sent in order."""

    def __init__(self, source: str, table: str) -> None:
        self.names = unpacked(source, table)
        self._known = frozenset(self.names)
        self._pick = _picker(self.names)

    def order(self, given: Mapping[str, T]) -> tuple[T, ...]:
        """Give the values in the order of the names; TypeError where the names differ."""
        if given.keys() != self._known:
            raise TypeError(f"not the names {', '.join(self.names)}: {', '.join(given)}")
        return self._pick(given)


def load(name: str) -> Script:
    """Read `lua/<name>.lua`, with all that it includes."""
    return Script(name.rpartition("/")[2], *expand(name))


SUBMIT_RUN = load("runs/submit_run")
SUBMIT_CHILD = load("runs/submit_child")
CLAIM_STEPS = load("claims/claim_steps")
CLAIM_ONE = load("claims/claim_one")
KEEP_STEP = load("runs/keep_step")
HAND_OVER = load("runs/hand_over")
FINISH_RUN = load("runs/finish_run")
MARK_RUN = load("runs/mark_run")
RETRY_RUN = load("runs/retry_run")
RENEW_CLAIMS = load("claims/renew_claims")
EXTEND_CLAIM = load("claims/extend_claim")
PUT_MEMO = load("claims/put_memo")
MOVE_DUE = load("maintenance/move_due")
SCAN_MAINTENANCE = load("maintenance/scan_maintenance")
SWEEP_EXPIRED = load("maintenance/sweep_expired")
SET_ASIDE = load("runs/set_aside")
BURY_HOOK = load("hooks/bury_hook")
TELL_GONE = load("runs/tell_gone")
PRUNE_WAITING_LIST = load("maintenance/prune_waiting_list")
PARK_RUN = load("runs/park_run")
PAUSE_RUN = load("runs/pause_run")
ADD_ENTRY = load("journal/add_entry")
TAKE_SIGNAL = load("journal/take_signal")
TOUCH_VAR = load("journal/touch_var")
SETTLE_QUESTION = load("journal/settle_question")
CLOSE_QUESTION = load("journal/close_question")
ANSWER_QUESTION = load("journal/answer_question")
SEND_SIGNAL = load("journal/send_signal")
COMMIT_HOOK = load("hooks/commit_hook")
REQUEUE_HOOK = load("hooks/requeue_hook")
TELL_UNTOLD = load("hooks/tell_untold")
CHECK_RIGHTS = load("maintenance/check_rights")


@cache
def all_scripts() -> tuple[Script, ...]:
    """Give every script there is; a connection loads them when it opens."""
    return tuple(value for value in globals().values() if isinstance(value, Script))
