"""
Negative controls: the guards of the scripts are taken away one by one, and a small ordering that
went well goes wrong.

A guard is a piece of a script's text, which must be there exactly once: who changes the script
hears of it here.
"""

from dataclasses import replace
from typing import NamedTuple

import pytest

from stepflow.core.outcomes import Continue, Park, Pause, Succeed, TryElsewhere
from stepflow.store import scripts
from stepflow.store.calls import Call
from tests.orderings import meetings as meet
from tests.orderings.invariants import Watcher
from tests.orderings.world import OTHER_BUILD, World


class Guard(NamedTuple):
    """
    A guard: its script, its name, its text and what takes its place, and the ordering that needs
    it.
    """

    script: str
    name: str
    text: str
    instead: str
    meeting: meet.Meeting


REV = ("rev", "row[1] == rev and ", "")
TOKEN = ("token", "row[1] == rev and (token == '' or row[2] == token)", "row[1] == rev")
RECORD = (
    "step record",
    "if written and string.sub(written, 1, #token) == token then return {2} end",
    "",
)
ASK = ("request id", "soft('HGET', run, 'request') == fence", "false")
LAPSED = ("lapsed lease", "same = not lease or tonumber(lease) <= tonumber(lapsed)", "same = true")

#: how a worker settles its step by each script
SETTLING = {
    "keep_step": (Continue(1), {}),
    "hand_over": (Continue(1), {"lets_go": True}),
    "finish_run": (Succeed(1), {}),
    "park_run": (Park(1_800_000_050.0, None, "time"), {}),
    "pause_run": (Pause("why"), {}),
    "hand_on": (TryElsewhere(OTHER_BUILD, b"tried"), {}),
}
CLAIM_DUE = " or (tonumber(row[2]) or 0) > now"

