"""`stepflow why`, and where else its sentence stands [O4]."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from click.testing import CliRunner, Result

from stepflow.cli.main import cli


async def run(scene: Any, *words: str) -> Result:
    """Run the program."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["--redis-url", scene.url, *words])


async def test_people_get_a_sentence_and_what_to_type(scene):
    await scene.client.submit("r", run_id="a", delay=3600)
    lines = (await run(scene, "why", "a")).stdout.splitlines()
    assert lines[0].startswith("run a is scheduled (scheduled.delay): it starts at ")
    assert lines[-1] == "  type       stepflow run-now a"
    await scene.client.cancel("a")


async def test_programs_get_the_code_and_the_evidence(scene):
    await scene.client.submit("r", run_id="a", queue="gpu")
    shown = json.loads((await run(scene, "why", "a", "--json")).stdout)
    assert (shown["code"], shown["word"]) == ("queued.no_worker", "queued")
    assert shown["evidence"]["position"] == 0
    assert shown["commands"] == ["stepflow worker APP --queue gpu"]
    await scene.client.cancel("a")


async def test_many_runs_are_explained_and_an_unknown_one_is_said(scene):
    """Exit code 5: not found."""
    await scene.client.submit("r", run_id="a", delay=3600)
    result = await run(scene, "why", "a", "nobody")
    assert result.exit_code == 5
    assert "run a is scheduled" in result.stdout
    assert "no run has the id 'nobody'" in result.stderr
    await scene.client.cancel("a")


async def test_show_and_the_last_column_of_list_have_the_same_sentence(scene):
    """[O4]"""
    await scene.client.submit("r", run_id="a", queue="gpu")
    why = await scene.client.why("a")
    assert why.sentence in (await run(scene, "show", "a")).stdout
    assert why.sentence in (await run(scene, "list")).stdout
    shown = json.loads((await run(scene, "show", "a", "--json")).stdout)
    assert (shown["why"]["code"], shown["why"]["sentence"]) == (why.code, why.sentence)
    await scene.client.cancel("a")


async def test_of_a_run_that_has_ended_the_list_says_nothing(scene):
    await scene.client.submit("r", run_id="a", queue="gpu")
    await scene.client.cancel("a")
    shown = json.loads((await run(scene, "show", "a", "--json")).stdout)
    assert shown["why"] is None
    assert "cancelled" in (await run(scene, "list")).stdout
