"""`stepflow group list`, `submit`, `show`, `wait`, `retry`, `cancel` and `forget`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.output import ago
from stepflow.cli.params import DURATION, limit_option
from stepflow.shell import to_type

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.engine.groups.info import GroupInfo

_ID = click.argument("group_id", metavar="GROUP")


@click.group("group", short_help="Submit many runs as one, look at them, retry or cancel them.")
@common_options
def group_command() -> None:
    """Submit many runs as one group, look at it, retry or cancel it."""


@group_command.command("list")
@limit_option(50)
@common_options
@pass_context
def list_command(context: CliContext, limit: int) -> None:
    """List the groups, the newest first."""
    with context.client(starts=False) as client:
        found = client.groups.list(limit=limit)
    rows = [
        (each.id, each.state, each.total, each.waiting + each.live, each.succeeded,
         each.failed + each.refused + each.gone, each.cancelled, ago(each.created_at))
        for each in found
    ]  # fmt: skip
    columns = ("group", "state", "members", "left", "succeeded", "failed", "cancelled", "age")
    context.output.records(found, columns, rows, empty="no groups")


@group_command.command("submit")
@_ID
@click.argument("members", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--runner", metavar="NAME", help="The runner of all; each value is a payload then.")
@click.option("--join", "words", metavar="HOW", help="all, any, settled, how many, or as 90%.")
@click.option("--timeout", type=DURATION, metavar="S", help="Settle the join after this time.")
@click.option("--webhook", "urls", multiple=True, metavar="URL", help="Call it when it ends.")
@click.option("--wait", is_flag=True, help="Wait for the end, and exit as the group did.")
@common_options
@pass_context
def submit_command(
    context: CliContext,
    group_id: str,
    members: Path,
    runner: str | None,
    words: str | None,
    timeout: float | None,
    urls: tuple[str, ...],
    wait: bool,
) -> int | None:
    """
    Submit the members in FILE ("-" reads stdin) as GROUP.

    FILE is a JSON object: {"acme": {"runner": "load", "payload": 1}, ...}. The same again begins
    what has not begun, and nothing twice.
    """
    from stepflow.engine.groups.given import read_given, read_join

    given, join = read_given(_read(members), runner), read_join(words, timeout)
    with context.client() as client:
        info = client.groups.submit(group_id, given, join=join, webhooks=urls)
        if wait:
            return _wait(context, client, group_id, None)
    context.output.said(info, f"group {info.id}: {info.total:,} members, {info.state}")
    return None


def _read(path: Path) -> Any:
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}", Exit.USAGE) from None
    except (ValueError, RecursionError) as error:
        raise Problem(f"{path} is not JSON ({error})", Exit.USAGE) from None


@group_command.command("show")
@_ID
@common_options
@pass_context
def show_command(context: CliContext, group_id: str) -> None:
    """Show how GROUP stands, and what its failed members say."""
    with context.client(starts=False) as client:
        _show(context, client.groups.status(group_id))


@group_command.command("wait")
@_ID
@click.option(
    "--timeout", type=DURATION, metavar="S", help="Stop waiting after this time (exit 6)."
)
@common_options
@pass_context
def wait_command(context: CliContext, group_id: str, timeout: float | None) -> int:
    """Wait for the end of GROUP, show it, and exit as it did."""
    with context.client(starts=False) as client:
        return _wait(context, client, group_id, timeout)


def _wait(context: CliContext, client: Client, group_id: str, timeout: float | None) -> int:
    try:
        with context.output.waiting(f"waiting for group {group_id}"):
            info = client.groups.wait(group_id, timeout)
    except KeyboardInterrupt:
        see = to_type("group show", group_id)
        words = f"interrupted; group {group_id} goes on: see it with {see}"
        raise Problem(words, Exit.INTERRUPTED) from None
    _show(context, info)
    ends = {"failed": Exit.RUN_FAILED, "cancelled": Exit.RUN_CANCELLED}
    return ends.get(info.state, Exit.OK)


@group_command.command("retry")
@_ID
@common_options
@pass_context
def retry_command(context: CliContext, group_id: str) -> None:
    """Retry the failed members of GROUP, and no other."""
    with context.client() as client:
        count = client.groups.retry_failed(group_id, by=context.user)
    words = f"{count:,} failed members are retried" if count else "no member has failed"
    _say(context, group_id, words, {"retried": count})


@group_command.command("cancel")
@_ID
@click.option("--reason", default="", metavar="TEXT", help="Kept with the group and its members.")
@common_options
@pass_context
def cancel_command(context: CliContext, group_id: str, reason: str) -> None:
    """Cancel GROUP: what has not begun does not begin, what lives is cancelled."""
    with context.client() as client:
        changed = client.groups.cancel(group_id, reason, by=context.user)
    words = "is cancelled" if changed else "has ended"
    _say(context, group_id, words, {"changed": changed})


@group_command.command("forget")
@_ID
@common_options
@pass_context
def forget_command(context: CliContext, group_id: str) -> None:
    """Forget GROUP once it has ended; its members stay as runs of their own."""
    with context.client() as client:
        forgotten = client.groups.forget(group_id, by=context.user)
    if not forgotten:
        raise Problem(f"there is no group {group_id!r}", Exit.NOT_FOUND)
    _say(context, group_id, "is forgotten; its members stay", {"forgotten": True})


def _say(context: CliContext, group_id: str, words: str, document: dict[str, int]) -> None:
    context.output.said({"id": group_id, **document}, f"group {group_id}: {words}")


def _show(context: CliContext, info: GroupInfo) -> None:
    if context.json:
        context.output.data(info)
        return
    oldest = f"{info.oldest}, for {ago(info.oldest_since)}" if info.oldest else None
    facts = {
        "group": info.id, "state": info.state, "reason": info.reason, "by": info.by,
        "join": info.join, "members": f"{info.total:,}", "waiting": info.waiting or None,
        "live": info.live or None, "succeeded": info.succeeded, "failed": info.failed or None,
        "cancelled": info.cancelled or None, "refused": info.refused or None,
        "gone": info.gone or None, "oldest": oldest, "begun": info.created_at,
        "until": info.deadline_at, "ended": info.ended_at,
    }  # fmt: skip
    context.output.facts(facts, width=11)
    if info.failures:
        context.output.line("")
        rows = [(each.count, each.error, " ".join(each.keys)) for each in info.failures]
        context.output.table(("failed", "error", "such as"), rows, empty="")
