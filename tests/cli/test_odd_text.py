"""
Odd text and odd values at the command line: a sentence and an exit code, never a traceback, nothing
half done.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from stepflow import Client, Context, Stepflow, Succeed
from stepflow.cli.main import cli
from stepflow.errors import InvalidOption, QuestionNotFound, UsageError
from stepflow.testing import Harness
from stepflow.testing.server import FakeServer
from tests.support import dump

BYTES = "\udcff"  # what the shell hands on as $'\xff'

ODD_ARGUMENTS = [
    ("submit", BYTES), ("submit", "a", f'"{BYTES}"'), ("submit", "a", "1", "--id", BYTES),
    ("show", BYTES), ("cancel", "a", "--reason", BYTES),
    ("submit", "a", "1", "--header", f"k={BYTES}"), ("signal", "a", BYTES),
    ("signal", "a", "go", "1", "--dedup", BYTES), ("fork", "a", "--at", BYTES),
    ("answer", BYTES, "1"), ("list", "--runner", BYTES), ("list", "--cursor", BYTES),
    ("hooks", "redeliver", BYTES), ("--namespace", BYTES, "list"),
    ("result", "a", "--timeout", BYTES), ("export", BYTES),
]  # fmt: skip


@pytest.mark.parametrize("arguments", ODD_ARGUMENTS, ids=lambda arguments: arguments[0])
def test_an_argument_that_is_no_text_is_refused_in_a_sentence(run, real, arguments):
    """[B17]"""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not valid text" in result.stderr
    assert dump(real) == {}


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "part"),
    [
        (("submit", "a", DEEP), None, 2, "nested too deeply"),
        (("submit", "a", "-"), DEEP, 2, "nested too deeply"),
        (("submit", "a", "-"), "[" * 2000 + "]" * 2000, 2, "nested"),
        (("submit", "a", "1" * 5000), None, 2, "this is not JSON"),
        (("submit", "a", '"\\ud800"'), None, 2, "not valid Unicode"),
        (("submit", "a", '{"\\udfff": 1}'), None, 2, "not valid Unicode"),
        (("signal", "a", "go", DEEP), None, 2, "nested too deeply"),
        (("answer", "nobody", "1"), None, 5, "there is no open question 'nobody'"),
        (("answer", "a.b.c", "1"), None, 5, "there is no open question"),
        (("answer", "a." + "0" * 20, "1"), None, 5, "there is no open question"),
        (("answer", "", "1"), None, 5, "there is no open question"),
        (("answer", "x" * 100_000, "1"), None, 5, "…"),
        (("answer", "a.b", DEEP), None, 2, "nested too deeply"),
        (("submit", "a\0b", "1"), None, 2, "is not valid"),
        (("signal", "a", "\0"), None, 5, "there is no run"),
        (("list", "--runner", "\0"), None, 0, "no such runs"),
        (("limits", "set", "a", "--concurrency", "\u00b2"), None, 2, "concurrency of limit 'a' is"),
        (("limits", "set", "a", "--concurrency", "9" * 5000), None, 2, "concurrency of limit 'a'"),
        (("budgets", "set", "a", "--tokens", "9" * 5000), None, 2, "is no number of tokens"),
    ],
)
def test_odd_values_are_one_sentence_and_nothing_is_written(
    run, real, arguments, stdin, code, part
):
    """[B17]"""
    result = run(*arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (code, "")
    assert part in result.stderr
    assert len(result.stderr) < 1000
    assert dump(real) == {}


async def test_values_that_json_cannot_carry_are_exported_and_check_reads_them(
    app: Stepflow, aclient, working, run, tmp_path
):
    """[B17] Was: an int of 5,000 digits ended the export with a traceback."""

    async def huge() -> int:
        return 10**5000

    @app.workflow("huge")
    async def workflow(ctx: Context) -> object:
        return [await ctx.step("huge", huge), {"deep": 10**5000}]

    async with working(app):
        submitted = await aclient.submit("huge", {"n": -(10**5000)}, run_id="h")
        await submitted.wait(60)
    for verb in ("show", "result"):
        result = run(verb, "h")
        assert (result.exit_code, "0x" in result.stdout) == (0, True)
    assert run("list", "--json").exit_code == 0
    exported = run("export", "h")
    assert exported.exit_code == 0
    document = json.loads(exported.stdout)
    assert any("int of 16,610 bits" in entry.get("shown", "") for entry in document["journal"])
    (tmp_path / "h.json").write_text(exported.stdout)
    (tmp_path / "deep.json").write_text(DEEP)
    (tmp_path / "odd.json").write_text(
        json.dumps({**document, "run": {**document["run"], "created_at": "x"}})
    )
    (tmp_path / "oddapp.py").write_text(
        "from stepflow import Stepflow\napp = Stepflow()\nasync def huge(): ...\n"
        "@app.workflow('huge')\nasync def w(ctx):\n    return [await ctx.step('huge', huge), 1]\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        checked = await asyncio.to_thread(run, "check", "oddapp:app", str(tmp_path))
    finally:
        sys.path.remove(str(tmp_path))
    assert checked.exit_code == 1
    assert checked.stdout.count("this is not a history") == 2
    assert "fits     " in checked.stdout


@pytest.mark.crash  # a process for each
def test_a_terminal_of_any_encoding_is_written_to(program, client: Client):
    """[B17]"""
    client.submit("a", {"name": "Zoë 🦉"}, run_id="r", headers={"k": "ü"})
    for encoding in ("ascii", "utf-8"):
        shown = program("show", "r", PYTHONIOENCODING=encoding)
        assert shown.returncode == 0, shown.stderr
        told = program("show", "r", "--json", PYTHONIOENCODING=encoding)
        assert told.returncode == 0, told.stderr
    exported = program("export", "r", PYTHONIOENCODING="ascii")
    assert json.loads(exported.stdout)["input"]["value"] == {"name": "Zoë 🦉"}
    client.cancel("r")


@pytest.mark.crash
def test_bytes_of_the_shell_reach_nobody(program):
    """[B17]"""
    result = program("fork", "a", "--at", BYTES)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


def test_a_bug_of_ours_is_one_sentence_with_a_hint_and_a_traceback_on_demand(monkeypatch):
    """[B17]"""

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("stepflow.cli.context.CliContext.settings", broken)
    result = CliRunner().invoke(cli, ["list"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: unexpected ZeroDivisionError: division by zero; this is a fault of stepflow's own, "
        "STEPFLOW_DEBUG=1 shows where\n"
    )
    monkeypatch.setenv("STEPFLOW_DEBUG", "1")
    assert isinstance(CliRunner().invoke(cli, ["list"]).exception, ZeroDivisionError)


@pytest.mark.crash  # a process for each
def test_a_setting_that_is_no_time_is_named_by_its_variable(program):
    """[B14]"""
    result = program("list", STEPFLOW_WORKER_LEASE_S="inf")
    assert (result.returncode, result.stdout) == (2, "")
    assert "STEPFLOW_WORKER_LEASE_S" in result.stderr
    for lease in ("0", "inf", "1e30", "100000d", "2d"):
        assert program("worker", "capp:app", "--lease", lease).returncode == 2


ODD_CALLS = {
    "status": lambda client: client.status(BYTES),
    "wait": lambda client: client.wait(BYTES, 1),
    "cancel": lambda client: client.cancel("\ud800"),
    "signal": lambda client: client.signal(BYTES, "go"),
    "kv": lambda client: client.kv("a", "\ud800"),
    "fork": lambda client: client.fork("a", BYTES),
    "history": lambda client: client.history(BYTES),
    "list": lambda client: client.list(runner=BYTES),
    "hooks": lambda client: client.hooks(BYTES),
    "redeliver": lambda client: client.redeliver(BYTES),
    "submit": lambda client: client.submit("a", run_id=BYTES),
    "submit int": lambda client: client.submit(10**5000, run_id=10**5000),
    "headers": lambda client: client.submit("a", headers={BYTES: "x"}),
}


@pytest.mark.parametrize("way", ["real", "fake"])
@pytest.mark.parametrize("call", ODD_CALLS)
def test_a_call_with_odd_text_raises_what_says_so(client: Client, real, call, way):
    """[B17] Over a connection and over the fake server alike."""
    used = (
        client
        if way == "real"
        else Client(connection=FakeServer().connection, settings=client.settings)
    )
    with pytest.raises(UsageError) as caught:
        ODD_CALLS[call](used)
    assert len(str(caught.value).encode()) < 1000
    assert dump(real) == {}


@pytest.mark.parametrize(
    "token", [BYTES, "", ".", "a", 5, None, "a." + "g" * 20, "\ud800." + "0" * 20]
)
async def test_a_token_that_is_none_asks_nothing(aclient, token):
    """[B17]"""
    with pytest.raises(QuestionNotFound):
        await aclient.answer(token, 1)


async def test_one_odd_call_leaves_those_beside_it_alone(aclient):
    """[B17] They share a connection and a write."""
    found = await asyncio.gather(
        *[aclient.status(run) for run in ("a", BYTES, "b")], return_exceptions=True
    )
    assert [type(each) for each in found] == [type(None), InvalidOption, type(None)]


async def test_what_user_code_returns_or_says_is_shown_whatever_it_is() -> None:
    """[B17]"""
    app = Stepflow("redis://nowhere.invalid")

    class Odd:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    returns = {"int": 10**5000, "odd": Odd(), "text": BYTES * 5000}

    @app.runner("returns")
    async def runner(step):
        return returns[step.payload]

    @app.runner("says")
    async def says(step):
        raise ValueError(BYTES, 10**5000)

    @app.runner("gives")
    async def gives(step):
        return Succeed(BYTES)

    async with Harness(app) as h:
        for name in returns:
            status = await h.status(await h.submit("returns", name))
            assert status.error.type == "NotAnOutcome"
        assert (await h.status(await h.submit("gives"))).error.type == "UnsupportedValue"
        run = await h.submit("says")
        await h.advance(100)
        assert (await h.status(run)).state == "failed"


SHELL = [
    ("list > /dev/full", 1, "No space left on device"),
    ("show r1 --json > /dev/full", 1, "No space left on device"),
    ("export --sample 1 --out /proc/none", 1, "No such file or directory: '/proc/none'"),
    ("submit a - --id r2 <&-", 2, "this is not JSON"),
    ("signal r1 go - <&-", 2, "this is not JSON"),
    ("group submit g - <&-", 2, "- is not JSON"),
    ("list --json >&-", 0, ""),
    ("show nobody 2>&-", 5, ""),
]


@pytest.mark.crash  # a process for each
@pytest.mark.parametrize(("line", "code", "part"), SHELL, ids=lambda value: str(value)[:20])
def test_what_the_system_refuses_and_closed_streams_are_no_fault_of_the_program(
    client, url, bare_env, line, code, part
):
    """[B17]"""
    client.submit("a", run_id="r1")
    script = f"{sys.executable} -m stepflow --redis-url {url} {line}"
    done = subprocess.run(["sh", "-c", script], env=bare_env, capture_output=True, check=False)
    assert (done.returncode, part in done.stderr.decode()) == (code, True), done.stderr
    assert b"fault" not in done.stderr
    assert b"Traceback" not in done.stderr


CONTROLS = "a\x1b[2J\x1b]0;t\x07b\x9bc\u202ed\re\x7ff\0"
#: none of these reach a terminal
OBEYED = set(CONTROLS) - set("abcdef[2J]0;t")


@pytest.mark.parametrize("is_failed", [True, False], ids=["failed", "waits"])
def test_what_user_code_said_gives_a_terminal_no_orders(client, real, keys, run, is_failed):
    """[B17] Errors, reasons, headers, tags, what a run waits for: whatever stands in Redis."""
    client.submit("a", CONTROLS, run_id="r1", headers={"h": CONTROLS}, tags={"t": "v"})
    if is_failed:
        client.fail("r1", CONTROLS)
    else:
        real.hset(keys.run("r1"), "waits_for", CONTROLS)
        client.pause("r1", CONTROLS)
    for verb in ("show", "why", "events", "list", "export"):
        for more in ((), ("--json",)):
            result = run(verb, *(("r1",) if verb != "list" else ()), *more)
            assert result.exit_code == 0, result.stderr
            assert not OBEYED & set(result.output), (verb, more)
    assert r"\x1b[2J" in run("show", "r1").stdout
    assert json.loads(run("show", "r1", "--json").stdout)["payload"] == CONTROLS
