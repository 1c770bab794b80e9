"""
The servers that the whole suite can run against: `STEPFLOW_TEST_SERVER=tls python3 dev.py test
tests/story`.

Without the variable it is the embedded server, over its socket; STEPFLOW_REDIS_SERVER names another
binary for it. *tls* is one that takes TLS with client certificates on a TCP port and nothing else
(Debian's `redis-server` can, the embedded one cannot). *acl* is the first of them, and what `url`
connects to it is a user with the rights that docs/running.md gives a worker, no more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import redis
import trustme

from stepflow import embedded
from stepflow.store.connection.address import Address
from stepflow.store.connection.redis_py import connect
from stepflow.store.keys import Keys
from stepflow.store.rights import WORKER
from tests.ports import free_port
from tests.support import until_blocking

#: which of them the suite is to run against
KIND = os.environ.get("STEPFLOW_TEST_SERVER", "embedded")


@contextmanager
def test_server() -> Iterator[str]:
    """Give the URL of a server of this process's own, of the kind that is asked for."""
    folder = Path(tempfile.mkdtemp(prefix="sf"))
    try:
        with {"embedded": _embedded, "acl": _embedded, "tls": _tls}[KIND](folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_worker(admin: redis.Redis, url: str) -> str:
    """Make the Redis user of a worker, and give the URL to connect as it."""
    rules = WORKER.rules(Keys())
    admin.execute_command(
        "ACL",
        "SETUSER",
        "tested",
        "reset",
        "on",
        ">pw",
        "resetkeys",
        "resetchannels",
        "-@all",
        *rules,
    )
    return f"{url}{'&' if '?' in url else '?'}username=tested&password=pw"


@contextmanager
def _embedded(folder: Path) -> Iterator[str]:
    yield embedded.ensure(folder).url
    embedded.stop(folder)
    embedded.release(folder)


@contextmanager
def _tls(folder: Path) -> Iterator[str]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("server", "client"):
        made = authority.issue_cert("localhost", "127.0.0.1", common_name=name)
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    port = free_port()
    binary = os.environ.get("STEPFLOW_REDIS_SERVER") or shutil.which("redis-server")
    assert binary, (
        "a server that takes TLS is needed: install Debian's redis-server, or set "
        "STEPFLOW_REDIS_SERVER"
    )
    process = subprocess.Popen(
        [
            binary,
            "--port",
            "0",
            "--tls-port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--tls-auth-clients",
            "yes",
            "--tls-ca-cert-file",
            "ca.pem",
            "--tls-cert-file",
            "server.pem",
            "--tls-key-file",
            "server.key",
            "--appendonly",
            "yes",
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
            "--logfile",
            "server.log",
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    files = {"ssl_ca_certs": "ca.pem", "ssl_certfile": "client.pem", "ssl_keyfile": "client.key"}
    options = "&".join(
        f"{name}={quote(str(folder / file), safe='/')}" for name, file in files.items()
    )
    url = f"rediss://localhost:{port}/0?{options}"
    try:
        _wait(url, process, folder / "server.log")
        yield url
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    client = connect(Address.parse(url))
    try:
        until_blocking(
            lambda: process.poll() is not None or _answers(client), "the server does not answer"
        )
    finally:
        client.close()
    assert process.poll() is None, f"the server ended: {log.read_text() if log.exists() else ''}"


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