GUARDS = [
    *(
        Guard(script, *REV, meet.with_a_cancel(said, **how))
        for script, (said, how) in SETTLING.items()
    ),
    *(
        Guard(script, *TOKEN, meet.after_lost_writes(said, **how))
        for script, (said, how) in SETTLING.items()
    ),
    *(
        Guard(script, *RECORD, meet.sent_twice(said, **how))
        for script, (said, how) in SETTLING.items()
    ),
    Guard("hand_over", *REV, meet.two_resumes_and_a_claim),
    Guard("finish_run", *REV, meet.a_cancel_and_a_claim),
    Guard("mark_run", *REV, meet.two_stops),
    Guard("mark_run", *REV, meet.two_pauses),
    Guard("hand_over", *REV, meet.a_pause_and_a_claim),
    Guard("park_run", *REV, meet.two_resumes_of_a_run_that_comes_due),
    Guard("retry_run", *REV, meet.two_retries_and_a_claim),
    Guard(
        "delete_run",
        "rev",
        "row[1] ~= rev",
        "false",
        meet.a_delete_and_a_retry,
    ),
    Guard(
        "delete_run",
        "hooks",
        "state and state ~= delivered and state ~= dead",
        "false",
        meet.a_delete_and_a_redelivery,
    ),
    Guard(
        "delete_run",
        "noted ends",
        "not soft('ZSCORE', notes_key, note)",
        "false",
        meet.a_delete_of_a_run_whose_end_was_noted,
    ),
    Guard(
        "advance_bulk", "rev", "row[1] ~= rev", "false", meet.a_stop_of_a_bulk_and_who_carries_it_on
    ),
    Guard("advance_bulk", "rev of another", "row[1] ~= rev", "false", meet.two_who_carry_a_bulk_on),
    Guard(
        "advance_bulk",
        "request id",
        "if row[2] == request then return 1 end",
        "",
        meet.a_step_of_a_bulk_sent_twice,
    ),
    Guard(
        "start_bulk",
        "request id",
        "if row[2] == request then return 1 end",
        "",
        meet.a_bulk_begun_twice,
    ),
    Guard(
        "start_bulk",
        "rev",
        "(row[1] or '') ~= expected",
        "false",
        meet.two_who_take_a_bulk_up_again,
    ),
    Guard("hand_over", *ASK, meet.a_resume_sent_twice),
    Guard("finish_run", *ASK, meet.a_cancel_of_a_pending_run_sent_twice),
    Guard("mark_run", *ASK, meet.a_cancel_of_a_running_run_sent_twice),
    Guard("mark_run", *ASK, meet.a_pause_of_a_running_run_sent_twice),
    Guard("hand_over", *ASK, meet.a_pause_of_a_pending_run_sent_twice),
    Guard("park_run", *ASK, meet.a_resume_of_a_parked_run_sent_twice),
    Guard("retry_run", *ASK, meet.a_retry_sent_twice),
    Guard("hand_over", *LAPSED, meet.a_renewal_before_the_recovery_writes),
    Guard("finish_run", *LAPSED, meet.a_renewal_before_the_poison_step_ends),
    Guard(
        "finish_run",
        "announced",
        "== 1 then return {0, '', ''} end",
        "== 2 then return nil end",
        meet.an_end_and_an_announcement,
    ),
    Guard("park_run", "inbox", "if inbox ~= '' and", "if false and", meet.a_signal_before_the_park),
    Guard(
        "park_run",
        "inbox of a run that is put back",
        "if inbox ~= '' and",
        "if false and",
        meet.a_signal_before_the_run_is_put_back,
    ),
    Guard(
        "submit_run",
        "request id",
        "if row[2] == request then return {1} end",
        "",
        meet.a_submit_sent_twice,
    ),
    Guard(
        "submit_run",
        "rev",
        "if row[1] and row[1] ~= replaces then",
        "if row[1] and replaces == '' then",
        meet.two_restarts,
    ),
    Guard(
        "signal_start",
        "request id",
        "if row[2] == request then return {1} end",
        "",
        meet.a_signal_that_starts_its_run_sent_twice,
    ),
    Guard(
        "signal_start",
        "rev",
        "if row[1] and row[1] ~= replaces then",
        "if row[1] and replaces == '' then",
        meet.two_signals_that_restart_their_run,
    ),
    Guard(
        "add_entry",
        "token",
        "if row[1] ~= token then return 0 end",
        "",
        meet.a_late_journal_entry,
    ),
    Guard(
        "add_entry",
        "index",
        "if length > at then",
        "if false then",
        meet.a_journal_entry_sent_twice,
    ),
    Guard(
        "add_entry",
        "no gap",
        "if length < at then return 0 end",
        "",
        meet.a_journal_that_lost_its_last_entry,
    ),
    Guard(
        "take_signal",
        "token",
        "if row[1] ~= token then return {} end",
        "",
        meet.a_late_look_into_the_mailbox,
    ),
    Guard(
        "take_signal",
        "index",
        "if before then return {inbox, before} end",
        "",
        meet.two_signals_and_a_look_sent_twice,
    ),
    Guard(
        "send_signal",
        "request id",
        "if answered then return answered end",
        "",
        meet.a_signal_sent_twice,
    ),
    Guard(
        "send_signal",
        "dedup",
        "if answered then return answered end",
        "",
        meet.two_senders_of_one_signal,
    ),
    Guard(
        "send_signal",
        "ended",
        "if row[5] and row[5] ~= '' then return 'ended' end",
        "",
        meet.a_signal_and_an_ended_run,
    ),
    Guard(
        "send_signal",
        "queue",
        "if row[6] ~= queue then return 'moved' end",
        "",
        meet.a_slow_signal_and_a_restart,
    ),
    Guard("claim_steps", "delivery", "row[1] ~= id or ", "", meet.an_old_delivery),
    Guard(
        "claim_steps",
        "delivery of a claimed run",
        "row[1] ~= id or ",
        "",
        meet.an_old_delivery_and_a_run_in_progress,
    ),
    Guard("claim_steps", "due", CLAIM_DUE, "", meet.an_early_delivery),
    Guard(
        "claim_steps",
        "known",
        "if not known[row[3]] then",
        "if false then",
        meet.a_runner_that_is_not_known,
    ),
    Guard(
        "claim_steps",
        "paused queue",
        "not is_paused and soft('LLEN', list)",
        "soft('LLEN', list)",
        meet.a_claim_from_a_paused_queue,
    ),
    Guard(
        "claim_one",
        "paused queue",
        "soft('HEXISTS', paused_queues_key, queue_of(queue)) == 1",
        "false",
        meet.a_paused_queue_and_a_stock_worker,
    ),
    Guard(
        "claim_one", "delivery", "row[1] ~= rq_id or ", "", meet.an_old_delivery_for_a_stock_worker
    ),
    Guard("claim_one", "due", CLAIM_DUE, "", meet.an_early_delivery_for_a_stock_worker),
    Guard(
        "claim_one",
        "token",
        "if row[5] ~= token then",
        "if true then",
        meet.a_stock_workers_claim_sent_twice,
    ),
    Guard("put_memo", "token", "row[1] ~= token or ", "", meet.a_late_memo),
    Guard("put_memo", "step", " or (row[2] or '0') ~= step", "", meet.a_memo_of_the_step_before),
    Guard(
        "extend_claim",
        "token",
        "redis.call('HGET', record_key, 'token') ~= token",
        "false",
        meet.a_late_extension,
    ),
    Guard(
        "extend_claim",
        "never shorter",
        "'XX', 'GT'",
        "'XX'",
        meet.an_extension_by_less_than_the_lease,
    ),
    Guard("renew_claims", "token", "row[1] == tokens[i]", "true", meet.a_late_renewal),
    Guard("renew_claims", "never shorter", "'XX', 'GT'", "'XX'", meet.a_renewal_after_an_extension),
    Guard(
        "renew_claims",
        "makes none",
        "'XX', 'GT'",
        "'GT'",
        meet.a_renewal_and_a_claim_that_was_taken_out,
    ),
    Guard(
        "commit_hook",
        "token",
        "if row[1] ~= token then",
        "if false then",
        meet.a_late_delivery_of_a_hook,
    ),
    Guard(
        "commit_hook",
        "last_token",
        "row[2] == token and 2 or 0",
        "0",
        meet.a_delivery_of_a_hook_settled_twice,
    ),
    Guard(
        "settle_hook",
        "token",
        "if row[1] ~= token then",
        "if false then",
        meet.a_late_delivery_of_a_hook_that_writes,
    ),
    Guard(
        "settle_hook",
        "last_token",
        "row[2] == token and 2 or 0",
        "0",
        meet.a_delivery_of_a_hook_that_writes_settled_twice,
    ),
    Guard(
        "settle_hook",
        "run id",
        "if redis.call('EXISTS', key) == 1 then",
        "if false then",
        meet.a_submit_before_a_hook_submits_the_same,
    ),
    Guard(
        "settle_hook",
        "generation",
        "if is_there and (soft('HGET', told_key, 'generation') or '0') == generation then",
        "if is_there then",
        meet.a_restart_before_a_hook_writes_values,
    ),
    Guard(
        "requeue_hook",
        "rev",
        "redis.call('HGET', hook_key, 'rev') ~= rev",
        "false",
        meet.two_recoveries_of_a_hook,
    ),
    Guard(
        "requeue_hook",
        "lapsed lease",
        "if lease and tonumber(lease) > tonumber(lapsed) then return 0 end",
        "",
        meet.a_renewal_before_a_hook_is_recovered,
    ),
]

