import json

import pytest

from tests.support import until_blocking

APP = """
from stepflow import Stepflow

app = Stepflow()

@app.workflow("asks")
async def asks(ctx):
    return await ctx.ask(bool, "Publish?", timeout=3600)
"""


@pytest.fixture
def asking(folder, start, url, client):
    """A worker process for an app that asks."""
    (folder / "asking.py").write_text(APP)
    process = start("worker", "asking:app", STEPFLOW_REDIS_URL=url)
    until_blocking(lambda: process.poll() is not None or client.workers())
    yield process
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


@pytest.mark.usefixtures("asking")
def test_what_runs_ask_is_listed_and_answered_once(run, client):
    """[F11] One test for the whole way: a worker takes its time to start."""
    asked = client.submit("asks").id
    [question] = until_blocking(client.questions)
    [shown] = json.loads(run("questions", "--json").stdout)
    assert (shown["token"], shown["run_id"], shown["prompt"]) == (question.token, asked, "Publish?")
    assert shown["schema"] == {"type": "boolean"}
    head, row = run("questions").stdout.splitlines()
    assert head.split() == ["TOKEN", "QUESTION", "SINCE", "UNTIL"]
    assert row.split()[:2] == [question.token, "Publish?"]
    misfit = run("answer", question.token, '"yes"')
    assert misfit.exit_code == 2
    assert "'yes' is not of type 'boolean'" in misfit.stderr
    by_run = run("answer", asked, "true")
    assert (by_run.exit_code, f"it asks {question.token} ('Publish?')" in by_run.stderr) == (
        5,
        True,
    )
    assert run("answer", question.token, "true").stdout == f"answered {question.token}\n"
    assert client.result(asked, 60) is True
    again = run("answer", question.token, "false", "--json")
    assert again.exit_code == 1
    assert "was answered at" in again.stderr


def test_without_open_questions_the_list_says_so_and_an_unknown_token_is_not_found(run):
    assert "no open questions" in run("questions").stderr
    assert run("questions", "--json").stdout == "[]\n"
    result = run("answer", "a1.0123", "true")
    assert result.exit_code == 5
    assert "there is no open question 'a1.0123'" in result.stderr


def test_an_answer_may_come_on_stdin_and_must_be_json(run):
    assert run("answer", "a1.0123", "-", stdin='{"ok": true}').exit_code == 5
    assert run("answer", "a1.0123", "{").exit_code == 2
