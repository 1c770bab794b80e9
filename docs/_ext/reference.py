"""
The reference of public names, from docstrings.

    .. public:: errors

documents each name that `stepflow` exports from `stepflow.errors`, in the order of that module's
source; `.. public:: Client AsyncClient` documents these names. The build warns of an exported name
that no page has.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from typing import ClassVar, is_typeddict

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.logging import getLogger

import stepflow
from stepflow.cli.main import cli

logger = getLogger(__name__)

#: classes whose objects you are given and never make
HANDED_TO_YOU = {
    "AsyncRunHandle", "CancelToken", "Child", "Context", "Effects", "Job", "Memo", "RunHandle",
    "Session", "Step", "StepCaller", "StepLog", "SyncContext", "Variables",
}  # fmt: skip


class Public(SphinxDirective):
    """Document public names, or all those of a module."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = False
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Write an autodoc directive for each name."""
        lines = StringList()
        for name in _names(self.arguments[0].split()):
            for line in _directive(name):
                lines.append(line, "public", 0)
        parent = nodes.Element()
        self.state.nested_parse(lines, self.content_offset, parent)
        return parent.children


def _names(given: list[str]) -> Iterator[str]:
    for word in given:
        if word in stepflow.__all__:
            yield word
        else:
            found = [
                name
                for name in stepflow.__all__
                if getattr(stepflow, name).__module__ == f"stepflow.{word}"
            ]
            if not found:
                logger.warning("stepflow exports nothing of stepflow.%s", word)
            yield from sorted(found, key=list(vars(import_module(f"stepflow.{word}"))).index)


def _foreign_bases(value: type) -> list[str]:
    """List the bases whose members are no concern of ours, such as pydantic's."""
    return sorted(
        {base.__name__ for base in value.__mro__ if not base.__module__.startswith("stepflow")}
    )


def _directive(name: str) -> Iterator[str]:
    value = getattr(stepflow, name)
    if inspect.isclass(value) and issubclass(value, BaseException):
        yield f".. autoexception:: stepflow.{name}"
        yield "   :show-inheritance:"
    elif inspect.isclass(value):
        yield f".. autoclass:: stepflow.{name}"
        yield "   :members:"
        if issubclass(value, Enum) or is_typeddict(value):
            yield "   :undoc-members:"
        yield f"   :inherited-members: {', '.join(_foreign_bases(value))}"
    elif callable(value):
        yield f".. autofunction:: stepflow.{name}"
    else:
        yield f".. autodata:: stepflow.{name}"
        yield "   :no-value:"
    yield ""


def warn_of_missing_names(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each public name that no page of the reference has."""
    del app
    found = {name for name, *_ in env.get_domain("py").get_objects()}
    for name in stepflow.__all__:
        if f"stepflow.{name}" not in found:
            logger.warning("stepflow.%s is public, and no page of docs/reference has it", name)


def hide_signature(app: Sphinx, what: str, name: str, *_: object) -> tuple[str, None] | None:
    """Leave out how the objects are made that stepflow hands you."""
    del app
    handed = what == "class" and name.removeprefix("stepflow.") in HANDED_TO_YOU
    return ("", None) if handed else None


def hide_common_options(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Leave out of a verb the options that all verbs have; the page says them once, on top."""
    del app
    if context.parent is None:
        return
    common = {option for param in cli.params for option in param.opts}
    kept: list[str] = []
    skips = False
    for line in lines:
        if line.startswith(".. option::"):
            skips = line.split()[2].strip(",") in common
        if not skips:
            kept.append(line)
    lines[:] = kept


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what is here."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-signature", hide_signature)
    app.connect("sphinx-click-process-options", hide_common_options)
    app.connect("env-check-consistency", warn_of_missing_names)
    return {"parallel_read_safe": True}
