"""What arrives: bodies within their limits, queries and bodies held against their models."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from stepflow.core.ids import whole_number
from stepflow.errors import shown
from stepflow.hooks.body import MAX_DEPTH
from stepflow.strict_json import parse_json
from stepflow.web.problems import BadRequest, BodyTooLarge, BodyTooSlow, HeadTooLarge, NotJson

M = TypeVar("M", bound=BaseModel)

#: bytes that the head of a request may have
HEAD_BYTES = 32_768
#: bytes that a body may have beside its payload
AROUND_PAYLOAD = 65_536
#: seconds that a body has to arrive
BODY_S = 10.0
#: what is said of a misfit
_MOST_SAID = 3


def check_head(request: Request) -> None:
    """Refuse a request whose headers are over HEAD_BYTES."""
    if sum(len(name) + len(value) + 4 for name, value in request.headers.raw) > HEAD_BYTES:
        raise HeadTooLarge(HEAD_BYTES)


async def read_body(request: Request, model: type[M], limit: int) -> M:
    """Read the JSON of a request into *model*; without a body, what the model is without one."""
    raw = await receive(request, limit)
    if not raw:
        return fit(model, {}, "body")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise NotJson
    return fit(model, parse(raw), "body")


async def receive(request: Request, limit: int) -> bytes:
    """Receive a body of at most *limit* bytes, within BODY_S; raises RequestProblem."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise NotJson
    announced = request.headers.get("content-length", "")
    length = whole_number(announced)
    if announced.isdecimal() and (length is None or length > limit):
        raise BodyTooLarge(limit)
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                raw += part
                if len(raw) > limit:
                    raise BodyTooLarge(limit)
    except TimeoutError:
        raise BodyTooSlow(BODY_S) from None
    except ClientDisconnect:
        msg = "the body ended early"
        raise BadRequest(msg) from None
    return bytes(raw)


def parse(raw: bytes) -> Any:
    """Parse JSON; raises BadRequest for what is none, too deep, or no Unicode."""
    try:
        value = parse_json(raw.decode())
    except RecursionError:
        msg = "the body is nested too deeply"
        raise BadRequest(msg) from None
    except ValueError as error:
        msg = f"the body is not JSON: {error}"
        raise BadRequest(msg) from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """Refuse what is nested over MAX_DEPTH, and texts with half a surrogate pair."""
    left = [(value, 0)]
    while left:
        part, depth = left.pop()
        if depth > MAX_DEPTH:
            msg = f"the body is nested deeper than {MAX_DEPTH} levels"
            raise BadRequest(msg)
        if isinstance(part, str) and not _is_unicode(part):
            msg = "the body has a text with half a surrogate pair, which is no valid Unicode"
            raise BadRequest(msg)
        if isinstance(part, dict):
            left += [(key, depth + 1) for key in part]
            left += [(held, depth + 1) for held in part.values()]
        elif isinstance(part, list):
            left += [(held, depth + 1) for held in part]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_query(request: Request, model: type[M]) -> M:
    """Read the query of a request into *model*; only lists may come more than once."""
    lists = {name for name, part in model.model_fields.items() if part.default_factory is list}
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            msg = f"query: {name} may come only once"
            raise BadRequest(msg)
        else:
            found[name] = value
    return fit(model, found, "query")


def fit(model: type[M], value: Any, what: str) -> M:
    """Hold *value*, the *what* of a request, against its model; raises BadRequest."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        said = "; ".join(
            f"{'.'.join([what, *map(str, each['loc'])])}: {each['msg']}"
            for each in problems[:_MOST_SAID]
        )
        raise BadRequest(said.encode("utf-8", "replace").decode()) from None
    except RecursionError:
        msg = f"the {what} {shown(value)} is nested too deeply"
        raise BadRequest(msg) from None
