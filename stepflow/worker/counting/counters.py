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
from stepflow.core.journal import EntryKind
from stepflow.core.run import Run
from stepflow.core.transition import Transition

#: types of errors that are told apart in one round
MOST_ERRORS = 50
#: how the attempt of a step ended, by the word of its outcome or by the kind of the journal entry
#: that remembers it; those of a kit's own are no ends
_OF_WORD: dict[str, StepCount] = {
    "continue": StepCount.DONE,
    "succeed": StepCount.DONE,
    "fail": StepCount.FAILED,
    "cancel": StepCount.CANCELLED,
    "raised": StepCount.RETRIED,
    "back": StepCount.HANDED_BACK,
    EntryKind.VALUE: StepCount.DONE,
    EntryKind.ERROR: StepCount.FAILED,
    EntryKind.TRY: StepCount.RETRIED,
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
    """
    The attempts of the steps of one runner: the words of their outcomes, and their times.

    It stays the same object for as long as the worker runs, so that a run need not look for it.
    """

    __slots__ = ("words",)

    def __init__(self) -> None:
        super().__init__()
        self.words = dict.fromkeys(_OF_WORD, 0)

    def note_attempt(self, word: str, took_s: float) -> None:
        """
        Count an attempt by the word of its outcome, or the kind of its entry.

        Each step of each runner passes here: it costs 0.3 us.
        """
        words = self.words
        if word in words:
            words[word] += 1
            took_us = int(took_s * 1e6)
            if took_us > 0:  # a clock that was set may say otherwise
                self.sum_us += took_us
                self.buckets[took_us.bit_length()] += 1
            else:
                self.buckets[0] += 1

    def clear(self) -> None:
        """Begin anew."""
        self.buckets = [0] * BUCKETS
        self.sum_us = 0
        self.words = dict.fromkeys(_OF_WORD, 0)

    def ends(self) -> Iterator[tuple[StepCount, int]]:
        """Give how they ended."""
        found: Counter[StepCount] = Counter()
        for word, count in self.words.items():
            found[_OF_WORD[word]] += count
        return ((end, count) for end, count in found.items() if count)


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

    def attempts_of(self, runner: str) -> Attempts:
        """Give the counts of the attempts of a runner's steps."""
        attempts = self._attempts.get(runner)
        if attempts is None:
            attempts = self._attempts[runner] = Attempts()
        return attempts

    def note_end(self, runner: str, move: Transition) -> None:
        """Count the end of a run."""
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

    def note_left_out(self, schedule_id: str, why: str, count: int) -> None:
        """Count times of a schedule that have no run."""
        self._rest[field_of(Counted.LEFT_OUT, schedule_id, why)] += count

    def drain(self) -> dict[str, int]:
        """Give all that was counted since the last call, by field."""
        counts, self._rest = self._rest, Counter()  # some may have been restored: these add to them
        for runner, attempts in self._attempts.items():
            counts.update(dict(attempts.fields(Counted.TOOK, Counted.TOOK_SUM, runner)))
            ends = attempts.ends()
            counts.update({field_of(Counted.STEPS, runner, end): count for end, count in ends})
            attempts.clear()
        for queue, waits in self._waits.items():
            counts.update(dict(waits.fields(Counted.WAITED, Counted.WAITED_SUM, queue)))
        self._waits.clear()
        self._errors.clear()
        return counts

    def restore(self, counts: Mapping[str, int]) -> None:
        """Take back what could not be sent."""
        self._rest.update(counts)
