"""
The buttons: each asks for one operation of the API, and says beforehand what that does.

A row of the table has what a person reads; what it takes, who may do it and how it is done are the
operation's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from stepflow.core.run import ENDS, RunState, RunStatus
from stepflow.engine.steering.bulk_runs import VERBS as BULK_STATES
from stepflow.shell import to_type
from stepflow.web.access import Grant
from stepflow.web.operation import Operation
from stepflow.web.routes import OPERATIONS

_OPERATIONS = {operation.name: operation for operation in OPERATIONS}
_LIVE = frozenset(RunState) - set(ENDS)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form; *kind* is how it is written: text, words, json, number or decimal."""

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    is_needed: bool = False


_REASON = Field("reason", "Reason", hint="for whoever reads it later")


@dataclass(frozen=True, slots=True)
class Action:
    """
    A button. *says* and *command* have `{target}` where the run, queue, hook or bulk stands.

    *path* is the part of the operation's path that the target is; *place* is where the page of the
    target is; *states* are those of the runs that it can be done to.
    """

    verb: str
    label: str
    says: str
    command: str
    done: str
    fields: tuple[Field, ...] = ()
    path: str = "run_id"
    place: tuple[str, ...] = ("runs",)
    states: Collection[RunState] = ()
    destroys: bool = False

    @property
    def operation(self) -> Operation:
        """What it asks for."""
        return _OPERATIONS[self.verb]

    def write(self, target: str) -> str:
        """Write the command line that does the same."""
        words = self.command.split()
        at = words.index("{target}")
        rest = words[at + 1 :]
        begins = next((i for i, word in enumerate(rest) if word.startswith("-")), len(rest))
        return to_type(" ".join(words[1:at]), target, *rest[:begins], options=tuple(rest[begins:]))


