"""The public names: loaded when they are asked for, and known to type checkers."""

import ast
import dataclasses
import inspect
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path

import pytest

import stepflow
from stepflow import errors
from stepflow.agents import providers, tools
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
        for name in dir(client)
        for word in (getattr(client, name).__doc__ or "").split()
        if is_error(getattr(errors, word.strip(".,:;"), None))
    }
    assert {"MailboxFull", "QuestionClosed", "UnknownStep"} <= promised or client is AsyncClient
    assert promised <= set(stepflow.__all__)


def test_importing_stepflow_loads_nothing():
    code = "import sys, stepflow; print(*(name for name in sys.modules if 'stepflow' in name))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["stepflow"]


#: public methods that are the library's own, or its kits': their types are, too
_OUR_OWN = {
    "carry", "connection", "delivering", "facts", "faults", "foresee", "judge", "make_worker",
    "needs", "parent", "permits", "runtime",
    "scheduled", "target",
    "trace_attempt", "trace_hook", "trace_submit",
}  # fmt: skip


#: by these names annotations find what their module imports for type checkers only
PUBLIC = {name: getattr(stepflow, name) for name in stepflow.__all__} | {
    name: value  # what needs no extra
    for room in (providers, tools)
    for name, value in vars(room).items()
    if name in room.__all__
}


def classes_in(hint):
    """Name the classes that an annotation consists of."""
    if isinstance(hint, list | tuple):
        return {found for part in hint for found in classes_in(part)}
    if typing.get_origin(hint) is not None:
        return classes_in((typing.get_origin(hint), *typing.get_args(hint)))
    if isinstance(hint, typing.TypeVar):
        return classes_in(hint.__bound__)
    return {hint} if inspect.isclass(hint) else set()


def public_members(cls):
    """Give the functions that you may call on an object of *cls*, and its fields, by name."""
    for base in cls.__mro__:
        if base.__module__.split(".")[0] != "stepflow":
            continue
        for name, member in vars(base).items():
            function = getattr(member, "fget", getattr(member, "__func__", member))
            if inspect.isfunction(function) and (name[0] != "_" or name == "__call__"):
                for one in (function, *typing.get_overloads(function)):
                    yield f"{base.__name__}.{name}", typing.get_type_hints(one, localns=PUBLIC)
    if dataclasses.is_dataclass(cls) or typing.is_typeddict(cls):
        for name, hint in typing.get_type_hints(cls, localns=PUBLIC).items():
            yield f"{cls.__name__}.{name}", {name: hint}


def not_exported(exported):
    """Give what stands in public signatures and is not in *exported*, by where it stands."""
    found = {}
    for cls in filter(inspect.isclass, exported):
        for where, hints in public_members(cls):
            found.setdefault(where, set()).update(
                one.__name__
                for one in classes_in(list(hints.values()))
                if one.__module__.split(".")[0] == "stepflow" and one not in exported
            )
    return found


EXPORTED = list(PUBLIC.values())


def test_every_type_that_a_public_function_takes_or_gives_is_public():
    """[U2] Also in overloads, fields and TypedDicts, and in the bases of what is exported."""
    found = not_exported(EXPORTED)
    assert len(found) > 150
    theirs = {where: names for where, names in found.items() if where.split(".")[1] not in _OUR_OWN}
    assert {where: names for where, names in theirs.items() if names} == {}


@pytest.mark.parametrize("name", ["Child", "SyncVariables", "SubmitOptions", "Page", "Memo"])
def test_a_type_that_is_not_exported_is_seen(name):
    """[U2]"""
    without = [one for one in EXPORTED if one is not getattr(stepflow, name)]
    assert {name} in not_exported(without).values()


def test_every_error_is_public_and_every_public_class_says_what_it_is():
    """[U2] CancelRequested and ClaimLost are caught by name as well."""
    every = {name for name, value in vars(errors).items() if is_error(value)}
    assert every <= set(stepflow.__all__)
    undocumented = [
        one for one in EXPORTED if inspect.isclass(one) and not vars(one).get("__doc__")
    ]
    assert undocumented == []
