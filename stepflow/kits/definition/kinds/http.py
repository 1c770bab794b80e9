"""`http`: one request to a server, to where webhooks may go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from stepflow.errors import PermanentError, TransientError
from stepflow.hooks.body import json_text
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.kinds.base import KindInput, Text, Work
from stepflow.kits.definition.known import Known

_AGAIN = (408, 425, 429)
#: characters of an answer that an error shows
_SHOWN = 300


class HttpInput(KindInput):
    """A request."""

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    headers: dict[str, Text] = Field(default={})
    body: Any = None
    """Text as it is; anything else as JSON, times and the like as webhooks have them."""


class Http(Work):
    """
    A request.

    Its value is `{status, body}`. What says "not now" is tried again, all else fails the step.
    """

    name = "http"
    Input = HttpInput

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        del known
        url = given.get("url")
        if isinstance(url, str) and "{" not in url and not url.startswith(("http://", "https://")):
            yield ("url",), "only http:// and https:// are called"

    async def do(self, given: HttpInput, known: Known) -> Any:
        from stepflow.hooks.request import request  # noqa: PLC0415  httpx is for who calls
        from stepflow.hooks.ssrf import Allowlist  # noqa: PLC0415  as above

        settings = known.settings
        body, kind = _packed(given.body)
        answer = await request(
            given.method, given.url, kind | given.headers, body,
            allow=Allowlist.parse(settings.webhook.allow_cidrs),
            connect_s=settings.webhook.timeout_s, limit=settings.limits.payload_bytes,
        )  # fmt: skip
        text = answer.body.decode("utf-8", "replace")
        if 200 <= answer.status < 300:  # noqa: PLR2004  HTTP's own classes of answers
            return {"status": answer.status, "body": _body(text, answer.content_type)}
        raise _failure(answer.status, text, answer.retry_after_s)


def _packed(body: Any) -> tuple[bytes, dict[str, str]]:
    if body is None:
        return b"", {}
    if isinstance(body, str):
        return body.encode(), {"content-type": "text/plain; charset=utf-8"}
    return json_text(body).encode(), {"content-type": "application/json"}


def _body(text: str, content_type: str) -> Any:
    if "json" in content_type:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text or None


def _failure(status: int, text: str, wait_s: float | None) -> Exception:
    said = f": {text.strip()[:_SHOWN]}" if text.strip() else ""
    if status in {401, 403}:
        return PermanentError(
            f"the server answered {status}: it refuses the credentials. Look at the headers, and "
            f"at the variables that they take from the environment{said}",
            data={"status": status},
        )
    if status in _AGAIN or status >= 500:  # noqa: PLR2004  as above
        return TransientError(
            f"the server answered {status}{said}", retry_after=wait_s, data={"status": status}
        )
    hint = ", a redirect, and none is followed" if 300 <= status < 400 else ""  # noqa: PLR2004
    return PermanentError(f"the server answered {status}{hint}{said}", data={"status": status})
