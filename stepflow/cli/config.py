"""`stepflow config show`: the settings that apply here."""

from __future__ import annotations

from typing import Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context


@click.group("config")
@common_options
def config_command() -> None:
    """Look at the settings."""


@config_command.command("show")
@common_options
@pass_context
def show_command(context: CliContext) -> None:
    """Show every setting, its value here and the variable that sets it, without passwords."""
    from stepflow.settings import redis_url
    from stepflow.store.connection.address import redacted_url

    settings = context.settings()
    app = context.load_app()
    values: dict[str, Any] = (settings if app is None else app.settings).model_dump(mode="json")
    url = redis_url(context.redis_url, settings)
    values["redis"]["url"] = None if url is None else redacted_url(url)
    if values["archive"]["url"] is not None:
        values["archive"]["url"] = redacted_url(values["archive"]["url"])
    values["encryption"]["keys"] = list(values["encryption"]["keys"])  # their ids alone
    if context.namespace is not None:
        values["redis"]["namespace"] = context.namespace
    if context.json:
        context.output.data(values)
        return
    rows = []
    for group, fields in values.items():
        for name, value in fields.items() if isinstance(fields, dict) else ((None, fields),):
            path = group if name is None else f"{group}.{name}"
            shown = ", ".join(value) if isinstance(value, list) else value
            rows.append((path, shown, f"STEPFLOW_{path.replace('.', '_').upper()}"))
    context.output.table(("setting", "value", "variable"), rows, empty="")
