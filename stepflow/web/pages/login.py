"""The way in for a browser: a token, shown once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stepflow.web.access import COOKIE, Access, Tokens, check_host, check_origin, cookie_of
from stepflow.web.door import Door
from stepflow.web.pages.forms import read_form
from stepflow.web.pages.visit import Page, Shown, Visit

#: bytes that the form may have
_FORM_BYTES = 8192
#: seconds for which a browser stays
_STAYS_S = 30 * 86_400


def pages_of(door: Door) -> tuple[Page, ...]:
    """Give the pages of the way in; there are none where the host app looks who comes."""
    access = door.access
    if not isinstance(access, Tokens):
        return ()

    async def ask(visit: Visit) -> Shown:
        check_host(visit.request, door.hosts)
        return _asked(visit)

    async def enter(visit: Visit) -> Shown | Response:
        check_host(visit.request, door.hosts)
        form = dict(await read_form(visit.request, _FORM_BYTES))
        token = form.get("token", "").strip()
        if access.grant_of(token).rights is None:
            return _asked(visit, "this token is not known", status=401)
        answer = RedirectResponse(_next(visit), 303)
        answer.set_cookie(
            COOKIE,
            cookie_of(token),
            max_age=_STAYS_S,
            path=visit.root or "/",
            secure=visit.request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def leave(visit: Visit) -> Response:
        check_origin(visit.request)
        answer = RedirectResponse(visit.url("login"), 303)
        answer.delete_cookie(COOKIE, path=visit.root or "/")
        return answer

    return (
        Page("/login", ask, right=""),
        Page("/login", enter, right="", methods=("POST",)),
        Page("/logout", leave, right="", methods=("POST",)),
    )


def _asked(visit: Visit, problem: str = "", *, status: int = 200) -> Shown:
    return Shown("login.html", {"problem": problem, "next": _place(visit)}, status, live=None)


def _place(visit: Visit) -> str:
    """Give where somebody wanted to go: a path of ours and its query."""
    place = visit.query.get("next", "")
    return place if place.startswith("/") and "\\" not in place else "/"


def _next(visit: Visit) -> str:
    return f"{visit.root}/ui{_place(visit)}"


def is_login(access: Access, request: Request) -> bool:
    """Whether somebody who may see nothing is to be asked for a token."""
    return isinstance(access, Tokens) and request.method == "GET"
