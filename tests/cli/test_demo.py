import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from stepflow import RunStatus
from stepflow.cli.demo.checks import CHECKS, Evidence, check_all, read_writes
from stepflow.cli.demo.receiver import Receiver
from stepflow.core.run import RunState
from stepflow.engine.inspect import StepInfo


@pytest.mark.crash
def test_the_demo_holds_what_it_claims(start):
    process = start("demo", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    told = json.loads(out.splitlines()[-1])
    assert told["ok"] is True
    assert [check["claim"] for check in told["checks"]] == list(CHECKS)
    assert told["retries"] == 2
    assert "stored in clear" not in err


def closed(number, worker="B", at=1000.0):
    return StepInfo(number, 1, "continue", worker, True, None, datetime.fromtimestamp(at, UTC))


@pytest.fixture
def evidence():
    """What the demo would know of one good run and one killed worker, A."""
    receiver = Receiver("whsec_c2VjcmV0")
    receiver.arrived["r1"] = ["r1-0-1-0"]
    lost = StepInfo(0, 1, "lost", "A", False, None, datetime.fromtimestamp(1000.5, UTC))
    yield Evidence(
        {"r1": "succeeded"},
        {"r1": RunStatus("r1", "research", RunState.SUCCEEDED, result={"notes": ["", "", "", ""]})},
        {"r1": [lost, *(closed(number, at=1001.0) for number in range(4))]},
        receiver,
        1000.0,
        "A",
        ["stepflow:idx:succeeded", "rq:queues"],
        Counter({("r1", str(number)): 1 for number in range(4)}),
    )
    receiver._server.server_close()


def failing(evidence):
    return [
        list(CHECKS).index(finding.claim) for finding in check_all(evidence) if not finding.holds
    ]


def test_the_checks_pass_when_all_is_well(evidence):
    assert failing(evidence) == []


def test_each_check_sees_what_it_is_there_for(evidence):
    steps = evidence.steps["r1"]
    cancelled = replace(evidence.runs["r1"], state=RunState.CANCELLED)
    assert failing(replace(evidence, runs={"r1": cancelled})) == [0]
    assert failing(replace(evidence, steps={"r1": steps[:-1]})) == [1]
    assert failing(replace(evidence, writes=evidence.writes + Counter({("r1", "2"): 1}))) == [1]
    assert failing(replace(evidence, steps={"r1": [*steps[:-1], closed(3, "A", 1005.0)]})) == [2]
    assert failing(replace(evidence, killed_at=900.0)) == [3]
    evidence.receiver.arrived["r1"].append("another-id")
    assert failing(evidence) == [4]
    evidence.receiver.arrived.clear()
    assert failing(evidence) == [4]
    evidence.receiver.arrived["r1"] = ["r1-0-1-0", "r1-0-1-0"]
    assert failing(replace(evidence, lasting_keys=["stepflow:run:r1"])) == [5]


def test_the_servers_journal_says_how_often_each_step_was_written(tmp_path):
    def command(*words):
        return b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%b\r\n" % (len(word), word) for word in words
        )

    write = command(b"HSET", b"stepflow:run:r1:steps", b"0", b"a\r\n*3\r\nb", b"0.token", b"lost")
    (tmp_path / "x.1.incr.aof").write_bytes(
        command(b"SELECT", b"0") + write + command(b"HSET", b"stepflow:run:r1", b"0", b"1") + write
    )
    assert read_writes(tmp_path) == Counter({("r1", "0"): 2, ("r1", "0.token"): 2})