#: scripts that are not here, and why
WITHOUT = {
    "add_counts": "tests/stats/test_metrics.py",
    "ask_worker": "it asks",
    "call_line": "tests/limits/test_orderings.py",
    "check_rights": "it asks",
    "inspect_runs": "it reads",
    "mend_index": "tests/why/test_doctor.py",
    "mend_slots": "tests/limits/test_orderings.py",
    "take_slots": "tests/limits/test_step_orderings.py",
    "leave_waiting": "tests/breakers/test_orderings.py",
    "leave_slots": "tests/limits/test_step_orderings.py",
    "settle_units": "tests/limits/test_step_guards.py",
    "add_entry_limited": "tests/limits/test_step_orderings.py",
    "mend_ttl": "tests/why/test_doctor.py",
    "put_off": "tests/fairness/test_guards.py",
    "prune_waiting_list": "it asks and forgets in one, and guards nothing",
    "scan_maintenance": "it reads",
    "move_old": "it goes by the record: tests/listing/test_old_indexes.py",
    "move_due": "it goes by the record: tests/store/test_keeping.py",
    "settle_map": "tests/store/test_children.py",
    "submit_child": "tests/store/test_children.py",
    "tell_untold": "tests/engine/test_announce.py",
    "touch_var": "tests/kits/test_variables.py",
    "emit": "tests/store/test_output.py",
    "emit_entry": "tests/store/test_output.py",
    "sweep_expired": "it finds and forgets in one: tests/store/test_keeping.py",
    "release_run": "tests/archive/test_release.py",
    "take_ends": "tests/archive/test_carrying.py",
    "stage_run": "tests/archive/test_release.py",
    "tell_gone": "tests/store/test_upkeep.py",
    "set_aside": "tests/store/test_damage.py",
    "bury_hook": "tests/store/test_damage.py",
    "answer_question": "tests/kits/test_questions.py",
    "close_questions": "tests/kits/test_questions.py",
    "settle_question": "tests/kits/test_questions.py",
    "write_slice": "tests/groups/test_orderings.py",
    "submit_member": "tests/groups/test_orderings.py",
    "advance_group": "tests/groups/test_orderings.py",
    "mend_member": "tests/groups/test_orderings.py",
    "recount_group": "tests/groups/test_orderings.py",
    "forget_group": "tests/groups/test_orderings.py",
    "write_schedule": "tests/schedules/test_orderings.py",
    "fire_schedule": "tests/schedules/test_orderings.py",
    "take_permit": "tests/breakers/test_orderings.py",
    "settle_permit": "tests/breakers/test_orderings.py",
    "set_breaker": "tests/breakers/test_orderings.py",
    "reserve_budget": "tests/budgets/test_orderings.py",
    "settle_budget": "tests/budgets/test_orderings.py",
    "set_budget": "tests/budgets/test_orderings.py",
    "claim_shared": "tests/shared/test_orderings.py",
    "settle_shared": "tests/shared/test_orderings.py",
    "drop_shared": "a second drop finds nothing: tests/shared/test_runners.py",
    "delete_schedule": "it deletes once: tests/schedules/test_firing.py",
}


