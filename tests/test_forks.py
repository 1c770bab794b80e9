"""Forks of a process that is kept apart from them: a child's signals are its own."""

import signal
import subprocess
import sys

import pytest

#: a process with a handler and the descriptor that a loop would read; its child sends itself the
#: signal
PROGRAM = """
import os, signal, socket, sys
from stepflow import forks

reader, writer = socket.socketpair()
for end in (reader, writer):
    end.setblocking(False)
signal.signal(signal.SIGTERM, lambda *_: None)
signal.set_wakeup_fd(writer.fileno())
if sys.argv[1] == "apart":
    forks.keep_apart()
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(3)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
try:
    read = reader.recv(8)
except BlockingIOError:
    read = b""
print(code, list(read), signal.pthread_sigmask(signal.SIG_BLOCK, []) == set())
"""


@pytest.mark.parametrize(
    ("kept", "code", "read"),
    [
        ("apart", -signal.SIGTERM, []),
        # from 3.12 on asyncio does that by itself
        ("so", 3, [int(signal.SIGTERM)] if sys.version_info < (3, 12) else []),
    ],
    ids=["apart", "control"],
)
def test_a_signal_for_a_child_is_read_by_the_child_alone(kept, code, read):
    """[B1] Else the parent reads it, as the control shows."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kept], capture_output=True, text=True, check=True
    )
    assert done.stdout.split(maxsplit=1) == [str(code), f"{read} True\n"]
