"""Redis: it does not answer or refuses, it is unfit, or the embedded one does not start."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.errors.base import StepflowError
from stepflow.shell import to_type


class UnavailableError(StepflowError):
    """Nothing is wrong with your call: try it again."""

    retryable = True


class RedisUnreachable(UnavailableError):
    """Redis did not answer for `STEPFLOW_REDIS_RETRY_FOR_S` seconds."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"Redis at {url} does not answer ({problem}); start it or correct the URL")


class RedisRefused(UnavailableError):
    """
    Redis refused the command: out of memory, read-only, loading, no permission.

    *passes* is True when the reason lies with the server: the same call may succeed later.
    """

    #: the words of refusals that pass, at the start of an answer or after a script's own words
    PASSING = ("OOM", "MISCONF", "NOREPLICAS", "READONLY", "LOADING", "MASTERDOWN", "BUSY")
    #: the words of refusals for want of rights; the second and third come out of scripts
    RIGHTS = ("NOPERM", "ACL failure", "executing the script can't")

    def __init__(self, problem: str, hint: str, *, word: str = "") -> None:
        #: the first word of the answer, `READONLY` say
        self.word = word
        self.is_about_rights = any(words in problem for words in self.RIGHTS)
        self.passes = self.is_about_rights or any(word in problem for word in self.PASSING)
        super().__init__(f"Redis refused the command ({problem}); {hint}")


class RightsMissing(RedisRefused):
    """The Redis user lacks rights that its role needs; *rules* are for `ACL SETUSER`."""

    def __init__(self, user: str, role: str, rules: Sequence[str]) -> None:
        lacking = " ".join(rules)
        super().__init__(
            f"NOPERM user {user!r} lacks what a {role} needs: {lacking}",
            f"grant it: ACL SETUSER {user} {lacking}",
        )


class ReplyLost(UnavailableError):
    """The connection broke before the reply to a command that must not be sent twice."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the reply to {name} was lost with the connection; it may have been carried out"
        )


class NotConfirmed(ReplyLost):
    """A write was carried out, and the server did not confirm in time that it will last."""

    def __init__(self, name: str, place: str, waited_s: float) -> None:
        UnavailableError.__init__(
            self,
            f"{name} was carried out, but Redis did not confirm within {waited_s:.1f} s that it is "
            f"{place}; ask again, the same call is not carried out twice",
        )


class WorkerSilent(UnavailableError):
    """The worker that has the run did not answer in time what it is doing for it."""

    def __init__(self, run_id: str, worker: str, limit_s: float) -> None:
        self.worker = worker
        super().__init__(
            f"worker {worker} has run {run_id!r} and did not answer within {limit_s:g} s; "
            f"`{to_type('why', run_id)}` says whether it is alive"
        )


class ServerUnfit(StepflowError):
    """This Redis cannot be used: it is too old, or a Cluster."""


class EmbeddedServerError(StepflowError):
    """The embedded server could not be started, joined or stopped."""


class NoServer(EmbeddedServerError):
    """No Redis URL is set, and no embedded server runs here that this call could join."""

    def __init__(self, folder: object, *, is_off: bool) -> None:
        self.folder = folder
        super().__init__(
            "STEPFLOW_REDIS_URL is not set, and STEPFLOW_EMBEDDED=0 forbids the embedded server; "
            "set STEPFLOW_REDIS_URL to the URL of your Redis"
            if is_off
            else "no server runs here; STEPFLOW_REDIS_URL is not set. Set it to the URL of your "
            f"Redis, or start `stepflow dev` or a worker where {folder} is the data's folder"
        )
