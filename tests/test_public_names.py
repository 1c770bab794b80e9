"""The public names: loaded when they are asked for, and known to type checkers."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import stepflow
from stepflow import errors
from stepflow.client import AsyncClient, Client


def told_to_type_checkers():
    """Name what the `if TYPE_CHECKING` block imports, with the module it comes from."""
    tree = ast.parse(Path(stepflow.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_are_told_the_same_names():
    found = told_to_type_checkers()
    assert set(found) == set(stepflow.__all__)
    for name, module in found.items():
        assert getattr(stepflow, name) is getattr(import_module(module), name)


def is_error(value):
    return isinstance(value, type) and issubclass(value, BaseException)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_the_errors_that_a_client_promises_are_public(client):
    promised = {
        word.strip(".,:;")
        for method in vars(client).values()
        for word in (method.__doc__ or "").split()
        if is_error(getattr(errors, word.strip(".,:;"), None))
    }
    assert {"MailboxFull", "QuestionClosed", "UnknownStep"} <= promised or client is AsyncClient
    assert promised <= set(stepflow.__all__)


def test_importing_stepflow_loads_nothing():
    code = "import sys, stepflow; print(*(name for name in sys.modules if 'stepflow' in name))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["stepflow"]
