"""`stepflow config show`: the settings as they hold here."""

from __future__ import annotations

from typing import Any

import click

from stepflow.cli.context import Setup, common_options, pass_setup


@click.group("config")
@common_options
def config_command() -> None:
    """Look at the settings."""


@config_command.command("show")
@common_options
@pass_setup
def show_command(setup: Setup) -> None:
    """Show every setting, its value here and the variable that sets it; passwords are left out."""
    from stepflow.settings import redis_url
    from stepflow.store.connection.address import redacted_url

    settings = setup.settings()
    app = setup.load_app()
    values: dict[str, Any] = (settings if app is None else app.settings).model_dump(mode="json")
    url = redis_url(setup.redis_url, settings)
    values["redis"]["url"] = None if url is None else redacted_url(url)
    if setup.namespace is not None:
        values["redis"]["namespace"] = setup.namespace
    if setup.json:
        setup.screen.data(values)
        return
    rows = []
    for group, fields in values.items():
        for name, value in fields.items() if isinstance(fields, dict) else ((None, fields),):
            path = group if name is None else f"{group}.{name}"
            shown = ", ".join(value) if isinstance(value, list) else value
            rows.append((path, shown, f"STEPFLOW_{path.replace('.', '_').upper()}"))
    setup.screen.table(("setting", "value", "variable"), rows, empty="")
