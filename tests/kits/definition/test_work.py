"""The kinds of work by themselves: requests and programs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from stepflow import PermanentError, Settings, StepError, TransientError
from stepflow.kits.definition.kinds.http import Http, HttpInput
from stepflow.kits.definition.kinds.reaper import Reaper
from stepflow.kits.definition.kinds.script import Script, ScriptInput
from stepflow.kits.definition.known import Known
from tests.support import until, until_blocking


class Server(BaseHTTPRequestHandler):
    """Answers with the status in the path, and says what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(int(self.path.strip("/")))
        self.send_header("content-type", "application/json")
        self.send_header("retry-after", "7")
        self.send_header("location", "/200")
        self.end_headers()
        said = self.headers["x-token"] or ""
        self.wfile.write(b'{"said": "%s", "sent": %s}' % (said.encode(), body or b"null"))

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def known(*cidrs: str, limit: int = 1000) -> Known:
    settings = Settings(webhook={"allow_cidrs": cidrs}, limits={"payload_bytes": limit})
    return Known(settings, has_scripts=True)


async def called(url: str, **given: Any) -> Any:
    given = {"url": url, "method": "POST", **given}
    return await Http().do(HttpInput(**given), known("127.0.0.0/8"))


async def test_an_answer_is_its_status_and_its_body(api: str) -> None:
    """[D6] JSON is read; what is sent is written as JSON."""
    found = await called(f"{api}/200", headers={"X-Token": "t"}, body={"n": 1})
    assert found == {"status": 200, "body": {"said": "t", "sent": {"n": 1}}}


async def test_a_name_with_an_address_that_refuses_is_called_at_the_next(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[D6] As where IPv6 leads nowhere: webhooks went on to the next address, these did not."""

    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    monkeypatch.setattr("stepflow.hooks.request._lookup", lookup)
    named = api.replace("127.0.0.1", "api.example")
    assert (await called(f"{named}/200"))["status"] == 200


#: values that JSON has no form for, and what is written of them
ODD = [datetime(2026, 11, 27, tzinfo=UTC), Decimal("0.10"), b"\0", {1, 2}, float("nan")]
WRITTEN = ["2026-11-27T00:00:00+00:00", "0.10", "AA==", [1, 2], None]


async def test_what_json_has_no_form_for_is_sent_as_webhooks_have_it(api: str) -> None:
    """[D6] Tools return such values; Python's own error failed the step."""
    found = await called(f"{api}/200", body={"odd": ODD, "big": 2**70})
    assert found["body"]["sent"]["odd"] == WRITTEN
    assert await run(argv=["cat"], stdin={"odd": ODD}) == {"odd": WRITTEN}
    whole = await called(f"{api}/200", body={"big": 2**70})
    assert whole["body"]["sent"] == {"big": 2**70}, "what has a form has it as it is"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_not_now_is_tried_again_after_what_the_server_asks_for(api: str, status: int) -> None:
    """[D6]"""
    with pytest.raises(TransientError, match=f"answered {status}") as caught:
        await called(f"{api}/{status}")
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "credentials"), (403, "credentials"), (404, "answered 404"), (302, "redirect")],
)
async def test_all_else_fails_for_good(api: str, status: int, said: str) -> None:
    """[D6] Refused credentials are called so; no redirect is followed."""
    with pytest.raises(PermanentError, match=said) as caught:
        await called(f"{api}/{status}")
    assert caught.value.data == {"status": status}


async def test_a_request_goes_only_where_webhooks_may(api: str) -> None:
    """[D6]"""
    with pytest.raises(PermanentError, match=r"is in 127\.0\.0\.0/8, loopback"):
        await Http().do(HttpInput(url=api), known())
    with pytest.raises(TransientError, match="no answer from"):
        await called("http://127.0.0.1:9/")


async def run(limit: int = 1000, **given: Any) -> Any:
    return await Script().do(ScriptInput(**given), known(limit=limit))


async def test_a_program_prints_json_or_text() -> None:
    """[D6] It sees nothing of the worker's environment but what it is given."""
    os.environ["STEPFLOW_TEST_SECRET"] = "no"
    try:
        found = await run(bash="cat; echo $1-$N${STEPFLOW_TEST_SECRET-}", args=["a"], env={"N": 7})
    finally:
        del os.environ["STEPFLOW_TEST_SECRET"]
    assert found == {"output": "a-7"}
    assert await run(argv=["cat"], stdin={"a": [1]}) == {"a": [1]}


