"""Runs of Redis and of the archive in one list: for clients, at the command line, over HTTP."""

from __future__ import annotations

import json
from itertools import chain

import httpx
import pytest
from click.testing import CliRunner

from stepflow import AsyncClient, Client
from stepflow.archive.archive import Archive
from stepflow.archive.values import ArchivedStep
from stepflow.cli.main import cli
from stepflow.settings import Settings, load_settings
from stepflow.web import app as make_api
from stepflow.web import everything
from tests.archive.conftest import FAILED, end


@pytest.fixture
def settings(settings, tmp_path):
    archive = settings.archive.at(f"sqlite:///{tmp_path}/archive.db")
    return settings.model_copy(update={"archive": archive})


@pytest.fixture
def client(url, settings):
    with Client(url, settings=settings) as client:
        yield client
        client.archive.close()


@pytest.fixture
def filled(client, settings):
    """Three runs in the archive, one of which is in Redis as well, and two in Redis alone."""
    with Archive(settings.archive) as archive:
        client.submit("etl", {"n": 1}, run_id="both")
        client.cancel("both")
        created = client.status("both").created_at
        archive.write(
            [
                end("old", state="failed", error=FAILED, headers={"tenant": "acme"},
                    payload={"password": "p1"},
                    steps=[
                        ArchivedStep("step", "load", "succeeded", value={"rows": 3}),
                        ArchivedStep("step", "save", "failed", error="OSError: full"),
                    ]),
                end("older", minute=-1, result=[1], payload="in", tags={"kind": "big"}),
                end("both", state="cancelled", created_at=created, ended_at=created),
            ]
        )  # fmt: skip
        client.submit("etl", 1, run_id="live")
        yield client
        client.cancel("live")


@pytest.fixture
def run(url, settings, monkeypatch):
    monkeypatch.setenv("STEPFLOW_ARCHIVE_URL", settings.archive.url)
    load_settings.cache_clear()

    def run(*args):
        result = CliRunner().invoke(cli, ["--redis-url", url, *args])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    yield run
    load_settings.cache_clear()


def pages(client, **options):
    cursor, found = None, []
    while True:
        page = client.archive.list_both(cursor=cursor, **options)
        found.append([f"{run.id}{'*' if run.is_archived else ''}" for run in page.runs])
        if (cursor := page.cursor) is None:
            return found


def test_a_list_goes_on_in_the_archive_where_redis_ends(filled):
    """[H5]"""
    assert pages(filled) == [["live", "both", "old*", "older*"]]
    assert pages(filled, limit=2) == [["live", "both"], ["old*"], ["older*"]]
    for limit in (1, 3):
        assert list(chain(*pages(filled, limit=limit))) == ["live", "both", "old*", "older*"]
    assert pages(filled, state="failed") == [["old*"]]
    assert pages(filled, state="pending") == [["live"]]
    assert pages(filled, headers={"tenant": "acme"}) == [["old*"]]
    for words, found in {
        "error~TIMEOUT": ["old*"], "header.tenant=acme": ["old*"], "tag.kind^=b": ["older*"],
        "id^=old": ["old*", "older*"], "version=2": [], "version=x": [],
        "error=TimeoutError runner=etl": ["old*"], "since=1d": ["live", "both"],
    }.items():  # fmt: skip
        assert pages(filled, where=words) == [found], words


async def test_an_async_client_reads_both_as_well(filled, url, settings):
    """[H5]"""
    async with AsyncClient(url, settings=settings) as client:
        page = await client.archive.list_both()
        run = await client.archive.get("old")
        assert [each.is_archived for each in page.runs] == [False, False, True, True]
        assert len(await client.archive.steps(run)) == 2
        assert (await client.archive.health()).runs == 3
        lines = [line async for line in client.archive.export(run_id="older")]
        assert [line["output"] for line in lines] == [{"n": 1}, [1]]
        await client.archive.close()


def test_the_command_line_lists_shows_prunes_and_exports(filled, run):
    """[H3] [H5] [H7]"""
    listed = run("list", "--archived").output
    assert listed.index("live") < listed.index("both") < listed.index("old") < listed.index("older")
    assert listed.count("in the archive") == 2
    assert "in the archive" not in run("list").output
    assert "3 ends, tables of version" in run("archive", "health").output
    shown = json.loads(run("archive", "show", "old").output)
    assert (shown["run"]["error"]["type"], len(shown["steps"])) == ("TimeoutError", 2)
    assert run("archive", "show", "nobody").exit_code == 5
    dry = run("archive", "prune", "--older", "0s", "--state", "failed", "--dry-run").output
    assert "would delete 1 ends (1 failed)" in dry
    assert "deleted 1 ends" in run("archive", "prune", "--older", "0s", "--state", "failed").output
    assert "2 ends" in run("archive", "health").output


def test_steps_are_lines_of_a_data_set(filled, run):
    """[H7] Those that failed or gave nothing are left out unless they are asked for."""
    lines = [json.loads(line) for line in run("export", "--jsonl").output.splitlines()]
    assert [(line["run_id"], line["kind"], line["output"]) for line in lines] == [
        ("both", "step", {"n": 1}),
        ("old", "step", {"rows": 3}),
        ("older", "step", {"n": 1}),
        ("older", "run", [1]),
    ]
    assert lines[3]["input"] == "in"
    assert (lines[1]["headers"], lines[1]["step"]) == ({"tenant": "acme"}, 0)
    chosen = run(
        "export", "--jsonl", "--with-errors", "--where", "error~bank", "--redact", "password"
    ).output
    lines = [json.loads(line) for line in chosen.splitlines()]
    assert [line["error"] for line in lines] == [
        None, "OSError: full", f"TimeoutError: {FAILED.message}",
    ]  # fmt: skip
    assert "p1" not in chosen


async def test_the_api_and_the_dashboard_read_both_and_say_which(filled, url, settings):
    """[H5]"""
    async with AsyncClient(url, settings=settings) as client:
        transport = httpx.ASGITransport(make_api(client, access=everything))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            page = (await http.get("/runs", params={"archived": "true"})).json()
            assert [run["is_archived"] for run in page["runs"]] == [False, False, True, True]
            one = (await http.get("/archive/old")).json()
            assert one["run"]["payload"] == {"password": "[redacted]"}
            assert len(one["steps"]) == 2
            assert (await http.get("/archive/nobody")).status_code == 404
            runs = (await http.get("/ui/runs")).text
            assert "with the archive" in runs
            assert "/ui/archived/" not in runs
            both = (await http.get("/ui/runs", params={"archived": "yes"})).text
            assert "/ui/archived/older" in both
            shown = (await http.get("/ui/archived/old")).text
            for words in ("from the archive", "TimeoutError", "OSError: full", "[redacted]"):
                assert words in shown
            assert (await http.get("/ui/archived/nobody")).status_code == 404
        await client.archive.close()


async def test_without_an_archive_nothing_of_it_is_shown(url):
    """[H5] Who asks for it is told what is missing."""
    client = AsyncClient(url, settings=Settings())
    transport = httpx.ASGITransport(make_api(client, access=everything))
    async with client, httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert "with the archive" not in (await http.get("/ui/runs")).text
        answer = await http.get("/runs", params={"archived": "true"})
        assert answer.status_code == 422
        assert "STEPFLOW_ARCHIVE_URL" in answer.text
