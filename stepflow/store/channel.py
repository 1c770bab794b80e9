"""What is published on a worker's channel, about a run that it has claimed."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow.core.run import StopRequest
from stepflow.store.run_hash import read_stop, write_stop

#: stands in the place of a stop when something came into the run's inbox
_INBOX = "inbox||"
#: and when the worker is to leave the run after its present step
_LETS_GO = "let_go||"
#: and what begins the place of a stop when somebody asks what is done for the run right now
_ASK = "now|"
#: and what stands before the name of a queue, in the place of a run id, when all its runs are meant
_QUEUE = "@"


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """
    What a worker is told about a run that it has claimed.

    *stop* asks the run to end; with *lets_go* the worker is to leave it after its present step;
    with *ask* it is to say what it is doing for the run right now, under that id; without any of
    these something came into its inbox. Written `<run id>|<stop>`, `<run id>|let_go||`,
    `<run id>|now|<ask>` or `<run id>|inbox||`.
    """

    run_id: str
    stop: StopRequest | None = None
    lets_go: bool = False
    ask: str = ""

    @classmethod
    def of_queue(cls, name: str) -> ChannelMessage:
        """Make the message that the runs of a paused queue are to be left."""
        return cls(f"{_QUEUE}{name}", lets_go=True)

    @property
    def queue(self) -> str:
        """The queue whose runs are meant; empty when it is one run."""
        return self.run_id[1:] if self.run_id.startswith(_QUEUE) else ""

    def write(self) -> str:
        """Give the message as it is published."""
        if self.lets_go:
            return f"{self.run_id}|{_LETS_GO}"
        if self.ask:
            return f"{self.run_id}|{_ASK}{self.ask}"
        return f"{self.run_id}|{_INBOX if self.stop is None else write_stop(self.stop)}"

    @classmethod
    def read(cls, message: str) -> ChannelMessage:
        """Read a message back; raises ValueError for anything else."""
        run_id, _, what = message.partition("|")
        if what == _LETS_GO:
            return cls(run_id, lets_go=True)
        if what.startswith(_ASK):
            return cls(run_id, ask=what.removeprefix(_ASK))
        return cls(run_id, None if what == _INBOX else read_stop(what.encode()))
