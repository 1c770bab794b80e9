"""What the examples print, and what they do when they are asked in other ways."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.support import until_blocking

#: each is a process of its own, with workers of its own
pytestmark = pytest.mark.crash

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.py"))


def lines_of(name: str) -> list[str]:
    return next(path for path in EXAMPLES if path.name == name).read_text().splitlines()


def test_hello(run_example):
    assert run_example("01_hello.py").splitlines() == [
        "created: True",
        "result:  lift-off after 3 steps",
        "created: False",
        "state:   succeeded",
    ]


def test_retries(run_example):
    assert run_example("02_retries.py").splitlines() == [
        "{'paid': 1250, 'attempts': 3, 'quotes': 1, 'charges': 1}",
        "failed at attempt 1: PermanentError: nothing to pay",
    ]


def test_nightly(run_example):
    """[T6] [T21]"""
    assert run_example("17_nightly.py").splitlines() == [
        "Sat 27 March, 02:30: nightly-20270327T013000Z loaded 29",
        "Sun 28 March, 03:00: nightly-20270328T010000Z loaded 30",
        "Mon 29 March, 02:30: nightly-20270329T003000Z loaded 31",
    ]


def test_limits(run_example):
    """[L1] [L9] Twenty at once, and five a second with a burst of five."""
    loaded, at_once, took = run_example("24_limits.py", PARTITIONS="45").splitlines()
    assert loaded == "loaded 45 partitions: 990"
    assert at_once.startswith("at most 20 at once, at most ")
    assert int(at_once.split()[7]) <= 10
    assert took == "in 18 s"


def test_support_agent(run_example):
    """[A4] Under sixty lines, without any network."""
    mail, *rest = run_example("agents/11_support.py").splitlines()
    assert re.fullmatch(r"mail: Refund 30 euros\? /yes/[\w-]+\.[0-9a-f]{20}", mail)
    assert rest == ["page: Thank you.", "agent: I have refunded 30 euros."]
    assert len(lines_of("11_support.py")) < 60


def test_agent(run_example):
    assert run_example("03_agent.py").splitlines() == [
        "answer: The moon pulls the sea. It goes round in 27 days.",
        "steps:  5",
        "note:   It goes round in 27 days.",
    ]


def test_research(run_example):
    """[A9] [A12] [A16] A crash in the middle, and the calls cost what they would have without."""
    assert run_example("agents/12_research.py").splitlines() == [
        "moon: it pulls the sea; sun: it pulls less; wind: it makes waves",
        "8 calls of models, 120 tokens",
    ]
    assert len(lines_of("12_research.py")) < 60


def test_workflow(run_example):
    printed = run_example("06_workflow.py")
    assert printed.splitlines() == ["answer: The moon pulls the sea. It goes round in 27 days."]


def test_saga(run_example):
    assert run_example("07_saga.py").splitlines() == [
        "booked flight F-1",
        "booked hotel H-2",
        "cancelled H-2",
        "cancelled F-1",
        "failed: step 'charge' failed (PermanentError): card declined",
    ]


def test_machine(run_example):
    """[M6]"""
    assert run_example("25_machine.py").splitlines() == [
        "300 {'state': 'granted', 'data': {'amount': 300, 'score': 650}}",
        "5000 {'state': 'refused', 'data': {'amount': 5000, 'score': 200}}",
    ]


def test_fan_out(run_example):
    expected = {"winner": 1, "price": 6, "resized": 495, "broken": 5}
    assert run_example("19_fan_out.py").splitlines() == [f"result: {expected}"]


def test_group(run_example):
    """[K7]"""
    assert run_example("22_group.py").splitlines() == [
        "failed: 97 succeeded, 3 say 'PermanentError: the disk is full'",
        "retried: 3",
        "succeeded: 100 succeeded",
    ]


def test_turns(run_example):
    """[L12]"""
    said = run_example("21_turns.py").splitlines()
    assert said[0] == "one import: True"
    assert int(re.search(r"after (\d+) of", said[1])[1]) <= 8


def test_map(run_example):
    assert run_example("08_map.py").splitlines() == ["census: {'people': 2991, 'missing': 1}"]


def test_poll(run_example):
    assert run_example("09_poll.py").splitlines() == ["render-tides.mp4, after 4 looks"]


def test_plain_def(run_example):
    assert run_example("10_plain_def.py").splitlines() == [
        "ordered tea for 4",
        "ordered tea, honey, cup for 20",
    ]


def test_resources(run_example):
    """[K11] [K12] [K13]"""
    assert run_example("18_resources.py").splitlines() == ["paid: ['Ada']"]


def test_breaker(run_example):
    """[K8] [K9]"""
    printed = run_example("23_breaker.py").splitlines()
    assert printed[:5] == [f"order {number} is paid" for number in range(1, 6)]
    assert printed[5:] == ["the breaker is closed; it was opened True"]


def test_lifespan(run_example):
    """[U15] What an attempt wrote that raised is rolled back."""
    assert run_example("11_lifespan.py").splitlines() == ["paid: ['Ada']"]


def test_opentelemetry(run_example):
    """[E17] The lines of two processes may come in any order."""
    printed = run_example("12_opentelemetry.py").splitlines()
    assert sorted(printed) == [
        "POST /greetings",
        "hello, world",
        "process greeting",
        "process greeting",
        "send default",
        "step greet",
        "step greet failed: nobody is listening yet",
    ]


def test_webhook(run_example):
    printed = run_example("05_webhook.py", STEPFLOW_WEBHOOK_ALLOW_CIDRS="127.0.0.0/8")
    assert printed.splitlines() == ["run.succeeded greet-1 hello, world"]


@pytest.fixture
def api(background):
    """A client of the FastAPI example, a worker beside it."""
    port = free_port()
    with (
        background("stepflow", "worker", "examples.web.04_fastapi:app"),
        background("uvicorn", "examples.web.04_fastapi:api", "--port", str(port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        until_blocking(lambda: is_up(client))
        yield client


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/runs/nobody").status_code == 404
    except httpx.TransportError:
        return False


def state(api: httpx.Client, run_id: str) -> str:
    return api.get(f"/runs/{run_id}").json()["state"]


def test_fastapi_submits_and_tells_the_result(api):
    answer = api.post("/runs", json={"customer": "acme", "pages": 1})
    assert answer.status_code == 202
    run_id = answer.json()["id"]
    until_blocking(lambda: state(api, run_id) == "succeeded")
    assert api.get(f"/runs/{run_id}").json()["result"] == "1 pages for acme"


def test_fastapi_takes_an_idempotency_key(api):
    key = {"idempotency-key": "order-7"}
    first, second = (
        api.post("/runs", json={"customer": "acme"}, headers=key).json() for _ in range(2)
    )
    assert (first, second) == (
        {"id": "order-7", "created": True},
        {"id": "order-7", "created": False},
    )
    other = api.post("/runs", json={"customer": "else"}, headers=key)
    assert other.status_code == 409
    assert "different input" in other.json()["detail"]


def test_fastapi_cancels_a_running_run(api):
    run_id = api.post("/runs", json={"customer": "acme", "pages": 600}).json()["id"]
    until_blocking(lambda: state(api, run_id) == "running")
    assert api.post(f"/runs/{run_id}/cancel").json() == {"cancelled": True}
    until_blocking(lambda: state(api, run_id) == "cancelled")
    assert api.post(f"/runs/{run_id}/cancel").json() == {"cancelled": False}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_how_to_run_it(path: Path):
    source = path.read_text()
    assert len(source.splitlines()) <= 60
    assert path.stem in source.split('"""')[1], "its first words say the command that runs it"


