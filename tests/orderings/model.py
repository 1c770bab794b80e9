"""
One run as a plain object: what the guarantees say becomes of it, in as few words as possible.

It knows no Redis, no rev and no scripts, and asks nothing of `stepflow.core.transitions`. Times are
unix seconds.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from tests.orderings.world import ATTEMPTS, BACKOFF_S, CRASHES, GRACE_S, LEASE_S

ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Model:
    """A run, and what each thing that can happen makes of it."""

    now: float
    payload: int
    timeout: float | None = None
    delay: float | None = None
    generation: int = 0
    state: str = "pending"
    step: int = 0
    ends: int = 0
    failures: int = 0
    crashes: int = 0
    #: when it goes on by itself
    due_at: float | None = None
    deadline_at: float | None = None
    #: the claim on it, and until when
    holder: str = ""
    lease_at: float = 0.0
    #: why it is to end: "cancel", "deadline", "fail", "error"
    stop: str = ""
    stopped_at: float = 0.0
    #: when a round looks whether its time, or the grace it was given, is over
    look_at: float | None = None
    #: its cleanup: 0 none, 1 needed, 2 started
    rest: int = 0
    #: whether anything put into its inbox ends its wait
    wakes: bool = False
    inbox: int = 0
    mail: list[bytes] = field(default_factory=list)
    journal: list[bytes] = field(default_factory=list)
    signals: set[str] = field(default_factory=set)
    #: whether it was asked to stand while a worker had it
    must_stand: bool = False
    #: where it stood when somebody paused it: state, due time, whether its inbox wakes it, and how
    #: much that had had
    stood: tuple[str, float | None, bool, int] | None = None

    def __post_init__(self) -> None:
        if self.delay:
            self._later(self.now + self.delay)
        if self.timeout is not None:
            self.deadline_at = self.look_at = self.now + self.timeout

    def copy(self) -> Model:
        return copy.deepcopy(self)

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED

    def times(self) -> list[float]:
        """Give when something happens to it if nobody does anything."""
        if self.is_ended:
            return []
        return [at for at in (self.due_at, self.lease_at, self.look_at) if at]

    def is_late(self, now: float) -> bool:
        return self.deadline_at is not None and now >= self.deadline_at and not self.rest

    # where it can stand

    def _leave(self) -> None:
        self.holder, self.lease_at, self.due_at, self.wakes = "", 0.0, None, False
        self.must_stand, self.stood = False, None

    def _goes(self, state: str, due_at: float | None = None, *, wakes: bool = False) -> None:
        """It goes there, or stands if somebody has asked for that while a worker had it."""
        stands = self.must_stand and self.state == "running" and not self.stop
        self._leave()
        if stands:
            self.state, self.stood = "paused", (state, due_at, wakes, self.inbox)
        else:
            self.state, self.due_at, self.wakes = state, due_at, wakes

    def _queue(self) -> None:
        self._goes("pending")

    def _later(self, due_at: float) -> None:
        self._goes("scheduled", due_at)

    def _end(self, state: str) -> None:
        self._leave()
        self.state, self.ends, self.look_at = state, self.ends + 1, None

    def _end_by(self, stop: str) -> None:
        self._end("cancelled" if stop == "cancel" else "failed")

    def _end_badly(self, stop: str) -> None:
        """
        It ends, and not well, by what its step says: it cleans up first, if it has to.
        """
        if self.rest == 1 and not self.stop:
            self.stop, self.failures, self.crashes = stop, 0, 0
            self._queue()
        else:
            self._end_by(self.stop or stop)

    def _close_step(self) -> None:
        self.step, self.failures, self.crashes = self.step + 1, 0, 0

    # what a worker does

    def claim(self, token: str, now: float) -> None:
        assert self.state == "pending", f"a worker was given a run that is {self.state}"
        self._leave()
        self.state, self.holder, self.lease_at = "running", token, now + LEASE_S

    def renew(self, until: float) -> None:
        self.lease_at = max(self.lease_at, until)

    def progress(self) -> None:
        self.crashes = 0

    def _goes_by_its_stop(self, *, gives_up: bool) -> bool:
        """
        Say whether the stop it was given beats what its step says: always, unless there is a last
        word to say.
        """
        return bool(self.stop) and (not self.rest or gives_up)

    def go_on(self, now: float, *, due_in: float | None, lets_go: bool) -> None:
        if self._goes_by_its_stop(gives_up=False):
            self._end_by(self.stop)
        elif self.is_late(now):
            self._end_by("deadline")
        else:
            self._close_step()
            if due_in:
                self._later(now + due_in)
            elif lets_go or (self.must_stand and not self.stop):
                self._queue()

    def succeed(self) -> None:
        if self._goes_by_its_stop(gives_up=False):
            self._end_by(self.stop)
        elif self.stop:
            self._queue()
        else:
            self._end("succeeded")

    def fail(self) -> None:
        self._end_badly("error")

    def cancel_itself(self) -> None:
        if self.stop:
            self._end("cancelled")
        else:
            self._end_badly("cancel")

    def has_error(self, now: float, *, retryable: bool) -> None:
        if self._goes_by_its_stop(gives_up=False):
            self._end_by(self.stop)
        elif retryable and self.is_late(now):
            self._end_by("deadline")
        elif retryable and self.failures + 1 < ATTEMPTS:
            self.failures += 1
            self._later(now + BACKOFF_S)
        else:
            self._end_badly("error")

    def park(
        self,
        now: float,
        *,
        due_at: float | None,
        wakes: bool,
        rest: bool,
        seen: int,
        lets_go: bool = False,
    ) -> None:
        if self.stop:  # it did not know of it when it parked
            self.rest = max(self.rest, int(rest))
            if self.rest:
                self._queue()
            else:
                self._end_by(self.stop)
            return
        if wakes and seen != self.inbox:  # something came that it has not seen
            self.go_on(now, due_in=None, lets_go=lets_go)
            return
        self._close_step()
        self._goes("waiting", due_at, wakes=wakes)
        self.rest = max(self.rest, int(rest))

    def pause(self) -> None:
        if self._goes_by_its_stop(gives_up=False):
            self._end_by(self.stop)
            return
        self._leave()
        self.state = "paused"

    def hand_back(self) -> None:
        if self._goes_by_its_stop(gives_up=False):
            self._end_by(self.stop)
        else:
            self._queue()

    def clean_up(self, *, failed: bool) -> None:
        self._end_by("fail" if failed else self.stop or "cancel")

    # what others do

    def lose_worker(self, now: float) -> bool:
        """
        Its lease has run out; True when it waits before it is handed over again, for a time left to
        chance.
        """
        assert self.state == "running"
        if self._goes_by_its_stop(gives_up=False):
            self._end_by(self.stop)
        elif self.is_late(now):
            self._end_by("deadline")
        elif self.crashes + 1 > CRASHES:
            self._end_badly("error")
        else:
            self.crashes += 1
            self._queue()
            return self.crashes > 1
        return False

    def wait_until(self, due_at: float) -> None:
        if self.state == "paused":
            self.stood = ("scheduled", due_at, False, self.inbox)
        else:
            self._later(due_at)

    def ask_to_stop(self, kind: str, now: float) -> bool:
        """Somebody outside wants it to end; says whether that did anything."""
        if self.is_ended:
            return False
        if kind == "fail" and (self.stop or self.state != "running"):
            self._end_by("fail")
            return True
        if self.rest and not self.stop and self.state in ("scheduled", "waiting", "paused"):
            self.stop, self.stopped_at = kind, now
            self._queue()
            return True
        overdue = kind == "deadline" and bool(self.stop) and now >= self.stopped_at + GRACE_S
        if not self.rest and (self.state != "running" or overdue):
            self._end_by(self.stop or kind)
            return True
        if self.stop:
            if kind == "deadline":
                self.look_at = None
            return False
        self.stop, self.stopped_at, self.look_at = kind, now, None if self.rest else now + GRACE_S
        return True

    def time_is_up(self, now: float) -> bool:
        """Say whether a round looks at its deadline, or at the grace it was given."""
        return self.look_at is not None and self.look_at <= now

    def move_due(self, now: float) -> None:
        if (
            self.state in ("scheduled", "waiting")
            and self.due_at is not None
            and self.due_at <= now
        ):
            self._queue()

    def take_signal(self) -> None:
        if self.mail:
            self.journal.append(b"value|0|" + self.mail.pop(0))

    def send(self, item: bytes, dedup: str | None) -> None:
        if dedup is not None:
            if dedup in self.signals:
                return
            self.signals.add(dedup)
        self.mail.append(item)
        self.inbox += 1
        if self.state == "waiting" and self.wakes:
            self._queue()

    def resume(self, now: float) -> None:
        if self.stood is None:
            self.failures = self.crashes = 0
            self._queue()
            return
        state, due_at, wakes, inbox = self.stood
        is_due = due_at is not None and due_at <= now
        if is_due or (wakes and self.inbox > inbox):
            self._queue()
        else:
            self._goes(state, due_at, wakes=wakes)

    def pause_by_hand(self) -> None:
        if self.stop or self.is_ended or self.state == "paused":
            return
        if self.state == "running":
            self.must_stand = True
            return
        stood = (self.state, self.due_at, self.wakes, self.inbox)
        self._leave()
        self.state, self.stood = "paused", stood

    def take_back_the_pause(self) -> None:
        self.must_stand = False

    def run_now(self) -> None:
        self._queue()

    def retry(self) -> None:
        self.failures = self.crashes = 0
        self.stop, self.deadline_at, self.look_at = "", None, None
        self._queue()
