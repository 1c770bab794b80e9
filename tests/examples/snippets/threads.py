"""What the reader of docs/how-to/threads.md has at hand."""

from pathlib import Path
from urllib.request import urlopen

from stepflow import Context, Stepflow

app = Stepflow()


async def check(h, space):
    Path("page.html").write_text("hello")
    run = await h.submit("size", Path("page.html").resolve().as_uri())
    assert await h.result(run) == 5


__all__ = ["Context", "urlopen"]
