"""A store for large values in a bucket of S3, or of an object store that speaks as S3 does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from stepflow.store.offload.blobs import Blob

#: for one request, of which a large value needs several: what is slower is away
_CLIENT: dict[str, Any] = {"connect_timeout": "5s", "timeout": "120s", "allow_http": True}
#: a request that failed is sent again at once; whoever asks is patient, or says so
_RETRIES: dict[str, Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}
#: paths that are deleted at once
_AT_ONCE = 500
#: the code in an answer of S3, and the one that says that there is no such bucket
_CODE, _NO_BUCKET = re.compile(r"<Code>(\w+)</Code>"), "NoSuchBucket"


class ObjectStore:
    """
    Objects below a URL such as `s3://bucket/prefix`.

    Where it is and who asks is in the environment, as the tools of AWS have it.
    """

    def __init__(self, url: str) -> None:
        self._store = from_url(url, client_options=_CLIENT, retry_config=_RETRIES)  # type: ignore[call-overload]
        self.shown = url

    def write(self, path: str, data: bytes) -> None:
        """Write *data* at *path*: all of it or nothing, and durable on return."""
        with _as_os_errors():
            obstore.put(self._store, path, data)

    def read(self, path: str) -> bytes:
        """Read what is at *path*."""
        with _as_os_errors():
            return obstore.get(self._store, path).bytes().to_bytes()

    def folders(self, path: str) -> Iterator[str]:
        """List the folders directly below *path*, by their names."""
        with _as_os_errors():
            found = obstore.list_with_delimiter(self._store, path)["common_prefixes"]
        return (folder.rpartition("/")[2] for folder in found)

    def blobs(self, path: str) -> Iterator[Blob]:
        """List all that is below *path*, at any depth."""
        with _as_os_errors():
            for page in obstore.list(self._store, path):
                for found in page:
                    yield Blob(found["path"], found["last_modified"].timestamp())

    def delete(self, paths: Iterable[str]) -> None:
        """Delete what is there of *paths*."""
        left = iter(paths)
        while some := list(islice(left, _AT_ONCE)):
            with _as_os_errors():
                obstore.delete(self._store, some)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise what the library raises as an OSError, in one line."""
    try:
        yield
    except FileNotFoundError as error:
        if _NO_BUCKET in str(error):
            raise OSError(_in_a_line(error)) from error
        raise FileNotFoundError(_in_a_line(error)) from error
    except BaseError as error:
        raise OSError(_in_a_line(error)) from error


def _in_a_line(error: Exception) -> str:
    """Say what is wrong without the answer's body, but for the code in it."""
    text = str(error)
    code = _CODE.search(text)
    line = text.partition("\n")[0].partition(": <?xml")[0]
    return f"{line} ({code[1]})" if code else line
