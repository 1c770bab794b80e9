"""The Lua scripts on disk, each with its contract in its head; read once, sent by digest."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_INCLUDE = re.compile(r"^--@ include (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """
    One script: its name, its text with the included parts put in, and the SHA1 that EVALSHA calls
    it by.
    """

    name: str
    text: str
    sha: str


def _read(name: str) -> str:
    return (files("stepflow.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def load(name: str) -> Script:
    """Read `lua/<name>.lua`; a line `--@ include x` stands for the text of `lua/lib/x.lua`."""
    text = _INCLUDE.sub(lambda match: _read(f"lib/{match[1]}"), _read(name))
    lean = "\n".join(
        line for line in text.splitlines() if line and not line.lstrip().startswith("--")
    )
    return Script(
        name.rpartition("/")[2],
        lean,
        hashlib.sha1(lean.encode(), usedforsecurity=False).hexdigest(),
    )


SUBMIT_RUN = load("runs/submit_run")
SUBMIT_CHILD = load("runs/submit_child")
CLAIM_STEPS = load("claims/claim_steps")
CLAIM_ONE = load("claims/claim_one")
KEEP_STEP = load("runs/keep_step")
HAND_OVER = load("runs/hand_over")
FINISH_RUN = load("runs/finish_run")
FINISH_UNTOLD = load("runs/finish_untold")
MARK_RUN = load("runs/mark_run")
RETRY_RUN = load("runs/retry_run")
RENEW_CLAIMS = load("claims/renew_claims")
EXTEND_CLAIM = load("claims/extend_claim")
PUT_MEMO = load("claims/put_memo")
MOVE_DUE = load("maintenance/move_due")
SCAN_MAINTENANCE = load("maintenance/scan_maintenance")
SWEEP_EXPIRED = load("maintenance/sweep_expired")
SET_ASIDE = load("runs/set_aside")
BURY_HOOK = load("hooks/bury_hook")
TELL_GONE = load("runs/tell_gone")
PRUNE_WAITING_LIST = load("maintenance/prune_waiting_list")
PARK_RUN = load("runs/park_run")
PAUSE_RUN = load("runs/pause_run")
ADD_ENTRY = load("journal/add_entry")
TAKE_SIGNAL = load("journal/take_signal")
TOUCH_VAR = load("journal/touch_var")
SETTLE_QUESTION = load("journal/settle_question")
CLOSE_QUESTION = load("journal/close_question")
ANSWER_QUESTION = load("journal/answer_question")
SEND_SIGNAL = load("journal/send_signal")
COMMIT_HOOK = load("hooks/commit_hook")
REQUEUE_HOOK = load("hooks/requeue_hook")
TELL_UNTOLD = load("hooks/tell_untold")
CHECK_RIGHTS = load("maintenance/check_rights")


@cache
def all_scripts() -> tuple[Script, ...]:
    """Give every script there is; a link loads them when it connects."""
    return tuple(value for value in globals().values() if isinstance(value, Script))
