"""TLS: both connections verify the server by the name in the URL, however it was resolved."""

import asyncio
import socket
import ssl
import threading
from urllib.parse import unquote, urlsplit

import pytest
import trustme

from stepflow.errors import RedisUnreachable
from stepflow.store.calls import command, raw
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection
from stepflow.store.connection.redis_py import connect
from stepflow.store.connection.sync import SyncConnection
from tests import servers

pytestmark = pytest.mark.skipif(
    servers.KIND == "tls", reason="a proxy of its own stands before the server's socket"
)

PING = command("PING", read=raw)


def pump(there, back):
    try:
        while data := there.recv(65536):
            back.sendall(data)
    except OSError:
        pass
    finally:
        back.close()


@pytest.fixture
def tls(url, tmp_path):
    """The real server behind TLS, as `localhost`; gives the port and the file of the authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    door, wires = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                plain, _ = door.accept()
            except OSError:
                return
            try:
                wire = context.wrap_socket(plain, server_side=True)
            except OSError:
                plain.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(unquote(urlsplit(url).path))
            wires.extend((wire, server))
            for ends in ((wire, server), (server, wire)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield door.getsockname()[1], tmp_path / "ca.pem"
    door.close()
    for wire in wires:
        wire.close()


async def test_each_kind_of_connection_speaks_tls(tls):
    """[B22]"""
    port, ca = tls
    address = Address.parse(f"rediss://localhost:{port}?ssl_ca_certs={ca}")
    connection, blocking, theirs = (
        AsyncConnection(address),
        SyncConnection.to(address),
        connect(address),
    )
    await connection.open()
    assert await connection.calls([PING] * 100) == [b"PONG"] * 100
    assert await asyncio.to_thread(blocking.calls, [PING] * 100) == [b"PONG"] * 100
    assert await asyncio.to_thread(theirs.ping)
    await connection.close()
    blocking.close()
    theirs.close()


async def test_a_certificate_for_another_name_is_refused_unless_the_url_says_otherwise(tls):
    """[B22] [B10] The name is resolved in a thread; TLS still verifies the name in the URL."""
    port, ca = tls
    wrong = Address.parse(f"rediss://127.0.0.1:{port}?ssl_ca_certs={ca}")
    with pytest.raises(RedisUnreachable, match="certificate verify failed"):
        await AsyncConnection(wrong).open()
    blocking = SyncConnection.to(wrong, retry_for_s=0.0)
    with pytest.raises(RedisUnreachable, match="certificate verify failed"):
        await asyncio.to_thread(blocking.call, PING)
    for option in ("ssl_check_hostname=no", "ssl_cert_reqs=none"):
        connection = AsyncConnection(
            Address.parse(f"rediss://127.0.0.1:{port}?ssl_ca_certs={ca}&{option}")
        )
        await connection.open()
        assert await connection.call(PING) == b"PONG"
        await connection.close()
