"""The counts of one worker since its last round: plain numbers, on its loop's thread alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from stepflow.core.counts import (
    BUCKETS,
    OTHER,
    Counted,
    HookCount,
    StepCount,
    end_fields,
    field_of,
)
from stepflow.core.outcomes import Outcome
from stepflow.core.run import Run
from stepflow.core.transition import Transition, TransitionKind

#: types of errors that are told apart in one round
MOST_ERRORS = 50
#: how the attempt of a runner's step ended, by the word of its outcome; a kit's own have none
_OF_WORD = {
    "continue": StepCount.DONE,
    "succeed": StepCount.DONE,
    "fail": StepCount.FAILED,
    "cancel": StepCount.CANCELLED,
    "raised": StepCount.RETRIED,
    "back": StepCount.HANDED_BACK,
}


class Times:
    """A histogram and its sum."""

    __slots__ = ("buckets", "sum_us")

    def __init__(self) -> None:
        self.buckets = [0] * BUCKETS
        self.sum_us = 0

    def note(self, took_s: float) -> None:
        """Count a time; one that a clock which was set made negative counts as none."""
        took_us = int(took_s * 1e6) if took_s > 0 else 0
        self.sum_us += took_us
        self.buckets[took_us.bit_length()] += 1

    def fields(self, buckets: Counted, total: Counted, of: str) -> Iterator[tuple[str, int]]:
        """Give the counts by their fields."""
        for bucket, count in enumerate(self.buckets):
            if count:
                yield field_of(buckets, of, str(bucket)), count
        if self.sum_us:
            yield field_of(total, of), self.sum_us


class Attempts(Times):
    """The attempts of the steps of one runner: how they ended, and how long they took."""

    __slots__ = ("ends",)

    def __init__(self) -> None:
        super().__init__()
        self.ends = dict.fromkeys(StepCount, 0)


class Counters:
    """What one worker has counted and not sent yet."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempts] = {}
        self._waits: dict[str, Times] = {}
        self._rest: Counter[str] = Counter()
        self._errors: set[str] = set()

    def note_wait(self, run: Run, now: float) -> None:
        """Count how long a run that was just claimed had waited for it."""
        waits = self._waits.get(run.queue)
        if waits is None:
            waits = self._waits[run.queue] = Times()
        waits.note(now - max(run.created_at, run.updated_at, run.due_at))

    def note_attempt(self, runner: str, end: StepCount, took_s: float) -> None:
        """Count an attempt of a step."""
        attempts = self._attempts.get(runner)
        if attempts is None:
            attempts = self._attempts[runner] = Attempts()
        attempts.ends[end] += 1
        attempts.note(took_s)

    def note_commit(
        self, run: Run, outcome: Outcome, move: Transition, took_s: float | None
    ) -> None:
        """
        Count what a commit did; *took_s* is of the runner's step.

        None for an activation of a workflow, whose steps are counted one by one.
        """
        ends = move.kind is TransitionKind.FINISH
        if took_s is not None:
            end = _OF_WORD.get(outcome.word)
            if end is StepCount.RETRIED and ends:
                end = StepCount.FAILED
            if end is not None:
                self.note_attempt(run.runner, end, took_s)
        if ends:
            self._note_end(run.runner, move)

    def _note_end(self, runner: str, move: Transition) -> None:
        ended, *failing = end_fields(runner, move.state, move.error)
        self._rest[ended] += 1
        for field in failing:
            self._rest[self._told_apart(field, runner)] += 1

    def _told_apart(self, failing: str, runner: str) -> str:
        """Give the field of an error, or that of all others beyond the first types of a round."""
        if failing not in self._errors and len(self._errors) >= MOST_ERRORS:
            return field_of(Counted.FAILING, runner, OTHER)
        self._errors.add(failing)
        return failing

    def note_lost_claim(self) -> None:
        """Count a claim that another worker has now."""
        self._rest[Counted.CLAIMS_LOST] += 1

    def note_hook(self, end: HookCount) -> None:
        """Count a try of a hook delivery."""
        self._rest[field_of(Counted.HOOKS, end)] += 1

    def drain(self) -> dict[str, int]:
        """Give all that was counted since the last call, by field."""
        counts = dict(self._rest)
        for runner, attempts in self._attempts.items():
            counts.update(attempts.fields(Counted.TOOK, Counted.TOOK_SUM, runner))
            counts.update(
                (field_of(Counted.STEPS, runner, end), count)
                for end, count in attempts.ends.items()
                if count
            )
        for queue, waits in self._waits.items():
            counts.update(waits.fields(Counted.WAITED, Counted.WAITED_SUM, queue))
        self._rest.clear()
        self._attempts.clear()
        self._waits.clear()
        self._errors.clear()
        return counts

    def restore(self, counts: Mapping[str, int]) -> None:
        """Take back what could not be sent."""
        self._rest.update(counts)
