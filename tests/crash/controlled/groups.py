"""
Groups among all attacks: each member begins once, counts agree with the members, the end is told
once.

A group is submitted by a client that may lose its replies, again and again until the answer comes:
its id makes that one group.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from stepflow import Client, RunSpec
from stepflow.core.fanout.group import member_run_id
from stepflow.errors import StepflowError
from tests.crash.support.app import path
from tests.crash.support.receiver import Sink
from tests.crash.support.waiting import until

#: members of a group at most
MOST = 24


class Groups:
    """The groups of one attack; *clients* are those that submit, *direct* asks at the end."""

    def __init__(self, direct: Client, clients: Sequence[Client], sink: Sink, dice: random.Random):
        self._direct, self._clients, self._sink, self._dice = direct, clients, sink, dice
        self._manifests: dict[str, dict[str, RunSpec]] = {}
        #: those whose submit was never answered
        self._unanswered: set[str] = set()
        #: how each member is to end
        self.expected: dict[str, str] = {}

    def submit(self) -> None:
        """Submit a group, or one again that is there already or may be."""
        known = sorted(self._unanswered) or list(self._manifests)[-5:]
        if known and self._dice.random() < 0.4:
            self._send(self._dice.choice(known))
            return
        name = f"group-{len(self._manifests)}"
        members = {}
        for number in range(self._dice.randint(1, MOST)):
            fails = self._dice.random() < 0.2
            key = f"m{number}"
            members[key] = RunSpec(
                "verdict" if fails else "chain", path(2, pause=0.02), webhooks=[self._sink.webhook]
            )
            self.expected[member_run_id(name, key)] = "failed" if fails else "succeeded"
        self._manifests[name] = members
        self._send(name)

    def _send(self, name: str) -> None:
        try:
            self._dice.choice(self._clients).groups.submit(
                name, self._manifests[name], webhooks=[self._sink.webhook]
            )
            self._unanswered.discard(name)
        except StepflowError:
            self._unanswered.add(name)

    def settle(self, patience_s: float) -> list[str]:
        """Submit again what was not answered, wait for all ends; gives what has not ended."""
        for name in sorted(self._unanswered):
            self._direct.groups.submit(name, self._manifests[name], webhooks=[self._sink.webhook])
        with suppress(AssertionError):
            until(lambda: not self._open(), what="the ends of groups", patience_s=patience_s)
        return self._open()

    def _open(self) -> list[str]:
        found = [self._direct.groups.status(name) for name in self._manifests]
        return [
            f"group {each.id} is {each.state}: {each}" for each in found if not each.is_finished
        ]

    def wrong(self) -> list[str]:
        """Say what does not agree: counts with members, the hook with the end."""
        return [said for name in self._manifests for said in self._faults(name)]

    def _faults(self, name: str) -> list[str]:
        group = self._direct.groups.status(name)
        ids = [member_run_id(name, key) for key in self._manifests[name]]
        runs = [self._direct.status(run_id) for run_id in ids]
        ends = Counter("gone" if run is None else str(run.state) for run in runs)
        counted = {"succeeded": group.succeeded, "failed": group.failed,
                   "cancelled": group.cancelled, "gone": group.gone}  # fmt: skip
        found = []
        if {state: count for state, count in counted.items() if count} != ends:
            found.append(f"group {name} counts {counted}, its members are {ends}")
        if group.total != len(ids) or group.refused:
            found.append(f"group {name} has {group.total} of {len(ids)}, {group.refused} refused")
        told = [(hook, said) for hook, said in self._sink.receiver.told.items() if said[0] == name]
        if [said for _, said in told] != [(name, str(group.state))]:
            found.append(f"group {name} is {group.state}, and was told as {told}")
        return found

    def forget(self) -> int:
        """Forget them, so that their members are runs as any other; gives how many there were."""
        for name in self._manifests:
            self._direct.groups.forget(name)
        return len(self._manifests)
