"""`stepflow web` as a program [O18]."""

import asyncio
import socket
import subprocess
import sys

import httpx
import pytest
from click.testing import CliRunner

from stepflow.cli.main import cli
from tests.web.conftest import ROOT

TOKEN = "0123456789abcdef"


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_it_listens_beyond_this_machine_with_a_token_only(url, host):
    """[O18]"""
    result = CliRunner().invoke(cli, ["--redis-url", url, "web", "--host", host, "--port", "0"])
    assert result.exit_code == 2
    assert "--token-file" in result.output


def test_it_serves_bearers_of_its_tokens_and_leaves_at_sigterm(serve, tmp_path):
    """[O18] [O20] Read tokens and the others; in words, and with exit code 0."""
    (tmp_path / "tokens").write_text(f"ann {TOKEN}\n")
    process = serve("--host", "0.0.0.0", "--token-file", "tokens", "--allow-host", "ops.test")
    url = process.stdout.readline().split()[3].rstrip(":").replace("0.0.0.0", "127.0.0.1")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=url) as http:
        assert http.get("/runs").status_code == 401
        assert http.get("/runs", headers=headers).json()["runs"] == []
        assert http.get("/runs", headers={**headers, "Host": "ops.test"}).status_code == 200
        assert http.get("/runs", headers={**headers, "Host": "evil.test"}).status_code == 421
        too_long = http.get("/runs", headers={**headers, "X-Long": "x" * 40_000})
        assert too_long.status_code == 431
        process.terminate()
        assert ended(process) == (0, "")


@pytest.mark.crash
async def test_open_streams_are_told_and_end_within_seconds_of_sigterm(serve, client):
    """[O20] A hundred of them; uvicorn would log an error had it to cut one off after 2 s."""
    client.submit("later", run_id="r-1")
    process = serve()
    url = process.stdout.readline().split()[3].rstrip(":")
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as http:
        streams = [
            await http.send(http.build_request("GET", f"/runs/r-1/{kind}"), stream=True)
            for kind in ("output", "events") * 50
        ]
        texts = [stream.aiter_text() for stream in streams]
        for text in texts:
            assert (await anext(text)).startswith("retry: 1000\n\n")
        process.terminate()
        ends = await asyncio.gather(*(rest(text) for text in texts))
    assert ended(process) == (0, "")
    assert {end.endswith(": this server leaves; come back\n\n") for end in ends} == {True}


async def rest(parts):
    return "".join([part async for part in parts])


APP = """
from stepflow import Stepflow

app = Stepflow()
app.definitions("flows")
"""
FLOW = """
name: paid
triggers:
  - {on: webhook, path: shop/paid, auth: bearer, secret_env: SHOP_SECRET, input: "{event.n}"}
steps:
  - {id: a, kind: checkpoint, input: {name: x}}
"""


@pytest.mark.crash
def test_it_takes_the_webhooks_that_begin_definitions_of_its_app(
    serve, client, tmp_path, monkeypatch
):
    """[D9] Whatever host the sender knows it by, and with no token of the server's own."""
    monkeypatch.setenv("SHOP_SECRET", TOKEN)
    (tmp_path / "tokens").write_text("0123456789abcdef0\n")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "paid.yaml").write_text(FLOW)
    (tmp_path / "shop.py").write_text(APP)
    process = serve("--token-file", "tokens", "shop:app")
    line = process.stdout.readline()
    url = line.split()[3].rstrip(":")
    assert line.endswith(f"webhooks of definitions go to {url}/triggers/\n")
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "shop.test"}
    with httpx.Client(base_url=url, timeout=60) as http:
        taken = http.post("/triggers/shop/paid", json={"n": 7}, headers=headers)
        assert (taken.status_code, client.status(taken.json()["id"]).state) == (202, "pending")
        assert http.post("/triggers/shop/paid", headers={"Host": "x"}).status_code == 401
        assert http.post("/triggers/nowhere", headers=headers).status_code == 404
        process.terminate()
        assert ended(process) == (0, "")


def test_a_port_that_is_taken_is_said_in_words(url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(cli, ["--redis-url", url, "web", "--port", port])
    assert result.exit_code == 1
    assert f"cannot listen at 127.0.0.1 port {port}" in result.output


def test_without_the_extra_it_says_what_to_install():
    code = (
        "import sys; sys.modules['starlette'] = None; sys.argv = ['stepflow', 'web']; "
        "from stepflow.cli import main; main()"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, "pip install 'stepflow-rq[web]'" in ended.stderr) == (2, True), ended