class AlteredLink:
    """A link that carries out another script in the place of one."""

    def __init__(self, connection, script):
        self.connection, self.script = connection, script
        connection.client.script_load(script.text)

    def call(self, call):
        return self.calls([call])[0]

    def calls(self, calls):
        return self.connection.calls([self._altered(call) for call in calls])

    def _altered(self, call):
        if call.script is None or call.script.name != self.script.name:
            return call
        return Call(
            self.script,
            ("EVALSHA", self.script.sha, *call.parts[2:]),
            call.read,
            resend=call.resend,
        )


def without(guard):
    """The script of a guard with that taken away."""
    script = getattr(scripts, guard.script.upper())
    assert script.text.count(guard.text) == 1, f"{guard.script} has not {guard.text!r} once"
    return replace(script, text=script.text.replace(guard.text, guard.instead))


each_guard = pytest.mark.parametrize(
    "guard",
    GUARDS,
    ids=lambda guard: f"{guard.script}: {guard.name}: {guard.meeting.__qualname__.split('.')[0]}",
)


@pytest.fixture
def world(redis_client, caplog):
    caplog.set_level("CRITICAL", "stepflow")
    redis_client.flushall()
    yield World(redis_client)
    redis_client.flushall()


@pytest.fixture
def look(redis_client):
    watcher = Watcher(redis_client)
    return lambda: watcher.look()["a"]


@pytest.mark.crash
@each_guard
def test_with_its_guard_it_goes_well(world, look, guard):
    """[C13]"""
    guard.meeting(world, look)


@pytest.mark.crash
@each_guard
def test_without_its_guard_it_goes_wrong(world, look, guard):
    """[C13] Negative control of the one above."""
    world.connection = AlteredLink(world.connection, without(guard))
    with pytest.raises(AssertionError):
        guard.meeting(world, look)


def test_every_script_is_here_or_says_why_not():
    assert {guard.script for guard in GUARDS}.isdisjoint(WITHOUT)
    assert {guard.script for guard in GUARDS} | set(WITHOUT) == {
        script.name for script in scripts.all_scripts()
    }
