"""
The HTTP API: what a client can do, for programs of any language.

`app` makes it an ASGI app, to be mounted into yours or served by `stepflow web`. One table of
operations makes both the routes and the OpenAPI document. Needs the extra `web`.
"""

try:
    from stepflow.web.mount import app
    from stepflow.web.triggers import triggers
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "starlette":
        raise
    sentence = "stepflow.web needs starlette: pip install 'stepflow-rq[web]'"
    raise ModuleNotFoundError(sentence, name="starlette") from None
from stepflow.web.access import Grant, everything, reading
from stepflow.web.redact import hide_secrets

__all__ = ["Grant", "app", "everything", "hide_secrets", "reading", "triggers"]
