"""Style, scripts and icons: served under a name that changes with them, so browsers keep them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}


@cache
def _files() -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES
    }


@cache
def tag() -> str:
    """Name the files as they are."""
    digest = hashlib.sha256()
    for name, content in _files().items():
        digest.update(name.encode() + content)
    return digest.hexdigest()[:12]


async def serve(request: Request) -> Response:
    """Give a file; they are the same for everybody, and say nothing of any run."""
    name = request.path_params["name"]
    content = _files().get(name)
    if content is None:
        return Response("there is no such file", 404, media_type="text/plain")
    return Response(content, headers=_HEADERS, media_type=_TYPES[Path(name).suffix])
