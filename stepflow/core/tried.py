"""Whose code was tried on a run that did not fit it: kept with the run until it pauses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

#: builds that one run remembers; one that is forgotten is tried again
MOST_TRIED = 50


@dataclass(frozen=True, slots=True)
class Trial:
    """One build that did not fit, the worker that had it, and what did not fit."""

    build: str
    worker: str
    problem: str


@dataclass(frozen=True, slots=True)
class Tried:
    """The trials of a run, the first one first."""

    trials: Sequence[Trial] = ()

    @property
    def builds(self) -> frozenset[str]:
        """The builds that did not fit."""
        return frozenset(trial.build for trial in self.trials)

    @property
    def workers(self) -> str:
        """The workers that tried, in words."""
        return ", ".join(dict.fromkeys(trial.worker for trial in self.trials))

    def with_trial(self, trial: Trial) -> Tried:
        """Return the same with one more trial; a build counts once."""
        others = [known for known in self.trials if known.build != trial.build]
        return Tried([*others, trial][-MOST_TRIED:])

    def left(self, live: Collection[str]) -> list[str]:
        """Return those of the *live* builds that were not tried yet."""
        return sorted(set(live) - self.builds)
