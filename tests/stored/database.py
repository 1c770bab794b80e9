"""A database as JSON: what it holds, whatever wrote it and whichever server it is put back into."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

#: seconds that what had a time to live has when it is put back
TTL_S = 86_400

Sample = list[dict[str, Any]]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write(client: Any, path: Path) -> None:
    """Write all keys of a database to *path*."""
    sample: Sample = []
    for key in sorted(client.scan_iter(count=1000)):
        kind = client.type(key).decode()
        match kind:
            case "string":
                items = [client.get(key)]
            case "hash":
                items = [part for pair in sorted(client.hgetall(key).items()) for part in pair]
            case "list":
                items = client.lrange(key, 0, -1)
            case "set":
                items = sorted(client.smembers(key))
            case "zset":
                pairs = client.zrange(key, 0, -1, withscores=True)
                items = [part for name, score in pairs for part in (b"%.17g" % score, name)]
        sample.append(
            {
                "key": _text(key),
                "type": kind,
                "expires": client.ttl(key) > 0,
                "items": [_text(item) for item in items],
            }
        )
    path.write_text(json.dumps(sample, indent=0) + "\n")


def put_back(client: Any, path: Path) -> None:
    """Put the keys of a sample into an empty database."""
    commands = {"string": "SET", "hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}
    for entry in json.loads(path.read_text()):
        key = base64.b64decode(entry["key"])
        items = [base64.b64decode(item) for item in entry["items"]]
        client.execute_command(commands[entry["type"]], key, *items)
        if entry["expires"]:
            client.expire(key, TTL_S)
