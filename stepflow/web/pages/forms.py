"""Forms, as browsers send them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from stepflow.web.incoming import receive
from stepflow.web.problems import BadRequest, RequestProblem

#: fields that a form may have: a page of rows, and some more
_MOST_FIELDS = 1200


class NotForm(RequestProblem):
    """The body is not what a form of these pages sends."""

    status = 415

    def __init__(self) -> None:
        super().__init__("send the form as `application/x-www-form-urlencoded`")


async def read_form(request: Request, limit: int) -> list[tuple[str, str]]:
    """Read the fields of a form that are not empty, in their order; raises RequestProblem."""
    raw = await receive(request, limit)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and kind != "application/x-www-form-urlencoded":
        raise NotForm
    try:
        return parse_qsl(raw.decode(), max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        msg = "the form cannot be read"
        raise BadRequest(msg) from None
