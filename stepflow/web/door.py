"""Who comes in: the checks that a request passes before anything is read of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from starlette.requests import Request

from stepflow.web.access import Access, Grant, check_host, check_origin, granted
from stepflow.web.incoming import check_head
from stepflow.web.operation import NOBODYS


@dataclass(frozen=True, slots=True)
class Door:
    """*access* says who may do what; *hosts* are the names that the server goes by, None any."""

    access: Access
    hosts: Collection[str] | None

    async def admit(self, request: Request, right: str, *, changes: bool) -> Grant:
        """Check who asks and what for, in this order; raises RequestProblem."""
        grant = Grant(None)
        check_head(request)
        if right != NOBODYS:
            check_host(request, self.hosts)
            grant = await granted(self.access, request, right)
        if changes:
            check_origin(request)
        return grant
