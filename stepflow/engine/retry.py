"""
retry: a failed run goes on at its last step, attempts fresh.

Its hooks fire again at its new end.
"""

from __future__ import annotations

from stepflow.core.graphs.definitions import RUNNER
from stepflow.core.journal import every_failure, last_failure
from stepflow.core.transition import TransitionKind
from stepflow.core.transitions import decide_retry
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.errors import NotRetryable, RunNotFound
from stepflow.store.journal import load_journal
from stepflow.store.runs import STALE, load_run, retry_run

#: why a run is not taken up again of which only the result was kept
_CLEARED = "only its input and its error were kept (keep); submit it anew, or set keep=failed"


async def retry(run_id: str, env: Env) -> None:
    """Take a failed run up again; raises RunNotFound or NotRetryable."""
    request = env.request_id()
    while True:
        run = await load_run(env.keys, run_id)
        if run is None:
            raise RunNotFound(run_id)
        move = decide_retry(check_readable(run))
        if move.kind is TransitionKind.DROP:
            raise NotRetryable(run_id, move.why)
        if run.is_cleared:
            raise NotRetryable(run_id, _CLEARED)
        # the steps of a definition fail one by one, and the run once all others have ended
        failure = every_failure if run.runner == RUNNER else last_failure
        forget = failure(await load_journal(env.keys, run_id)) if run.has_journal else []
        answer = await retry_run(env.keys, run, request=request, now=env.clock.now(), forget=forget)
        if answer[0] != STALE:
            return