async def test_what_is_nested_too_deeply_to_be_read_is_text(api: str) -> None:
    """[D6] What was done is done: it is no error that has the step tried again."""
    deep = "[" * 100_000
    given = HttpInput(url=f"{api}/200", method="POST", body=deep)
    found = await Http().do(given, known("127.0.0.0/8", limit=10**6))
    assert found["body"] == f'{{"said": "", "sent": {deep}}}'
    program = f"import sys; sys.stdout.write({deep[:1]!r} * {len(deep)})"
    assert await run(10**6, argv=[sys.executable, "-c", program]) == {"output": deep}


async def test_a_program_that_fails_says_how() -> None:
    """[D6] By its exit code and the end of its standard error."""
    with pytest.raises(StepError, match="exit code 3: no such luck") as caught:
        await run(bash="echo no such luck >&2; exit 3")
    assert caught.value.data["exit_code"] == 3
    with pytest.raises(PermanentError, match="'nowhere' cannot be run"):
        await run(argv=["nowhere"])
    with pytest.raises(PermanentError, match="printed over 10 bytes"):
        await run(10, argv=["yes"])
    with pytest.raises(PermanentError, match="runs no scripts"):
        await Script().do(ScriptInput(argv=["ls"]), Known(Settings()))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


STUBBORN = "trap '' TERM; bash -c \"trap '' TERM; echo \\$\\$ > $1; sleep 1000\" & wait; sleep 1000"


@pytest.mark.crash
async def test_a_child_that_ignores_sigterm_ends_with_its_process_group(tmp_path: Path) -> None:
    """[D6] When the step is cancelled, or its time is up: neither it nor its child is left."""
    note = tmp_path / "pid"
    step = asyncio.ensure_future(run(bash=STUBBORN, args=[str(note)]))
    while not (note.exists() and note.read_text().strip()):
        await asyncio.sleep(0.01)
    pid = int(note.read_text())
    assert is_alive(pid)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    until_blocking(lambda: not is_alive(pid))


async def test_one_that_is_cancelled_while_it_begins_ends_with_its_process_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    [D6] Was: asyncio killed it alone, and waited for its child, which held its pipes; later the
    step was over before its program was, which a loop that ended then left behind.
    """
    note, may_connect = tmp_path / "pid", asyncio.Event()
    connect = asyncio.BaseEventLoop.connect_read_pipe

    async def late(*given: Any) -> Any:
        await may_connect.wait()
        return await connect(*given)

    monkeypatch.setattr(asyncio.BaseEventLoop, "connect_read_pipe", late)
    for times in (1, 2):
        may_connect.clear()
        step = asyncio.ensure_future(run(bash=STUBBORN, args=[str(note)]))
        await until(lambda: note.exists() and note.read_text().strip())
        pid = int(note.read_text())
        program = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for _ in range(times):
            step.cancel()
            await asyncio.sleep(0.05)
        may_connect.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(step, 60)
        assert not Path(f"/proc/{program}").exists()
        await until(lambda pid=pid: not is_alive(pid))
        note.unlink()


@pytest.mark.crash
async def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """[D6] Also when it ends well; and its output is not waited for."""
    note = tmp_path / "pid"
    found = await run(bash=f"sleep 1000 & echo $! > {note}; echo done")
    assert found == {"output": "done"}
    pid = int(note.read_text())
    until_blocking(lambda: not is_alive(pid))


IN_A_WORKER = """
import asyncio, sys
from stepflow.kits.definition.kinds.reaper import Reaper
from stepflow.kits.definition.kinds.script import run_program
asyncio.run(run_program(["bash", "-c", sys.argv[1], "script", sys.argv[2]], {}, b"", 1000))
"""


@pytest.mark.crash
def test_a_program_and_its_children_end_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    """[D6] Also those that ignore SIGTERM; and what holds them together leaves nothing behind."""
    note, temp = tmp_path / "pid", tmp_path / "temp"
    temp.mkdir()
    worker = subprocess.Popen(
        [sys.executable, "-c", IN_A_WORKER, STUBBORN, str(note)],
        env={**os.environ, "TMPDIR": str(temp)},
    )
    try:
        until_blocking(lambda: note.exists() and note.read_text().strip())
        pid = int(note.read_text())
        [group] = [int(noted.name) for noted in temp.glob("*/*")]
        assert is_alive(pid)
        assert os.getpgid(pid) == group
    finally:
        worker.kill()
        worker.wait()
    until_blocking(lambda: not is_alive(pid))
    until_blocking(lambda: not is_alive(group))
    until_blocking(lambda: not list(temp.iterdir()))


@pytest.mark.crash
def test_a_program_that_comes_after_its_worker_was_reaped_does_not_begin(tmp_path: Path) -> None:
    """[D6]"""
    keeper = Reaper()
    command = keeper.begin(["touch", str(tmp_path / "begun")])
    keeper.let_go()
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode
    assert not (tmp_path / "begun").exists()