def test_stream_tokens(run_example):
    assert run_example("13_stream_tokens.py").splitlines() == [
        "output: The moon ",
        "output: The moon pulls ",
        "reset:  (what was said is void)",
        "output: The moon ",
        "output: The moon pulls ",
        "output: The moon pulls the sea.",
        "end: The moon pulls the sea.",
        "the same as the result: True",
    ]


def test_definition(run_example):
    """[D6] A person is asked, a program runs, a list is mapped over; a failure is undone."""
    printed = run_example("flows/onboarding.py").splitlines()
    assert printed[0].startswith("succeeded {'account': 'acc-Ada', 'badge': 'Ada-")
    assert "'teams': ['acc-Ada is in dev', 'acc-Ada is in ops']" in printed[0]
    assert printed[1] == "deleted acc-Ada"
    assert printed[2].startswith("failed definition 'onboarding' failed: step 'teams': ValueError")


def test_a_file_is_run_by_the_command_line(environment, tmp_path):
    """[D2] Without a worker one works here; what the run asks is printed, with how to answer."""
    flow = tmp_path / "ask.yaml"
    flow.write_text(
        "name: ask\nsteps:\n"
        "  - {id: ask, kind: wait, input: {prompt: 'n, {input}?'}}\n"
        "  - {id: twice, kind: script, depends_on: [ask],"
        " input: {bash: 'echo $((2 * N))', env: {N: '{steps.ask}'}}}\n"
    )
    command = ["stepflow", "run", str(flow), "--input", '"Ada"', "--id", "one"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        said = ""
        while "stepflow answer " not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        token = said.partition("stepflow answer ")[2].split()[0]
        subprocess.run(["stepflow", "answer", token, "21"], env=environment, check=True)
        out, _ = running.communicate(timeout=60)
    assert (running.returncode, out.strip()) == (0, '{"twice": 42}')
    assert "one works here until the end" in said
    assert "it asks 'n, Ada?'" in said
