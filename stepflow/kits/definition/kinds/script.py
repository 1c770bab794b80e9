"""`script`: a program, in a process group of its own that ends with the step."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import Field

from stepflow.errors import PermanentError, StepError
from stepflow.kits.definition.kinds.base import KindInput, Text, Work
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.source import Way
from stepflow.kits.definition.templates import references_in

#: seconds that a program has to end by itself once it was told to
_GRACE_S = 1.0
#: bytes of its standard error that are kept: the last ones
_TAIL = 2000
#: what it gets of the worker's environment: nothing that is secret
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER")


class ScriptInput(KindInput):
    """A program: `argv`, or a text for bash."""

    argv: list[Text] | None = Field(default=None, min_length=1)
    bash: str | None = None
    """Run by `bash -euo pipefail`; takes values by `env` or `args`, not by references."""
    args: list[Text] = Field(default=[])
    """The arguments of the bash text: `$1`, `$2`."""
    env: dict[str, Text] = Field(default={})
    """Its environment, besides PATH, HOME and the locale."""
    stdin: Any = None
    """Text as it is; anything else as JSON."""


class ScriptFailed(StepError):
    """A program ended with another exit code than 0."""


class Script(Work):
    """
    A program.

    Its value is what it prints, as JSON if it is that, else `{output}`.
    """

    name = "script"
    Input = ScriptInput

    def faults(self, given: Mapping[str, Any], known: Known) -> Iterator[tuple[Way, str]]:
        if (given.get("argv") is None) == (given.get("bash") is None):
            yield (), "a script has either argv or bash"
        for _, reference in references_in(given.get("bash")):
            yield (
                ("bash",),
                f"{reference.written} would be run as code of the shell; give it by env or args",
            )
        if known.is_app and not known.has_scripts:
            yield (), "this app runs no scripts; allow them by app.definitions(scripts=True)"

    async def do(self, given: ScriptInput, known: Known) -> Any:
        if not known.has_scripts:
            msg = "this worker runs no scripts; allow them by app.definitions(scripts=True)"
            raise PermanentError(msg)
        output, tail, code = await run_program(
            _argv(given), given.env, _stdin(given.stdin), known.settings.limits.payload_bytes
        )
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            msg = f"the script {how}{': ' if tail else ''}{tail}"
            raise ScriptFailed(msg, data={"exit_code": code, "stderr": tail})
        return _value(output)


def _argv(given: ScriptInput) -> list[str]:
    if given.argv is not None:
        return given.argv
    return ["bash", "-euo", "pipefail", "-c", given.bash or "", "script", *given.args]


def _stdin(given: Any) -> bytes:
    if given is None:
        return b""
    return given.encode() if isinstance(given, str) else json.dumps(given).encode()


def _value(output: str) -> Any:
    with suppress(ValueError):
        return json.loads(output)
    return {"output": output.rstrip("\n")}


async def run_program(
    argv: list[str], env: Mapping[str, str], stdin: bytes, limit: int
) -> tuple[str, str, int]:
    """
    Run a program and give its output, the end of its standard error, and its exit code.

    What it has started ends with it. Raises PermanentError where there is no such program, and for
    more than *limit* bytes of output.
    """
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=-1, stdout=-1, stderr=-1, env={**kept, **env}, start_new_session=True
        )
    except (OSError, ValueError) as error:
        msg = f"{argv[0]!r} cannot be run: {getattr(error, 'strerror', None) or error}"
        raise PermanentError(msg) from None
    # awaited only once the group has ended: what it has left behind may hold the pipes open
    pipes = asyncio.gather(
        _write(process, stdin), _read(process.stdout, limit), _read(process.stderr, None)
    )
    try:
        await _ended(process, pipes)
    finally:
        await _end(process)
        if not pipes.done():
            await asyncio.wait([pipes], timeout=_GRACE_S)
            pipes.cancel()
    _, output, errors = pipes.result()
    tail = errors[-_TAIL:].decode("utf-8", "replace").strip()
    return output.decode("utf-8", "replace"), tail, process.returncode or 0


async def _ended(process: asyncio.subprocess.Process, pipes: asyncio.Future[Any]) -> None:
    """Wait until the program has ended, or its output is too much."""
    waiting = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait([waiting, pipes], return_when=asyncio.FIRST_COMPLETED)
        if pipes.done():
            pipes.result()
        await waiting
    finally:
        waiting.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the program's whole group: it is asked to, and then made to."""
    if process.returncode is None:
        _tell(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_S)
    _tell(process.pid, signal.SIGKILL)
    await process.wait()


def _tell(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _write(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()


async def _read(stream: asyncio.StreamReader | None, limit: int | None) -> bytes:
    """Read to the end: at most *limit* bytes, or the last of them where there is no limit."""
    assert stream is not None
    found = bytearray()
    while part := await stream.read(65_536):
        found += part
        if limit is None:
            del found[:-_TAIL]
        elif len(found) > limit:
            msg = f"the script printed over {limit:,} bytes; write them to a file instead"
            raise PermanentError(msg)
    return bytes(found)
