"""Tags: a few words about a run, by which lists find it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from stepflow.errors import InvalidOption, shown

#: tags of one run, and bytes of a key and of a value as UTF-8
MOST_TAGS, MOST_BYTES = 8, 64
#: a key is what a condition and a query can name without quotes
_KEY = re.compile(r"[A-Za-z0-9_.:-]+")


def write_tag(key: object, value: object) -> str:
    """
    Write one tag as `key=value`.

    Raises InvalidOption for a key of other characters than letters, digits and `_.:-`, a value with
    control characters, and for either when it is empty or over MOST_BYTES.
    """
    if not isinstance(key, str) or not isinstance(value, str):
        raise InvalidOption(f"tag {shown(key)}: {shown(value)} is not str to str")
    if not _KEY.fullmatch(key):
        raise InvalidOption(f"tag key {shown(key)} is not made of letters, digits and _.:-")
    if not value or not value.isprintable():
        raise InvalidOption(f"tag {key!r} has the value {shown(value)}; write some printable text")
    for what, text in (("key", key), ("value", value)):
        if len(text.encode()) > MOST_BYTES:
            raise InvalidOption(f"the {what} of tag {shown(key)} has over {MOST_BYTES} bytes")
    return f"{key}={value}"


def write_tags(tags: Mapping[str, str]) -> list[str]:
    """Write tags, each as `key=value`; raises InvalidOption as `write_tag`, and for too many."""
    if not tags:
        return []
    given: object = tags
    if not isinstance(given, Mapping):
        raise InvalidOption(f"tags are {shown(given)}; they are a dict of texts")
    if len(tags) > MOST_TAGS:
        raise InvalidOption(f"a run has {len(tags)} tags, the most is {MOST_TAGS}")
    items: Iterable[tuple[object, object]] = tags.items()
    return [write_tag(key, value) for key, value in items]


def read_tags(text: str) -> Mapping[str, str]:
    """Read tags as a run's data hold them, in a line each; what is none is left out."""
    parts = (line.partition("=") for line in text.split("\n"))
    return {key: value for key, sign, value in parts if sign}
