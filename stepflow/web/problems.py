"""
What goes wrong with a request, as `application/problem+json` (RFC 9457).

Its *type* is the name of the error's class: stepflow's own, or one of these for what is wrong with
the request itself.
"""

from __future__ import annotations

from typing import Any, ClassVar

from starlette.responses import Response

from stepflow import errors
from stepflow.errors import StepflowError
from stepflow.web.written import written

#: the first row that fits gives the status of an error of stepflow's
_STATUSES: tuple[tuple[type[StepflowError], int], ...] = (
    (errors.RunNotFound, 404),
    (errors.HookNotFound, 404),
    (errors.QuestionNotFound, 404),
    (errors.BulkNotFound, 404),
    (errors.ScheduleNotFound, 404),
    (errors.LimitNotFound, 404),
    (errors.LimitFull, 429),
    (errors.GroupNotFound, 404),
    (errors.BreakerNotFound, 404),
    (errors.BudgetNotFound, 404),
    (errors.NotArchived, 404),
    (errors.RunConflict, 409),
    (errors.GroupMismatch, 409),
    (errors.RunStateError, 409),
    (errors.PayloadTooLarge, 413),
    (errors.UsageError, 422),
    (errors.WorkerSilent, 504),
    (errors.UnavailableError, 503),
    (errors.StepflowError, 500),
)

#: seconds after which a client may try again when Redis is away
_RETRY_AFTER = {"Retry-After": "1"}


class RequestProblem(Exception):
    """The request itself is wrong, whatever it asks of stepflow."""

    status: ClassVar[int] = 400
    headers: ClassVar[dict[str, str]] = {}


class BadRequest(RequestProblem):
    """Path, query, headers or body are not what the operation takes."""


class NotAuthenticated(RequestProblem):
    """The request has no token, or one that is not known."""

    status = 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}

    def __init__(self) -> None:
        super().__init__("this needs a known token; send it as `Authorization: Bearer TOKEN`")


class NotAllowed(RequestProblem):
    """Who asks may look, but not do this."""

    status = 403

    def __init__(self, verb: str) -> None:
        super().__init__(f"you may not {verb}; use a token that may")


class CrossOrigin(RequestProblem):
    """A page of another origin has a browser send a verb."""

    status = 403

    def __init__(self, origin: str) -> None:
        super().__init__(f"a page of another origin ({origin}) may not ask for this")


class NoSuchRoute(RequestProblem):
    """There is nothing at this path."""

    status = 404

    def __init__(self) -> None:
        super().__init__("there is nothing at this path; /openapi.json describes what there is")


class MethodNotAllowed(RequestProblem):
    """The path takes other methods."""

    status = 405

    def __init__(self) -> None:
        super().__init__("this path takes other methods; the header Allow names them")


class BodyTooSlow(RequestProblem):
    """The body did not arrive in time."""

    status = 408
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the body did not arrive within {limit_s:g} s")


class BodyTooLarge(RequestProblem):
    """The body has too many bytes."""

    status = 413
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over the limit of {limit:,} bytes; send a reference instead")


class NotJson(RequestProblem):
    """The body is of another type than JSON, or compressed."""

    status = 415

    def __init__(self) -> None:
        super().__init__("send the body as `Content-Type: application/json`, not compressed")


class UnknownHost(RequestProblem):
    """The request is for a host name that this server does not go by."""

    status = 421

    def __init__(self, host: str) -> None:
        super().__init__(
            f"this server does not go by the name {errors.shown(host)}; start it with "
            "--allow-host NAME"
        )


class HeadTooLarge(RequestProblem):
    """The headers have too many bytes."""

    status = 431

    def __init__(self, limit: int) -> None:
        super().__init__(f"the headers are over the limit of {limit:,} bytes")


class InternalError(RequestProblem):
    """A fault of stepflow's own."""

    status = 500

    def __init__(self) -> None:
        super().__init__("this is a fault of stepflow's own; the log of the server has more")


#: what may be wrong with any request
OF_EVERY: tuple[type[RequestProblem], ...] = (
    BadRequest, NotAuthenticated, NotAllowed, UnknownHost, HeadTooLarge, InternalError,
)  # fmt: skip
#: and with one that has a body
OF_BODY: tuple[type[RequestProblem], ...] = (BodyTooSlow, BodyTooLarge, NotJson, CrossOrigin)

Problem = type[RequestProblem] | type[StepflowError]


def status_of(kind: Problem) -> int:
    """Give the HTTP status of an error."""
    if issubclass(kind, RequestProblem):
        return kind.status
    return next(status for known, status in _STATUSES if issubclass(kind, known))


def document_of(error: RequestProblem | StepflowError) -> dict[str, Any]:
    """Give a problem as JSON carries it."""
    kind = type(error)
    title = (kind.__doc__ or kind.__name__).strip().splitlines()[0]
    retryable = isinstance(error, StepflowError) and error.retryable
    return {
        "type": kind.__name__, "title": title, "status": status_of(kind),
        "detail": str(error) or kind.__name__, "retryable": retryable,
    }  # fmt: skip


def response_of(
    error: RequestProblem | StepflowError, headers: dict[str, str] | None = None
) -> Response:
    """Answer a request with what is wrong."""
    document = document_of(error)
    of_kind = error.headers if isinstance(error, RequestProblem) else {}
    if document["status"] == status_of(errors.UnavailableError):
        of_kind = _RETRY_AFTER
    return Response(
        written(document),
        document["status"],
        {**of_kind, **(headers or {})},
        media_type="application/problem+json",
    )
