"""A limit with its key in a path: keys may have slashes, which other parts of paths have not."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor

#: what a route calls it; one of our own, for all apps of a process share such names
KIND = "stepflow_limit"


class LimitConvertor(Convertor[str]):
    """Finds `stripe` and `stripe[acme/eu]` in a path, which is decoded by then."""

    regex = r"[^/\[]+(?:\[.*\])?"

    def convert(self, value: str) -> str:
        """Give it as it stands."""
        return value

    def to_string(self, value: str) -> str:
        """Write it as it is."""
        return value


register_url_convertor(KIND, LimitConvertor())


def routed(path: str) -> str:
    """Give the path of an operation as a route has it."""
    return path.replace("{limit}", f"{{limit:{KIND}}}")
