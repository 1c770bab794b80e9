"""`tool`: a function of the app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from stepflow.errors import PermanentError
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.kinds.base import KindInput, Work, registered, unknown
from stepflow.kits.definition.known import Known


class ToolInput(KindInput):
    """A call of a function that is registered with `@app.tool`."""

    tool: str
    args: dict[str, Any] = Field(default={})


class ToolKind(Work):
    """A call of a function; its value is what that returns."""

    name = "tool"
    Input = ToolInput

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        name, args = given.get("tool"), given.get("args", {})
        if not isinstance(name, str) or "{" in name or not known.is_app:
            return
        tool = known.tools.get(name)
        if tool is None:
            yield ("tool",), _unknown(name, known)
        elif isinstance(args, Mapping):
            problem = tool.problem(args)
            if problem is not None:
                yield ("args",), f"tool {name!r} cannot be called with them: {problem}"

    async def do(self, given: ToolInput, known: Known) -> Any:
        tool = known.tools.get(given.tool)
        if tool is None:
            raise PermanentError(_unknown(given.tool, known))
        return await tool.call(given.args)


def _unknown(name: str, known: Known) -> str:
    return unknown("tool", name, list(known.tools), registered("with @app.tool"))
