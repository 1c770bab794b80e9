"""retry: a failed run goes on at its last step, attempts fresh; its hooks fire again at its new end."""

from __future__ import annotations

from stepflow.core.transition import Kind
from stepflow.core.transitions import decide_revival
from stepflow.engine.env import Desk
from stepflow.engine.gate import check_readable
from stepflow.errors import NotRevivable, RunNotFound
from stepflow.store.calls import Plan
from stepflow.store.journal import last_failure, load_journal
from stepflow.store.runs import STALE, load_run, revive_run


def revive(run_id: str, desk: Desk) -> Plan[None]:
    """Take a failed run up again; raises RunNotFound or NotRevivable."""
    request = desk.request_id()
    while True:
        run = yield load_run(desk.keys, run_id)
        if run is None:
            raise RunNotFound(run_id)
        move = decide_revival(check_readable(run))
        if move.kind is Kind.DROP:
            raise NotRevivable(run_id, move.why)
        forget = last_failure((yield load_journal(desk.keys, run_id))) if run.logged else []
        answer = yield revive_run(desk.keys, run, request=request, now=desk.clock.now(), forget=forget)
        if answer[0] != STALE:
            return
