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
    """One script: its name, its text with the included parts put in, and the SHA1 that EVALSHA calls it by."""

    name: str
    text: str
    sha: str


def _read(name: str) -> str:
    return (files("stepflow.store") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def load(name: str) -> Script:
    """Read `lua/<name>.lua`; a line `--@ include x` stands for the text of `lua/x.lua`."""
    text = _INCLUDE.sub(lambda match: _read(match[1]), _read(name))
    lean = "\n".join(line for line in text.splitlines() if line and not line.lstrip().startswith("--"))
    return Script(name, lean, hashlib.sha1(lean.encode(), usedforsecurity=False).hexdigest())


SUBMIT_RUN = load("submit_run")
SUBMIT_CHILD = load("submit_child")
CLAIM_STEPS = load("claim_steps")
CLAIM_ONE = load("claim_one")
KEEP_STEP = load("keep_step")
HAND_OVER = load("hand_over")
FINISH_RUN = load("finish_run")
FINISH_UNTOLD = load("finish_untold")
MARK_RUN = load("mark_run")
REVIVE_RUN = load("revive_run")
RENEW_CLAIMS = load("renew_claims")
EXTEND_CLAIM = load("extend_claim")
PUT_MEMO = load("put_memo")
MOVE_DUE = load("move_due")
LOOK_ROUND = load("look_round")
SWEEP_EXPIRED = load("sweep_expired")
SET_ASIDE = load("set_aside")
BURY_HOOK = load("bury_hook")
TELL_GONE = load("tell_gone")
HEED_AWAITED = load("heed_awaited")
PARK_RUN = load("park_run")
PAUSE_RUN = load("pause_run")
ADD_ENTRY = load("add_entry")
TAKE_SIGNAL = load("take_signal")
TOUCH_VAR = load("touch_var")
SETTLE_ASK = load("settle_ask")
CLOSE_ASK = load("close_ask")
ANSWER_ASK = load("answer_ask")
SEND_SIGNAL = load("send_signal")
COMMIT_HOOK = load("commit_hook")
REQUEUE_HOOK = load("requeue_hook")
TELL_UNTOLD = load("tell_untold")
CHECK_RIGHTS = load("check_rights")


@cache
def all_scripts() -> tuple[Script, ...]:
    """Give every script there is; a link loads them when it connects."""
    return tuple(value for value in globals().values() if isinstance(value, Script))