_OF_RUNS = (
    Action(
        "resume", "Resume", "The run continues where it stopped.", "stepflow resume {target}",
        "The run continues.", states=BULK_STATES["resume"],
    ),
    Action(
        "run-now", "Run now", "The run, or its next attempt, starts now and not when it is due.",
        "stepflow run-now {target}", "It starts now.",
        states={RunState.SCHEDULED},
    ),
    Action(
        "retry", "Retry", "The run continues from the step that failed, with all its attempts "
        "anew.",
        "stepflow retry {target}", "The run continues.", states=BULK_STATES["retry"],
    ),
    Action(
        "signal", "Signal", "Sends the run a signal, which it receives when it waits for it.",
        "stepflow signal {target} NAME JSON", "The signal is in the mailbox.",
        fields=(
            Field("name", "Name", is_needed=True),
            Field("payload", "Payload", "json", hint="JSON; leave empty for null"),
        ),
        states=BULK_STATES["signal"],
    ),
    Action(
        "fork", "Fork", "Starts a new run that keeps what this one did before a step.",
        "stepflow fork {target} --at STEP", "The fork was submitted.",
        fields=(
            Field("at", "At step", hint="the first step that runs again",
                  is_needed=True),
            Field("set", "Input", "json", hint="JSON; leave empty for the same input"),
            Field("version", "Version", "number", hint="leave empty for the same"),
            Field("id", "New id", hint="leave empty to have one generated"),
        ),
        states=frozenset(RunState),
    ),
    Action(
        "pause", "Pause", "The run stops until somebody resumes it: at once when it waits, else "
        "after its current step. It still receives signals and answers.",
        "stepflow pause {target}", "The run is paused, or will be after its step.",
        fields=(_REASON,), states=BULK_STATES["pause"],
    ),
    Action(
        "cancel", "Cancel", "Asks the run to stop. It runs its compensations, then ends as "
        "cancelled.",
        "stepflow cancel {target}", "The run is cancelled, or stops soon.",
        fields=(_REASON,), states=BULK_STATES["cancel"], destroys=True,
    ),
    Action(
        "fail", "Fail", "Ends the run as failed. One that waits or is paused ends at once, "
        "without its compensations.",
        "stepflow fail {target}", "The run has failed, or does soon.",
        fields=(_REASON,), states=_LIVE, destroys=True,
    ),
    Action(
        "delete", "Delete", "Deletes the run's record, steps, output and hooks for good.",
        "stepflow delete {target}", "The run was deleted.",
        states=BULK_STATES["delete"], destroys=True,
    ),
)  # fmt: skip
_OF_OTHERS = (
    Action(
        "pause-queue", "Pause", "Workers take nothing from this queue until somebody resumes it. "
        "Steps in progress finish.",
        "stepflow queue pause {target}", "The queue is paused.",
        fields=(_REASON,), path="queue", place=("queues",),
    ),
    Action(
        "resume-queue", "Resume", "Workers take from this queue again.",
        "stepflow queue resume {target}", "The queue is resumed.",
        path="queue", place=("queues",),
    ),
    Action(
        "redeliver", "Redeliver", "Sends the delivery again, with all its tries.",
        "stepflow hooks redeliver {target}", "It is sent again.",
        path="hook_id", place=("hooks",),
    ),
    Action(
        "trigger-schedule", "Run now", "Starts a run of this schedule now, whatever its times.",
        "stepflow schedules trigger {target}", "The run was started.",
        path="schedule_id", place=("schedules",),
    ),
    Action(
        "pause-schedule", "Pause", "The times of this schedule have no runs until somebody resumes "
        "it. Runs in progress continue.",
        "stepflow schedules pause {target}", "The schedule is paused.",
        fields=(Field("note", "Note", hint="for whoever reads it later"),),
        path="schedule_id", place=("schedules",),
    ),
    Action(
        "resume-schedule", "Resume", "The schedule starts runs again from its next time. Times "
        "missed meanwhile are not made up.",
        "stepflow schedules resume {target}", "The schedule is resumed.",
        path="schedule_id", place=("schedules",),
    ),
    Action(
        "delete-schedule", "Delete", "Deletes the schedule and its history for good; its runs "
        "stay. One that code declares comes back with its workers.",
        "stepflow schedules delete {target}", "The schedule was deleted.",
        path="schedule_id", place=("schedules",), destroys=True,
    ),
    Action(
        "set-limit", "Set", "These bounds count instead of what the code says, also after a "
        "deploy. Runs in line are looked at immediately.",
        "stepflow limits set {target}", "The limit is set.",
        fields=(
            Field("concurrency", "Concurrency", "number", hint="leave empty to leave it as it is"),
            Field("rate", "Rate", hint="like 100/min"),
            Field("burst", "Burst", "number"),
        ),
        path="limit", place=("limits",),
    ),
    Action(
        "unset-limit", "Unset", "What the code says counts again.",
        "stepflow limits unset {target}", "The code counts again.",
        path="limit", place=("limits",),
    ),
    Action(
        "reset-limit", "Reset", "What has begun is forgotten, and so is that the limit rests.",
        "stepflow limits reset {target}", "The limit counts from now.",
        path="limit", place=("limits",),
    ),
    Action(
        "open-breaker", "Open", "The breaker lets no call through until somebody closes it, or for "
        "so many seconds. Steps that have it wait.",
        "stepflow breakers open {target}", "The breaker is open.",
        fields=(
            Field("duration", "Seconds", "number", hint="leave empty to keep it open"),
            Field("note", "Note", hint="for whoever reads it later"),
        ),
        path="breaker", place=("breakers",),
    ),
    Action(
        "close-breaker", "Close", "The breaker lets calls through again. The runs that wait come "
        "back a few at a time.",
        "stepflow breakers close {target}", "The breaker is closed.",
        path="breaker", place=("breakers",),
    ),
    Action(
        "reset-breaker", "Reset", "The breaker is closed, and its counts are 0.",
        "stepflow breakers reset {target}", "The breaker is closed, its counts are 0.",
        path="breaker", place=("breakers",),
    ),
    Action(
        "set-budget", "Set", "What the budget has from now on, over what the code says. The runs "
        "that wait look again.",
        "stepflow budgets set {target}", "The budget is set.",
        fields=(
            Field("usd", "Dollars", hint="such as 20.50, or code for what the code says"),
            Field("tokens", "Tokens", hint="a number, or code for what the code says"),
            Field("note", "Note", hint="for whoever reads it later"),
        ),
        path="budget", place=("budgets",),
    ),
    Action(
        "reset-budget", "Reset", "What was spent of the budget in this window is forgotten; calls "
        "under way stay reserved.",
        "stepflow budgets reset {target}", "Nothing is spent of the budget.",
        path="budget", place=("budgets",),
    ),
    Action(
        "set-weight", "Weigh", "A lane takes so many turns for each turn of a lane with the weight "
        "1, from its next turn on.",
        "stepflow queue weigh {target} LANE 3", "The lane has its new weight.",
        fields=(
            Field("lane", "Lane", is_needed=True),
            Field("weight", "Weight", "decimal", is_needed=True, hint="like 3, or 0.5"),
        ),
        path="queue", place=("queues",),
    ),
    Action(
        "drop-shared", "Drop", "Drops values that runs share: the next run that asks computes its "
        "own. What is being computed meanwhile is shared all the same.",
        "stepflow shared drop {target}", "The values are dropped.",
        fields=(
            Field("ids", "Values", "words", hint="their ids; leave empty for all of them"),
        ),
        path="shared_step", place=("shared",), destroys=True,
    ),
    Action(
        "retry-group", "Retry failed", "The failed members of the group continue, and no other.",
        "stepflow group retry {target}", "The failed members continue.",
        path="group_id", place=("groups",),
    ),
    Action(
        "cancel-group", "Cancel", "What has not started does not start; what lives is cancelled.",
        "stepflow group cancel {target}", "The group is cancelled.",
        fields=(_REASON,), path="group_id", place=("groups",), destroys=True,
    ),
    Action(
        "forget-group", "Forget", "Drops what is kept of the group; its members stay as runs of "
        "their own.",
        "stepflow group forget {target}", "The group is forgotten.",
        path="group_id", place=("groups",), destroys=True,
    ),
    Action(
        "stop-bulk", "Stop", "The bulk stops where it is; it can be resumed.",
        "stepflow bulk stop {target}", "The bulk stops.",
        path="bulk_id", place=("bulk",),
    ),
    Action(
        "resume-bulk", "Resume", "The bulk continues where it stopped.",
        "stepflow bulk resume {target}", "The bulk continues.",
        path="bulk_id", place=("bulk",),
    ),
)  # fmt: skip

ACTIONS: Mapping[str, Action] = {action.verb: action for action in (*_OF_RUNS, *_OF_OTHERS)}


def possible(run: RunStatus, grant: Grant) -> Iterator[Action]:
    """Give the buttons of a run: what can be done to it as it is, by who looks at it."""
    for action in _OF_RUNS:
        allowed = grant.allows(action.operation.right)
        if allowed and run.state in action.states and (action.verb != "fork" or run.is_workflow):
            yield action


def can(grant: Grant, verb: str) -> bool:
    """Whether somebody may ask for an action."""
    return grant.allows(ACTIONS[verb].operation.right)
