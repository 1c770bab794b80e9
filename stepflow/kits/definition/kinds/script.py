"""`script`: a program, in a process group of its own that ends with the step."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from pydantic import Field

from stepflow.errors import PermanentError, StepError
from stepflow.hooks.body import json_text
from stepflow.kits.definition.checking.source import Way
from stepflow.kits.definition.kinds.base import KindInput, Text, Work
from stepflow.kits.definition.kinds.reaper import Reaper, reaper
from stepflow.kits.definition.known import Known
from stepflow.kits.definition.values.templates import references_in

#: seconds that a program has to end by itself once it was told to
_GRACE_S = 1.0
#: seconds that its output is read once it and its group have ended: something out of its group
#: may hold the pipes
_DRAIN_S = 5.0
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
    return (given if isinstance(given, str) else json_text(given)).encode()


def _value(output: str) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(output)
    return {"output": output.rstrip("\n")}


async def run_program(
    argv: list[str], env: Mapping[str, str], stdin: bytes, limit: int
) -> tuple[str, str, int]:
    """
    Run a program and give its output, the end of its standard error, and its exit code.

    What it has started ends with it, and with this process. Raises PermanentError where there is no
    such program, and for more than *limit* bytes of output.
    """
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    program, kept_by = _Program(limit), reaper()
    if shutil.which(argv[0], path={**kept, **env}.get("PATH", os.defpath)) is None:
        msg = f"{argv[0]!r} cannot be run: there is no such program"
        raise PermanentError(msg)
    try:
        transport = await _begin(program, kept_by, argv, {**kept, **env})
    except (OSError, ValueError) as error:
        msg = f"{argv[0]!r} cannot be run: {getattr(error, 'strerror', None) or error}"
        raise PermanentError(msg) from None
    try:
        _give(transport, stdin)
        await program.is_done.wait()
    finally:
        await program.end(transport.get_pid())
        kept_by.forget(transport.get_pid())
        transport.close()
    if len(program.output) > limit:
        msg = f"the script printed over {limit:,} bytes; write them to a file instead"
        raise PermanentError(msg)
    output, errors = (bytes(each).decode("utf-8", "replace") for each in program.found)
    return output, errors.strip(), transport.get_returncode() or 0


async def _begin(
    program: _Program, kept_by: Reaper, argv: list[str], env: Mapping[str, str]
) -> asyncio.SubprocessTransport:
    """
    Begin a program, and give it once its pipes are connected.

    When this is cancelled before, the program is killed with its group, and has ended when this
    has. asyncio would kill it alone and wait for all that hold its pipes.
    """
    beginning = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: program, *kept_by.begin(argv), env=env, start_new_session=True
        )
    )

    async def kill() -> None:
        await asyncio.wait([beginning])
        if not beginning.cancelled() and beginning.exception() is None:
            transport, _ = beginning.result()
            _tell(transport.get_pid(), signal.SIGKILL)
            await program.has_exited.wait()
            kept_by.forget(transport.get_pid())
            transport.close()

    try:
        transport, _ = await asyncio.shield(beginning)
    except asyncio.CancelledError:
        killing = asyncio.ensure_future(kill())
        while not killing.done():  # also when it is cancelled a second time
            with suppress(asyncio.CancelledError):
                await asyncio.shield(killing)
        raise
    return transport


def _give(transport: asyncio.SubprocessTransport, stdin: bytes) -> None:
    pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
    if stdin:
        pipe.write(stdin)
    pipe.close()


class _Program(asyncio.SubprocessProtocol):
    """
    What a program prints, and when it has ended, whatever still holds its pipes.

    *output* is kept up to *limit* bytes, of its errors the end.
    """

    def __init__(self, limit: int) -> None:
        self.output, self.errors, self._limit = bytearray(), bytearray(), limit
        #: it has ended, or has printed too much
        self.is_done = asyncio.Event()
        #: it has ended, and asyncio has taken its exit code
        self.has_exited = asyncio.Event()
        self._is_drained = asyncio.Event()

    @property
    def found(self) -> tuple[bytearray, bytearray]:
        """What it has printed, and the end of its errors."""
        return self.output, self.errors

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep what comes; reading goes on to the end, so that nothing is held up."""
        if fd != 1:
            self.errors += data
            del self.errors[:-_TAIL]
        elif len(self.output) <= self._limit:
            self.output += data
            if len(self.output) > self._limit:
                self.is_done.set()

    def process_exited(self) -> None:
        """Learn that the program itself has ended."""
        self.has_exited.set()
        self.is_done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that all that it has printed is here."""
        del exc
        self._is_drained.set()

    async def end(self, group: int) -> None:
        """End its whole process group, which is asked to, and then made to; read what is left."""
        try:
            if not self.has_exited.is_set():
                _tell(group, signal.SIGTERM)
                await _within(self.has_exited, _GRACE_S)
        finally:  # also when the step is cancelled a second time
            _tell(group, signal.SIGKILL)
        await self.has_exited.wait()
        await _within(self._is_drained, _DRAIN_S)


async def _within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _tell(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
