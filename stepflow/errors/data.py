"""Data we cannot read, and servers that are away or unfit."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.errors.base import StepflowError


class DataError(StepflowError):
    """Something stored cannot be read as what it should be."""


class UnreadableValue(DataError):
    """Bytes in Redis that are not a packed value of ours."""


class UnreadableRecord(DataError):
    """
    What Redis holds of a run, or of stepflow itself, cannot be read.

    Something else, or a later version, wrote it.

    *run_id* is the run it concerns, empty for anything else.
    """

    def __init__(self, what: str, problem: str, *, run_id: str = "") -> None:
        self.run_id = run_id
        super().__init__(f"{what} cannot be read: {problem}")

    @classmethod
    def of_run(cls, run_id: str, problem: str) -> UnreadableRecord:
        """Make the error for something of a run."""
        return cls(f"run {run_id!r}", problem, run_id=run_id)


class PayloadMismatch(DataError):
    """A payload does not fit the runner's annotation."""

    def __init__(self, runner: str, problem: str) -> None:
        super().__init__(f"the payload does not fit runner {runner!r}: {problem}")


class UnreadableHistory(DataError):
    """A document that is no exported history."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"this is no history that `stepflow export` wrote ({problem})")


class UnavailableError(StepflowError):
    """Nothing is wrong with the call; try it again."""

    retryable = True


class RedisUnreachable(UnavailableError):
    """No answer from Redis after the retries the link was given."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"Redis at {url} does not answer ({problem}); start it or correct the URL")


class RedisRefused(UnavailableError):
    """
    Redis answered, with a refusal: out of memory, read-only, loading, no permission.

    *passes* says that the server's state or its operator is why, not the command or the data: the
    same call may be taken later.
    """

    #: what such an answer holds, in front or behind the words of a script
    PASSING = ("OOM", "MISCONF", "NOREPLICAS", "READONLY", "LOADING", "MASTERDOWN", "BUSY")
    #: what one holds that the user's rights are the reason of, the second out of scripts
    #: Redis 7 says it of a script in words alone
    RIGHTS = ("NOPERM", "ACL failure", "executing the script can't")

    def __init__(self, problem: str, hint: str, *, word: str = "") -> None:
        #: the first word of the answer, `READONLY` say
        self.word = word
        self.is_about_rights = any(words in problem for words in self.RIGHTS)
        self.passes = self.is_about_rights or any(word in problem for word in self.PASSING)
        super().__init__(f"Redis refused the command ({problem}); {hint}")


class RightsMissing(RedisRefused):
    """The Redis user lacks rights of its role; *rules* name them as ACL SETUSER takes them."""

    def __init__(self, user: str, role: str, rules: Sequence[str]) -> None:
        lacking = " ".join(rules)
        super().__init__(
            f"NOPERM user {user!r} lacks what a {role} needs: {lacking}",
            f"grant it: ACL SETUSER {user} {lacking}",
        )


class ReplyLost(UnavailableError):
    """The connection broke between a command that must not be re-sent and its reply."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the reply to {name} was lost with the connection; it may have been carried out"
        )


class ServerUnfit(StepflowError):
    """This Redis cannot carry stepflow."""


class EmbeddedServerError(StepflowError):
    """The embedded server could not be started, joined or stopped."""
